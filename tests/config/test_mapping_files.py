"""Valid mapping files, and refusals with file, line, key and remedy."""

from pathlib import Path

import pytest
from mapping_pages import MAPPINGS, PAGE, channels_of, load, problems, spoilt

from connector.app.mappings import CATALOG
from connector.config.mapping_file import load_mapping
from connector.core.errors import MappingError
from connector.core.mapping import FixedValue, Order, PicklistFlag
from connector.core.mapping_channels import PhoneFormat, WritePolicy
from connector.core.model import Channel

TOP = "channels, crm, limits, name, object, person, schedule, select, stamp, statuses, version"


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return tmp_path / "m.yaml"


# -- what loads -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("lead", {Channel.WORK_EMAIL, Channel.PHONE}),
        ("contact", {Channel.WORK_EMAIL, Channel.PERSONAL_EMAIL, Channel.PHONE}),
    ],
)
def test_shipped_mappings_load(name: str, channels: set[Channel]) -> None:
    loaded = load_mapping(str(MAPPINGS / f"{name}.yaml"), CATALOG)
    assert loaded.mapping.name == name
    assert channels_of(loaded) == channels
    assert loaded.mapping.select.flag_field in loaded.mapping.read_fields()
    assert loaded.mapping.select.order is Order.NEWEST


@pytest.mark.parametrize("name", ["lead", "contact"])
def test_shipped_mappings_have_small_caps_and_no_schedule(name: str) -> None:
    mapping = load_mapping(str(MAPPINGS / f"{name}.yaml"), CATALOG).mapping
    assert mapping.schedule is None
    assert set(mapping.limits.max_credits) == set(mapping.limits.max_credits_per_day) == mapping.providers()
    caps = [*mapping.limits.max_credits.values(), *mapping.limits.max_credits_per_day.values()]
    assert all(0 < cap <= 600 for cap in caps)
    text = (MAPPINGS / f"{name}.yaml").read_text(encoding="utf-8")
    assert load_mapping(str(MAPPINGS / f"{name}.yaml"), CATALOG).mapping.limits.max_credits["lensmor"] >= 150
    assert '# schedule: "*/15 * * * *"' in text


def test_every_shipped_mapping_is_named_like_its_file() -> None:
    files = sorted(MAPPINGS.glob("*.yaml"))
    assert [load_mapping(str(file), CATALOG).mapping.name for file in files] == [file.stem for file in files]
    assert files


def test_defaults_are_the_documented_ones(file: Path) -> None:
    text = PAGE.replace("    write: if_empty\n", "").replace("    format: e164\n", "").replace("  order: newest\n", "")
    mapping = load(file, text).mapping
    email, phone = mapping.channels.work_email, mapping.channels.phone
    assert email is not None
    assert phone is not None
    assert (email.write, phone.format) == (WritePolicy.IF_EMPTY, PhoneFormat.E164)
    words = mapping.statuses.model_dump()
    assert words == {
        "in_progress": "In progress",
        "unlocked": "Unlocked",
        "not_found": "Not found",
        "failed": "Failed",
        "skipped": "Skipped",
        "unknown": "Unknown",
    }


def test_a_picklist_may_be_the_flag(file: Path) -> None:
    select = load(file, spoilt("flag: Ask__c", "flag: {field: Ask__c, asks: Requested, done: Done}")).mapping.select
    assert select.flag == PicklistFlag(field="Ask__c", asks="Requested", done="Done")
    assert (select.flag_field, select.asks, select.done) == ("Ask__c", "Requested", "Done")
    plain = load(file).mapping.select
    assert (plain.flag_field, plain.asks, plain.done) == ("Ask__c", True, False)


def test_one_event_for_all_records(file: Path) -> None:
    person = load(file, spoilt("event_id: Event__c", 'event_id: {value: "52001"}')).mapping.person
    assert dict(person.mapped())["event_id"] == FixedValue(value="52001")


def test_yes_no_on_and_off_are_text(file: Path, subtests: pytest.Subtests) -> None:
    for word in ("on", "off", "yes", "no", "y", "On", "YES"):
        with subtests.test(word=word):
            text = PAGE + f"statuses:\n  unlocked: {word}\n"
            text = text.replace("flag: Ask__c", f"flag: {{field: Ask__c, asks: {word}, done: x}}")
            mapping = load(file, text).mapping
            assert (mapping.statuses.unlocked, mapping.select.asks) == (word, word)


