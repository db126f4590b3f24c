"""Recorded answers of Bulk API 2.0 are understood: descriptions of jobs, and the errors of refused rows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import recordings
from org_harness import Harness, OrgHost, Wire, token_answer

from connector.core.errors import ConnectorError
from connector.crm.bulk import BulkApi, JobState
from connector.crm.interface import ErrorClass, RowError
from connector.crm.salesforce.bulk_files import rows_of
from connector.crm.salesforce.rejections import rejection_of_text

ORG = "https://acme.my.salesforce.com"
BULK = ("amp-labs-connectors", "test", "bulk")


@pytest.fixture(scope="module")
def host() -> Iterator[OrgHost]:
    with OrgHost() as host:
        yield host


@pytest.fixture
def harness(host: OrgHost) -> Harness:
    return host.fresh()


def answered(harness: Harness, monkeypatch: pytest.MonkeyPatch, body: object) -> BulkApi:
    """The jobs of an org that answers everything with this body."""

    def answer(request: httpx.Request) -> tuple[int, object]:
        if "oauth2" in str(request.url):
            return 200, token_answer()
        return 200, {} if "limits" in str(request.url) else body

    Wire(answer).install(monkeypatch)
    crm = harness.crm(harness.login(instance_url=ORG))
    crm.login()
    assert crm.bulk is not None
    return crm.bulk


@pytest.mark.parametrize(
    ("name", "state", "counts"),
    [
        ("in-progress", JobState.RUNNING, (2000, 0)),
        ("success", JobState.COMPLETE, (3000, 0)),
        ("partial-failure", JobState.COMPLETE, (8, 1)),
        ("complete-failure", JobState.FAILED, (0, 0)),
    ],
)
def test_recorded_descriptions(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, name: str, state: JobState, counts: tuple[int, int]
) -> None:
    recorded: Any = recordings.body(*BULK, "info", f"{name}.json")
    found = answered(harness, monkeypatch, recorded).find(recorded["id"])
    assert (found.id, found.state, (found.processed, found.failed)) == (recorded["id"], state, counts)
    assert found.message == recorded.get("errorMessage", "")


@pytest.mark.parametrize("name", ["launch-job-opportunity", "update-job-opportunity"])
def test_recorded_jobs_without_counts(harness: Harness, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    recorded: Any = recordings.body(*BULK, "write", f"{name}.json")
    found = answered(harness, monkeypatch, recorded).find(recorded["id"])
    assert found.state is (JobState.OPEN if recorded["state"] == "Open" else JobState.RUNNING)


def test_another_jobs_description_is_refused(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: Any = recordings.body(*BULK, "info", "success.json")
    with pytest.raises(ConnectorError):
        answered(harness, monkeypatch, recorded).find("750ak000009E1YXAA0")


def test_the_recorded_file_of_refused_rows() -> None:
    text = recordings.folder().joinpath(*BULK, "info", "partial-failure.csv").read_text(encoding="utf-8")
    (row,) = rows_of(text, "sf__Error")
    assert list(row) == ["sf__Id", "sf__Error", "Name", "StageName", "external_id__c", "CloseDate"]
    found = rejection_of_text(row["sf__Error"])
    assert (found.error_class, found.errors) == (ErrorClass.MAPPING, (RowError("INVALID_FIELD", ("CloseDate",)),))
    assert "2003" not in repr(found)


def codes(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Every recorded error of a row: code, message and fields."""
    for node in json.loads(path.read_text(encoding="utf-8")):
        for error in node.get("errors", []) if isinstance(node, dict) else []:
            if "statusCode" in error:
                yield error["statusCode"], error["message"], error.get("fields", [])


def test_recorded_errors_of_collections_are_the_same_in_a_file() -> None:
    """A text is made of each recorded error as Bulk spells it, and read back."""
    read = 0
    for path in sorted(recordings.folder().joinpath("amp-labs-connectors").rglob("*.json")):
        try:
            found = list(codes(path))
        except (ValueError, TypeError, AttributeError):
            continue  # some recordings are of another kind
        for code, message, fields in found:
            answer = rejection_of_text(f"{code}:{message}:{','.join(fields)}{' ' if fields else ''}--")
            assert [(error.code, error.fields) for error in answer.errors] == [(code, tuple(fields))]
            read += 1
    assert read > 3


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--", [("UNABLE_TO_LOCK_ROW", ())]),
        ("REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --", None),
        ("A_RULE_FAILED:x:Email,Phone --", [("A_RULE_FAILED", ("Email", "Phone"))]),
        (
            "FIELD_CUSTOM_VALIDATION_EXCEPTION:a: b:Email --FIELD_CUSTOM_VALIDATION_EXCEPTION:c:--",
            [("FIELD_CUSTOM_VALIDATION_EXCEPTION", ("Email",)), ("FIELD_CUSTOM_VALIDATION_EXCEPTION", ())],
        ),
        ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:T: caused by\n\nSystem.X: line 1, column 1:--", None),
        ("STRANGE", [("STRANGE", ())]),
        ("no code at all", [("", ())]),
        ("", [("", ())]),
    ],
)
def test_texts_of_errors(text: str, errors: list[tuple[str, tuple[str, ...]]] | None) -> None:
    found = [(error.code, error.fields) for error in rejection_of_text(text).errors]
    fields = ("LastName",) if "LastName" in text else ()
    assert found == (errors if errors is not None else [(text.partition(":")[0], fields)])
