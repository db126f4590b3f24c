"""Lines about caps and schedules, which are printed before anything is bought."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.app.limits_view import caps_lines, file_lines, no_daily_cap_lines, schedule_lines
from connector.app.mappings import CATALOG
from connector.config.mapping_file import load_mapping
from connector.core.mapping import Limits, MappingFile
from connector.engine.context import AccountLimits

NOW = datetime(2026, 11, 29, 10, 7, tzinfo=UTC)


def mapping(schedule: str | None = None, **limits: object) -> MappingFile:
    shipped = load_mapping(str(Path(__file__).parents[2] / "mappings" / "lead.yaml"), CATALOG).mapping
    return shipped.model_copy(update={"limits": Limits.model_validate(limits), "schedule": schedule})


def test_each_vendor_of_a_mapping_has_its_caps() -> None:
    lead = mapping(max_credits={"lensmor": 3000, "salesfinity": 200}, max_credits_per_day={"lensmor": 6000})
    limits = {"lensmor": AccountLimits(day=10_000, month=9_000, reserve=5), "salesfinity": AccountLimits()}
    assert caps_lines({"lead": lead}, limits) == [
        "Caps for lead: lensmor 3,000 a run, 6,000 a day (credits); salesfinity 200 a run (credits)",
        "Caps for lensmor, all runs: 10,000 a day, 9,000 a month (credits); the last 5 credits of the balance are kept",
        "Caps for salesfinity, all runs: no cap",
    ]


def test_a_missing_cap_and_a_cap_of_zero() -> None:
    lines = caps_lines({"lead": mapping(max_credits={"salesfinity": 0})}, {"lensmor": AccountLimits(day=0)})
    assert lines == [
        "Caps for lead: lensmor no cap; salesfinity 0 a run (credits)",
        "Caps for lensmor, all runs: 0 a day (credits)",
        "Caps for salesfinity, all runs: no cap",
    ]


def test_caps_of_an_unused_vendor_are_left_out() -> None:
    assert caps_lines({}, {"lensmor": AccountLimits(day=5)}) == []


def test_files_are_named() -> None:
    assert file_lines({"lead": Path("mappings/lead.yaml")}) == ["Mapping lead: mappings/lead.yaml"]


@pytest.mark.parametrize(
    ("due", "when"),
    [
        (datetime(2026, 11, 29, 10, 15, tzinfo=UTC), "next at 2026-11-29 10:15 UTC"),
        (NOW, "now (a time was missed)"),
        (datetime(2026, 11, 29, 9, 50, tzinfo=UTC), "now (a time was missed)"),
    ],
)
def test_the_next_time_of_a_schedule(due: datetime, when: str) -> None:
    mappings = {"lead": mapping("*/15 * * * *"), "contact": mapping()}
    lines = schedule_lines(mappings, {"lead": due}, NOW)
    assert lines == [
        f"Schedule for lead: */15 * * * *, {when}",
        "Schedule for contact: none; it runs on request only",
    ]
    (by_workers, _) = schedule_lines(mappings, {"lead": due}, NOW, by_workers=True)
    assert by_workers == f"{lines[0]} by the workers"


@pytest.mark.parametrize(
    ("own", "account", "warned"), [({}, {}, True), ({"lensmor": 600}, {}, False), ({}, {"lensmor": 9}, False)]
)
def test_a_missing_daily_cap_is_a_warning(own: dict[str, int], account: dict[str, int], warned: bool) -> None:
    limits = mapping().limits.model_copy(update={"max_credits_per_day": own})
    found = mapping().model_copy(update={"limits": limits})
    lines = no_daily_cap_lines({"lead": found}, {name: AccountLimits(day=cap) for name, cap in account.items()})
    about = [line for line in lines if "at lensmor" in line]
    assert bool(about) is warned
    assert all("CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR" in line for line in about)
