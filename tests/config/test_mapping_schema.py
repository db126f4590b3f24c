"""The JSON Schema of mapping files for editors: the description and the valid values of every key."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_pages import MAPPINGS, PAGE, spoilt
from ruamel.yaml import YAML

from connector.app.mappings import CATALOG
from connector.core.durations import duration_in_words, parse_duration, write_duration

SCHEMA = CATALOG.model.model_json_schema(by_alias=True)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def _plain(text: str) -> Any:  # noqa: ANN401 YAML
    return YAML(typ="safe", pure=True).load(text)


def _keys(node: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 JSON Schema
    """Every key that users write, with its description or that of its content."""
    for name, found in node.get("properties", {}).items():
        references = [part["$ref"] for part in (found, *found.get("anyOf", ())) if "$ref" in part]
        held = [SCHEMA["$defs"][reference.rpartition("/")[2]] for reference in references]
        yield f"{path}{name}", found.get("description") or " ".join(each.get("description", "") for each in held)
        for each in held:
            yield from _keys(each, f"{path}{name}.")


def test_the_schema_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["title"] == "Enrichment mapping"


def test_every_key_that_users_write_is_described() -> None:
    keys = dict(_keys(SCHEMA))
    assert len(keys) > 45
    assert [name for name, description in keys.items() if not description] == []


def test_the_schema_has_the_documented_keys() -> None:
    keys = set(dict(_keys(SCHEMA)))
    documented = {
        "version", "name", "object", "select.flag", "select.flag.field", "select.flag.asks", "select.flag.done",
        "select.where", "select.order", "schedule", "person.personnel_id", "person.event_id", "person.event_id.value",
        "person.linkedin_url", "channels.work_email.from", "channels.work_email.field", "channels.work_email.write",
        "channels.work_email.empty_when", "channels.work_email.status", "channels.work_email.opt_out",
        "channels.personal_email.from", "channels.phone.format", "channels.phone.default_region", "stamp.enriched_at",
        "stamp.source", "stamp.error", "stamp.personnel_id", "limits.max_credits", "limits.max_credits_per_day",
        "limits.refresh_after", "limits.retry_not_found_after", "statuses.in_progress", "statuses.unlocked",
        "statuses.not_found", "statuses.failed", "statuses.skipped", "statuses.unknown",
    }  # fmt: skip
    assert documented <= keys
    assert not [key for key in keys if "sources" in key]


@pytest.mark.parametrize("name", ["lead", "contact"])
def test_shipped_mappings_fit_the_schema(name: str) -> None:
    VALIDATOR.validate(_plain((MAPPINGS / f"{name}.yaml").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", ["lead", "contact"])
def test_shipped_mappings_name_the_schema_for_editors(name: str) -> None:
    first = (MAPPINGS / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")


def test_both_forms_of_flag_and_event_are_valid() -> None:
    VALIDATOR.validate(_plain(spoilt("flag: Ask__c", "flag: {field: Ask__c, asks: on, done: off}")))
    VALIDATOR.validate(_plain(spoilt("event_id: Event__c", 'event_id: {value: "52001"}')))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("limits:\n", "limit:\n"),
        ("name: lead\n", ""),
        ("version: 1", "version: 2"),
        ("write: if_empty", "write: always"),
        ("180d", "6 months"),
        ("from: [lensmor]", "from: lensmor"),
        ("region: US", "region: usa"),
        ("lensmor: 3000", "lensmor: -1"),
        ("    from: [lensmor]", "    sources: [lensmor]"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(old: str, new: str) -> None:
    VALIDATOR.validate(_plain(PAGE))
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(_plain(spoilt(old, new)))


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("180d", timedelta(days=180)),
        ("0m", timedelta()),
        ("99999d", timedelta(days=99_999)),
    ],
)
def test_durations(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration
    assert parse_duration(duration) == duration


@pytest.mark.parametrize("text", ["", "d", "1", "1w", "1.5d", "-1d", "1 d", "d1", "٣d", "100000d", 5, None, True])
def test_invalid_durations(text: object) -> None:
    with pytest.raises(ValueError, match="write a whole number and m, h or d"):
        parse_duration(text)


@given(st.integers(0, 99_999), st.sampled_from("mhd"))
@settings(max_examples=100, deadline=None)
def test_a_written_duration_can_be_read(number: int, unit: str) -> None:
    duration = parse_duration(f"{number}{unit}")
    assert parse_duration(write_duration(duration)) == duration


def test_a_mapping_survives_serialisation() -> None:
    first = CATALOG.model.model_validate(_plain(PAGE))
    assert CATALOG.model.model_validate_json(first.model_dump_json(by_alias=True, exclude_none=True)) == first


@pytest.mark.parametrize(
    ("text", "words"),
    [("180d", "180 days"), ("48h", "2 days"), ("2h", "2 hours"), ("90m", "90 minutes")],
)
def test_durations_in_words(text: str, words: str) -> None:
    assert duration_in_words(parse_duration(text)) == words