@pytest.mark.parametrize(("schedule", "fits"), [("0 0 29 2 *", True), ("0 0 30 2 *", False), ("every day", False)])
def test_schedules(file: Path, schedule: str, fits: bool) -> None:
    text = PAGE + f'schedule: "{schedule}"\n'
    if fits:
        assert load(file, text).mapping.schedule == schedule
        return
    with pytest.raises(MappingError, match=r"must be (a cron expression|exactly five)"):
        load(file, text)


@pytest.mark.parametrize("encode", [lambda t: b"\xef\xbb\xbf" + t.encode(), lambda t: t.replace("\n", "\r\n").encode()])
def test_files_from_other_editors_load(file: Path, encode: object) -> None:
    assert callable(encode)
    assert load(file, encode(PAGE)).mapping.name == "lead"


# -- what does not: one place, one line, one remedy -------------------------------------------------------------

FIELD_WORDS = "must be an API name of letters, digits and _, such as Email or LinkedIn_URL__c"
DURATION_WORDS = "write a whole number and m, h or d, such as 30m, 12h or 180d"
PHONE_KEYS = "default_region, empty_when, field, format, from, opt_out, stamp, status, write"
CASES = {
    # unknown keys
    ("limits:\n", "limit:\n"): f"m.yaml:27: limit: unknown key; did you mean limits? known here: {TOP}",
    (
        "    default_region: US",
        "    region: US",
    ): "m.yaml:24: channels.phone.region: unknown key; did you mean default_region? known here: " + PHONE_KEYS,
    ("    empty_when: Bounced__c", "    format: e164"): "m.yaml:17: channels.work_email.format: unknown key here: "
    "format belongs under channels.phone",
    ("  phone:", "  mobile:"): "m.yaml:20: channels.mobile: unknown key; known here: personal_email, phone, work_email",
    ("flag: Ask__c", "flag: {field: Ask__c, asks: a, done: b, x: c}"): "m.yaml:5: select.flag.x: unknown key; known "
    "here: asks, done, field",
    # twice
    (
        "  order: newest",
        "  order: newest\n  order: oldest",
    ): "m.yaml:8: order: this key appears twice; keep one of them",
    ("    opt_out: NoEmail__c", "    opt_out: NoEmail__c\n    status: A__c"): "m.yaml:20: status: this key appears "
    "twice; keep one of them",
    # missing
    ("name: lead\n", ""): "m.yaml:1: name: this key is missing; add it",
    ("    field: MobilePhone\n", ""): "m.yaml:20: channels.phone.field: this key is missing; add it",
    ("flag: Ask__c", "flag: {field: Ask__c, asks: a}"): "m.yaml:5: select.flag.done: this key is missing; add it",
    # wrong types
    ("version: 1", "version: 2"): "m.yaml:1: version: must be 1",
    ("version: 1", 'version: "1"'): "m.yaml:1: version: must be 1",
    ("flag: Ask__c", "flag: true"): "m.yaml:5: select.flag: must be text",
    ("flag: Ask__c", "flag: 5"): "m.yaml:5: select.flag: must be text; put a number in quotes",
    ("flag: Ask__c", "flag: Ask me"): f"m.yaml:5: select.flag: {FIELD_WORDS}",
    ("field: MobilePhone", "field: Mobile Phone"): f"m.yaml:22: channels.phone.field: {FIELD_WORDS}",
    ("name: lead", "name: Lead Form"): "m.yaml:2: name: must be at most 40 lower-case letters, digits, - and _, the "
    "first a letter, such as lead",
    ("event_id: Event__c", "event_id: {value: 52001}"): "m.yaml:10: person.event_id.value: must be text; put a number "
    "in quotes",
    ("event_id: Event__c", 'event_id: {value: ""}'): "m.yaml:10: person.event_id.value: must not be empty",
    ("from: [lensmor]", "from: lensmor"): "m.yaml:21: channels.phone.from: must be a list, such as [lensmor]",
    ("from: [lensmor]", "from: []"): "m.yaml:21: channels.phone.from: must not be empty",
    ("from: [lensmor]", "from: [7]"): "m.yaml:21: channels.phone.from.0: must be text; put a number in quotes",
    ("write: if_empty", "write: always"): "m.yaml:16: channels.work_email.write: must be 'if_empty' or 'overwrite'",
    ("order: newest", "order: random"): "m.yaml:7: select.order: must be 'newest' or 'oldest'",
    ("format: e164", "format: E.164"): "m.yaml:23: channels.phone.format: must be 'e164', 'international' or "
    "'as_given'; did you mean e164?",
    ("region: US", "region: usa"): "m.yaml:24: channels.phone.default_region: must be two capital letters, such as US",
    ("lensmor: 3000", "lensmor: -1"): "m.yaml:28: limits.max_credits.lensmor: must be 0 or more",
    ("lensmor: 3000", "lensmor: 1.5"): "m.yaml:28: limits.max_credits.lensmor: must be a whole number, "
    "such as 50000, without separators or decimals",
    ("lensmor: 3000", "lensmor: true"): "m.yaml:28: limits.max_credits.lensmor: must be a whole number",
    ("{lensmor: 3000, salesfinity: 200}", "3000"): "m.yaml:28: limits.max_credits: must name each provider, such as "
    "{lensmor: 3000}",
    ("180d", "180"): f"m.yaml:29: limits.refresh_after: {DURATION_WORDS}",
    ("180d", "6 months"): f"m.yaml:29: limits.refresh_after: {DURATION_WORDS}",
    ("180d", "-1d"): f"m.yaml:29: limits.refresh_after: {DURATION_WORDS}",
    ("180d", "d"): f"m.yaml:29: limits.refresh_after: {DURATION_WORDS}",
    ("180d", "1.5h"): f"m.yaml:29: limits.refresh_after: {DURATION_WORDS}",
    ("180d", "٣d"): f"m.yaml:29: limits.refresh_after: {DURATION_WORDS}",
    ("stamp:\n  error: Error__c", "stamp:\n"): "m.yaml:25: stamp: must contain keys, each indented on its own "
    "line; known here: enriched_at, error, personnel_id, source",
    (
        "stamp:\n  error: Error__c",
        "stamp: Error__c",
    ): "m.yaml:25: stamp: must contain keys, each indented on its own "
    "line; known here: enriched_at, error, personnel_id, source",
    # impossible combinations
    ("from: [lensmor]", "from: [salesfinity]"): "m.yaml:21: channels.phone.from.0: salesfinity does not sell phone; "
    "use lensmor",
    (
        "  phone:\n    from: [lensmor]\n    field: MobilePhone\n    format: e164\n    default_region: US",
        "  personal_email:\n    from: [lensmor]\n    field: Private__c",
    ): "m.yaml:21: channels.personal_email.from.0: lensmor does not sell personal_email; use salesfinity",
    ("from: [lensmor]", "from: [lensmore]"): "m.yaml:21: channels.phone.from.0: there is no provider 'lensmore'; did "
    "you mean lensmor? use lensmor",
    ("[lensmor, salesfinity]", "[lensmor, lensmor]"): "m.yaml:14: channels.work_email.from.1: lensmor is named twice; "
    "name each provider once",
    ("salesfinity: 200", "salesfinty: 200"): "m.yaml:28: limits.max_credits.salesfinty: there is no provider "
    "'salesfinty'; did you mean salesfinity? use lensmor, salesfinity",
    ("region: US", "region: UK"): "m.yaml:24: channels.phone.default_region: UK is not a country with known "
    "phone numbers; use an ISO code, such as US or GB",
    ("field: MobilePhone", "field: email"): "m.yaml:22: channels.phone.field: email is already written by "
    "channels.work_email.field; map each field once",
    ("error: Error__c", "error: EMAIL_STATUS__C"): "m.yaml:26: stamp.error: EMAIL_STATUS__C is already written by "
    "channels.work_email.status; map each field once",
    ("field: MobilePhone", "field: Ask__c"): "m.yaml:22: channels.phone.field: Ask__c is already written by "
    "select.flag; map each field once",
    ("field: MobilePhone", "field: URL__C"): "m.yaml:11: person.linkedin_url: Url__c identifies the person and is "
    "written by channels.phone.field",
    ("error: Error__c", "error: Event__c"): "m.yaml:10: person.event_id: Event__c identifies the person and is "
    "written by stamp.error",
    ("empty_when: Bounced__c", "empty_when: email"): "m.yaml:17: channels.work_email.empty_when: email is written by "
    "channels.work_email.field; name a field that the mapping does not write",
    ("opt_out: NoEmail__c", "opt_out: Ask__c"): "m.yaml:19: channels.work_email.opt_out: Ask__c is written by "
    "select.flag; name a field that the mapping does not write",
    ("  personnel_id: Pid__c\n  event_id: Event__c\n  linkedin_url: Url__c", "  event_id: Event__c"): "m.yaml:8: "
    "person: name at least one of personnel_id and linkedin_url, or no person can be found",
}


