"""YAML that is hostile, almost right or made for other tools is refused at once, with its line and a remedy."""

import hashlib
import time
from pathlib import Path

import pytest
from mapping_pages import PAGE, load, problems, spoilt

from connector.config.yaml_text import MAX_BYTES

QUICKLY_S = 1.0  # of processor time


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return tmp_path / "m.yaml"


def bomb(levels: int = 9, width: int = 9) -> str:
    """Levels of lists, each with a number of aliases of the level below."""
    lines = [f"a0: &a0 [{', '.join(['x'] * width)}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def test_nine_levels_of_nine_aliases_cost_nothing(file: Path) -> None:
    begun = time.process_time()
    (line,) = problems(file, bomb() + PAGE)
    assert time.process_time() - begun < QUICKLY_S
    assert line == "m.yaml:7: the file has more than 50 aliases (*name); write the values out"


def test_a_few_aliases_must_not_grow_large(file: Path) -> None:
    (line,) = problems(file, bomb(levels=13, width=3) + PAGE)
    assert line == "m.yaml:1: its aliases (*name) make the file too large; write the values out"


def test_an_anchor_that_contains_itself_is_refused(file: Path) -> None:
    assert problems(file, PAGE + "statuses: &a\n  unlocked: *a\n") == ["m.yaml:31: statuses.unlocked: must be text"]
    assert problems(file, "version: &a [*a]\n" + PAGE.replace("version: 1\n", "")) == ["m.yaml:1: version: must be 1"]


def test_a_few_aliases_are_allowed(file: Path) -> None:
    text = spoilt("{lensmor: 3000, salesfinity: 200}", "&caps {lensmor: 3000, salesfinity: 200}")
    text = text.replace("  refresh_after", "  max_credits_per_day: *caps\n  refresh_after")
    limits = load(file, text).mapping.limits
    assert limits.max_credits_per_day == limits.max_credits == {"lensmor": 3000, "salesfinity": 200}


NO_MAPPINGS: list[tuple[str | bytes, str]] = [
    ("[" * 99_000, "m.yaml:1: the file has more than 500 brackets; one file is one mapping"),
    ("{a: " * 400, "m.yaml:1: the values are nested too deeply; check brackets and indentation"),
    ("- " * 40_000, "m.yaml:1: the values are nested too deeply; check brackets and indentation"),
    ("x: [" + "a, " * 20_000 + "]", "m.yaml:1: the file has more than 3,000 values; one file is one mapping"),
    ("#" * (MAX_BYTES + 1), f"m.yaml: this is not a mapping file; it has more than {MAX_BYTES:,} bytes"),
    (b"\x7fELF\x01\x00\xff", "m.yaml: this is not UTF-8 text; save the file as UTF-8"),
    (b"version: 1\x00", "m.yaml:1: this is not valid YAML; it contains characters that no text file has"),
]


def test_absurd_files_are_refused_quickly(file: Path, subtests: pytest.Subtests) -> None:
    for text, line in NO_MAPPINGS:
        with subtests.test(text=text, line=line):
            begun = time.process_time()
            assert problems(file, text) == [line]
            assert time.process_time() - begun < QUICKLY_S


YAML_ONLY: list[tuple[str, str, str]] = [
    ("name: lead", "name: !!python/name:os.system lead", "m.yaml:2: tags"),
    ("name: lead", "name: !!str lead", "m.yaml:2: tags"),
    ("person:", "person: !!python/object/apply:os.system", "m.yaml:8: tags"),
    ("stamp:\n", "stamp:\n  <<: {error: E__c}\n", "m.yaml:26: merge keys (<<) are not supported; write the keys"),
    ("stamp:\n", "---\nstamp:\n", "m.yaml:25: a second document begins here (---); one file is one mapping"),
    ("  order: newest", "\torder: newest", r"m.yaml:7: this is not valid YAML (found character '\t'"),
    ("version: 1", "schedule: */15 * * * *\nversion: 1", "m.yaml:1: this is not valid YAML: a value that begins "),
    ("  order: newest", "  order: newest\n  order: oldest", "m.yaml:8: order: this key appears twice"),
    ("  order: newest", "  ? [a, b]\n  : newest", "m.yaml:4: select.('a', 'b'): unknown key"),
]


def test_yaml_features_that_mappings_refuse(file: Path, subtests: pytest.Subtests) -> None:
    for old, new, line in YAML_ONLY:
        with subtests.test(old=old, new=new, line=line):
            messages = problems(file, spoilt(old, new))
            assert messages
            assert messages[0].startswith(line), messages


def test_a_quoted_merge_key_is_text(file: Path) -> None:
    assert load(file, PAGE + 'statuses: {unlocked: "<<"}\n').mapping.statuses.unlocked == "<<"


# -- numbers ----------------------------------------------------------------------------------------------------

CAP = "m.yaml:28: limits.max_credits.lensmor: "


CAPS: list[tuple[str, str]] = [
    ("{lensmor: 50,000}", "m.yaml:28: limits.max_credits.0: write 50000, without separators"),
    ("{lensmor: '50,000'}", f"{CAP}write 50000, without separators"),
    ("{lensmor: 50 000}", f"{CAP}write 50000, without separators"),
    ("{lensmor: 1’500’000}", f"{CAP}write 1500000, without separators"),
    ("{lensmor: 50k}", f"{CAP}write the whole number out, such as 50000"),
    ("{lensmor: 50.000}", f"{CAP}must be a whole number, such as 50000, without separators or decimals"),
    ("{lensmor: '15.0'}", f"{CAP}must be a whole number, without decimals"),
    ("{lensmor: -5}", f"{CAP}must be 0 or more"),
    ("{lensmor: }", f"{CAP}must be a whole number"),
    ("{lensmor: many}", f"{CAP}must be a whole number, such as 3000"),
]


def test_a_cap_in_another_spelling_gets_a_hint(file: Path, subtests: pytest.Subtests) -> None:
    for written, line in CAPS:
        with subtests.test(written=written, line=line):
            messages = problems(file, spoilt("{lensmor: 3000, salesfinity: 200}", written))
            assert messages
            assert messages[0].startswith(line), messages


def test_a_cap_in_block_form_with_a_comma(file: Path) -> None:
    messages = problems(
        file, spoilt("max_credits: {lensmor: 3000, salesfinity: 200}", "max_credits:\n    lensmor: 50,000")
    )
    assert messages == ["m.yaml:29: limits.max_credits.lensmor: write 50000, without separators"]


# -- schedules --------------------------------------------------------------------------------------------------


SCHEDULES: list[str] = [
    "*/15 * * * *",
    "0 6 * * 1-5",
    "0 6 * * MON-FRI",
    "5,35 8-18/2 1 jan *",
    "0 0 29 2 *",
    " 0 6 * * * ",
]


def test_valid_schedules(file: Path) -> None:
    wrong = [
        (schedule, got)
        for schedule in SCHEDULES
        if (got := load(file, PAGE + f'schedule: "{schedule}"\n').mapping.schedule) != schedule
    ]
    assert wrong == []


NO_SCHEDULES: list[tuple[str, str]] = [
    ("0 0 6 * * *", "has 6 fields; must be exactly five"),
    ("0 0 6 * * * 2027", "has 7 fields; must be exactly five"),
    ("0 6 * *", "has 4 fields; must be exactly five"),
    ("", "has 0 fields; must be exactly five"),
    ("R 6 * * *", "'R' is not supported"),
    ("H 6 * * *", "'H' is not supported"),
    ("R(0-30) 6 * * *", "is not supported"),
    ("? 6 * * *", "'?' is not supported"),
    ("0 6 ? * *", "'?' is not supported"),
    ("0 6 L * *", "'L' is not supported"),
    ("0 6 * * 5#2", "'5#2' is not supported"),
    ("0 6 * * L5", "'L5' is not supported"),
    ("0 6 15W * *", "'15W' is not supported"),
    ("*/15,a * * * *", "is not supported"),
    ("0 6 JAN * *", "'JAN' is not supported"),
    ("@daily", "must be five cron fields"),
    ("@reboot", "must be five cron fields"),
    ("60 6 * * *", "whose numbers are in range"),
    ("*/0 6 * * *", "whose numbers are in range"),
    ("0 6 * * FOO", "whose numbers are in range"),
    ("0 0 30 2 *", "matches some date"),
    ("٣ 6 * * *", "is not supported"),
]


def test_invalid_schedules(file: Path, subtests: pytest.Subtests) -> None:
    for schedule, words in NO_SCHEDULES:
        with subtests.test(schedule=schedule, words=words):
            (line,) = problems(file, PAGE + f'schedule: "{schedule}"\n')
            assert line.startswith("m.yaml:30: schedule: ")
            assert words in line


# -- keys at the wrong level, and misspelt ones ------------------------------------------------------------------

LESS, FURTHER = "wrong indentation, indent it less", "wrong indentation, indent it further"
CHANNELS = "under channels.work_email, under channels.personal_email or under channels.phone"


INDENTED: list[tuple[str, str, str]] = [
    ("  phone:\n", "phone:\n", f"m.yaml:20: phone: {FURTHER}: phone belongs under channels"),
    ("  phone:\n", "    phone:\n", f"m.yaml:20: channels.work_email.phone: {LESS}: phone belongs under channels"),
    (
        "    opt_out: NoEmail__c",
        "  opt_out: NoEmail__c",
        f"m.yaml:19: channels.opt_out: {FURTHER}: opt_out belongs {CHANNELS}",
    ),
    ("  order: newest", "order: newest", f"m.yaml:7: order: {FURTHER}: order belongs under select"),
    ("  error: Error__c", "error: Error__c", f"m.yaml:26: error: {FURTHER}: error belongs under stamp"),
    (
        "  refresh_after: 180d",
        "refresh_after: 180d",
        f"m.yaml:29: refresh_after: {FURTHER}: refresh_after belongs under limits",
    ),
    (
        "  order: newest",
        "  schedule: '0 6 * * *'",
        f"m.yaml:7: select.schedule: {LESS}: schedule belongs at the top level of the file",
    ),
    (
        "  error: Error__c",
        "  limits: {}",
        f"m.yaml:26: stamp.limits: {LESS}: limits belongs at the top level of the file",
    ),
]


def test_a_key_at_the_wrong_level_is_an_indentation_error(file: Path, subtests: pytest.Subtests) -> None:
    for old, new, line in INDENTED:
        with subtests.test(old=old, new=new, line=line):
            begin = PAGE.index(old)
            text = PAGE[:begin] + new + PAGE[begin + len(old) :]
            if "phone" in new:  # with everything under it
                text = text.replace("    from: [lensmor]\n    field: Mob", "      from: [lensmor]\n      field: Mob")
                text = text.replace("    format:", "      format:")
                text = text.replace("    default_region", "      default_region")
            assert line in problems(file, text)


@pytest.mark.parametrize("remark", ["", "   # a remark", "\n\n    # a remark"])
def test_a_key_indented_without_its_own_keys(file: Path, remark: str) -> None:
    """Its keys then repeat those of the key above it."""
    assert problems(file, spoilt("  phone:", f"    phone:{remark}")) == [
        "m.yaml:20: phone: wrong indentation: indent it less, or indent its own keys further"
    ]


def test_a_repeated_key_is_not_an_indentation_error(file: Path) -> None:
    assert problems(file, spoilt("    format: e164", "    field: Phone")) == [
        "m.yaml:23: field: this key appears twice; keep one of them"
    ]


NO_PARTNER = "this is not valid YAML: the quote that begins here is not closed in its line; close it"
OPEN_QUOTES: list[tuple[str, str, int]] = [
    ('where: "IsConverted = false"', 'where: "IsConverted = false', 6),  # to the quotes of the schedule
    ('where: "IsConverted = false"', "where: 'IsConverted = false", 6),  # to the end
    ("default_region: US", "default_region: 'US", 24),
    ("{lensmor: 3000, sales", "{lensmor: '3000, sales", 28),
    ("from: [lensmor, sales", 'from: ["lensmor, sales', 14),
]


def test_an_open_quote_is_reported_at_its_line(file: Path, subtests: pytest.Subtests) -> None:
    for old, new, number in OPEN_QUOTES:
        with subtests.test(old=old, new=new, number=number):
            text = spoilt(old, new).replace("person:", '# schedule: "*/15 * * * *"\nperson:')
            assert problems(file, text) == [f"m.yaml:{number + (number > 7)}: {NO_PARTNER}"]


@pytest.mark.parametrize(
    ("old", "new"), [("order: newest", "order: 'newest"), ("  event_id: Event__c", '  event_id: *x # it\'s: "odd"')]
)
def test_closed_quotes_are_not_reported(file: Path, old: str, new: str) -> None:
    text = spoilt('where: "IsConverted = false"', 'where: "IsConverted\n    = false" # it\'s')
    (line,) = problems(file, text.replace(old, new))
    assert line.startswith("m.yaml:8: " if "newest" in new else "m.yaml:11: ")


MISSPELT: list[tuple[str, str, str]] = [
    ("schedule", "shedule", "did you mean schedule?"),
    ("  flag:", "  falg:", "did you mean flag?"),
    ("  linkedin_url:", "  linked_in_url:", "did you mean linkedin_url?"),
    ("    status:", "    statuses:", "did you mean status?"),
    ("  max_credits:", "  max_credit:", "did you mean max_credits?"),
    ("name:", "Name:", "did you mean name?"),
]


def test_a_misspelt_key_gets_a_suggestion(file: Path, subtests: pytest.Subtests) -> None:
    for old, new, hint in MISSPELT:
        with subtests.test(old=old, new=new, hint=hint):
            text = PAGE.replace("limits:", "schedule: '0 6 * * *'\nlimits:", 1)
            begin = text.index(old)
            text = text[:begin] + new + text[begin + len(old) :]
            assert any(hint in line for line in problems(file, text))


def test_misspelt_values_get_suggestions(file: Path) -> None:
    (line,) = problems(file, PAGE + "statuses:\n  notfound: Nichts\n")
    assert "did you mean not_found?" in line
    (line,) = problems(file, spoilt("write: if_empty", "write: if-empty"))
    assert line.endswith("must be 'if_empty' or 'overwrite'; did you mean if_empty?")


# -- the CRM, and flags ------------------------------------------------------------------------------------------


def test_naming_the_default_crm_changes_nothing(file: Path) -> None:
    plain = load(file).mapping
    named = load(file, "crm: salesforce\n" + PAGE).mapping
    assert named == plain
    assert named.digest() == plain.digest()


def test_the_digest_equals_that_of_a_file_without_the_crm(file: Path) -> None:
    """Workers and frozen plans of earlier versions identify these mappings by it."""
    plain = load(file).mapping
    assert '"crm"' not in plain.model_dump_json(exclude={"crm"})
    dumped = plain.model_dump_json(by_alias=True, exclude={"crm"})
    dumped = dumped.replace(',"stamp":null', "")  # of the channels, which earlier versions did not have
    earlier = hashlib.sha256(dumped.encode()).hexdigest()[:16]
    assert plain.digest() == earlier


@pytest.mark.parametrize(
    ("crm", "name"), [("hubspot", "hubspot"), ("Salesforce", "this CRM"), ("5", "this CRM"), ("[a]", "this CRM")]
)
def test_another_crm_is_refused(file: Path, crm: str, name: str) -> None:
    assert problems(file, f"crm: {crm}\n" + PAGE) == [
        f"m.yaml:1: crm: this version of the connector does not support {name}; write salesforce, or leave the key out"
    ]


def test_a_flag_with_equal_asks_and_done_is_refused(file: Path) -> None:
    (line,) = problems(file, spoilt("flag: Ask__c", "flag: {field: Ask__c, asks: Done, done: done}"))
    assert line.startswith("m.yaml:5: select.flag.done: asks and done have the same value")