def test_the_unspoilt_page_loads(file: Path) -> None:
    assert problems(file, PAGE) == []


def test_one_mistake_gives_one_line_with_place_and_remedy(file: Path) -> None:
    wrong = [
        (change, line, got) for change, line in CASES.items() if (got := problems(file, spoilt(*change))) != [line]
    ]
    assert wrong == []


def test_a_mapping_without_channels_is_refused(file: Path) -> None:
    text = PAGE[: PAGE.index("channels:")] + "channels: {}\n"
    assert problems(file, text) == [
        "m.yaml:12: channels: name at least one channel: work_email, personal_email or phone"
    ]


def test_all_mistakes_of_a_file_are_reported_together(file: Path) -> None:
    text = spoilt("order: newest", "order: random").replace("field: MobilePhone", "feld: MobilePhone")
    assert problems(file, text) == [
        "m.yaml:7: select.order: must be 'newest' or 'oldest'",
        "m.yaml:20: channels.phone.field: this key is missing; add it",
        f"m.yaml:22: channels.phone.feld: unknown key; did you mean field? known here: {PHONE_KEYS}",
    ]


def test_only_the_stamp_may_write_an_identifier_field(file: Path) -> None:
    assert problems(file, spoilt("error: Error__c", "personnel_id: PID__c")) == []
    assert problems(file, spoilt("error: Error__c", "source: Pid__c")) == [
        "m.yaml:9: person.personnel_id: Pid__c identifies the person and is written by stamp.source"
    ]


# -- files that are no mapping at all ---------------------------------------------------------------------------


NO_MAPPINGS: list[tuple[str | bytes, str]] = [
    ("", "m.yaml:1: this is not a mapping file; begin with 'version: 1'"),
    ("# nothing yet\n", "m.yaml:1: this is not a mapping file; begin with 'version: 1'"),
    ("- version: 1\n", "m.yaml:1: this is not a mapping file; begin with 'version: 1'"),
    ("lead", "m.yaml:1: this is not a mapping file; begin with 'version: 1'"),
    (PAGE.encode("utf-16"), "m.yaml: this is not UTF-8 text; save the file as UTF-8"),
    (PAGE.replace("Ask__c", "Frägt").encode("latin-1"), "m.yaml: this is not UTF-8 text; save the file as UTF-8"),
    (b"version: 1\x00", "m.yaml:1: this is not valid YAML; it contains characters that no text file has"),
]


def test_files_that_are_not_mappings(file: Path) -> None:
    wrong = [(text, line, got) for text, line in NO_MAPPINGS if (got := problems(file, text)) != [line]]
    assert wrong == []


BAD_YAML: list[tuple[str, str, str, str]] = [
    ("  order: newest", "\torder: newest", "m.yaml:7: ", r"found character '\t'"),
    ("[lensmor]", "[lensmor", "m.yaml:22: ", "in the part that begins in line 21"),
    ("person:", " person:", "m.yaml:8: ", "check indentation, brackets and quotes"),
    (
        '"IsConverted = false"',
        '"IsConverted = false',
        "m.yaml:6: ",
        "the quote that begins here is not closed in its line",
    ),
    ("version: 1", "version: *one", "m.yaml:1: ", "undefined alias"),
]


def test_invalid_yaml_is_reported_with_line_and_remedy(file: Path, subtests: pytest.Subtests) -> None:
    for old, new, place, words in BAD_YAML:
        with subtests.test(old=old, new=new, place=place, words=words):
            (line,) = problems(file, spoilt(old, new))
            assert line.startswith(place)
            assert "this is not valid YAML" in line
            assert words in line


# -- places for later findings ----------------------------------------------------------------------------------


def test_later_findings_have_the_same_places(file: Path) -> None:
    loaded = load(file)
    assert loaded.place(("channels", "phone", "field")) == f"{file}:22: channels.phone.field"
    assert loaded.place(("channels", "phone", "status")) == f"{file}:20: channels.phone.status"
    assert loaded.place(("channels", "work_email", "from", 1)) == f"{file}:14: channels.work_email.from.1"
    assert loaded.place(("statuses", "failed")) == f"{file}:1: statuses.failed"
    assert loaded.place(()) == f"{file}:1"
