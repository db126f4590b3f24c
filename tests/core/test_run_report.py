"""The documented run report: its keys, the order of its outcomes, its exit codes."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from connector.core.errors import (
    AccountingError,
    ConfigurationError,
    ConnectorError,
    CreditsError,
    DownError,
    LockedError,
    LostAnswerError,
    MappingError,
    NotThereError,
    QuotaError,
    RefusedError,
    StopError,
    UnreachableError,
    UnsupportedError,
)
from connector.core.model import RECORD_OUTCOMES, Attention, Outcome
from connector.core.preview import CapInForce, CreditForecast, Preview
from connector.core.report import CrmFigures, ProviderCredits, PurchaseFigures, Report, iso

DOCUMENTED = json.loads("""
{"run_id": "r", "command": "sync", "mappings": ["lead"], "state": "finished",
 "selected": 300,
 "outcomes": {"delivered": 241, "failed": 4, "not_found": 30, "skipped": 20, "waiting": 5, "deferred": 0, "parked": 0,
              "unknown": 0},
 "channels": {"work_email": {"delivered": 200, "already_filled": 20, "not_found": 30, "failed": 2, "skipped": 43,
                             "waiting": 5, "deferred": 0, "parked": 0, "unknown": 0},
              "phone": {}},
 "purchases": {"lensmor": {"work_email": {"bought": 190, "delivered": 180, "without_value": 8, "failed": 2,
                                          "credits": 2850, "credits_without_value": 150}}},
 "credits": {"lensmor": {"held": 0, "charged": 3000, "balance_before": 9115, "balance_after": 6115},
             "salesfinity": {"held": 0, "charged": 12, "balance_before": 250, "balance_after": 238}},
 "crm": {"salesforce": {"read_calls": 2, "write_calls": 2, "other_calls": 3, "records_written": 295,
                        "records_unchanged": 5, "records_failed": 0}},
 "reasons": {"work_email": {"skipped": {"opted out (HasOptedOutOfEmail)": 13}}},
 "stopped": [],
 "started_at": "2026-11-20T10:00:00Z", "finished_at": "2026-11-20T10:00:41Z",
 "attention": [{"record_id": "00Q", "reason": "STRING_TOO_LONG", "field": "Phone", "next": "longer"}]}
""")
START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
REPORT = Report(
    run_id="r",
    command="sync",
    mappings=("lead",),
    state="finished",
    selected=300,
    outcomes={
        Outcome.DELIVERED: 241,
        Outcome.NOT_FOUND: 30,
        Outcome.FAILED: 4,
        Outcome.SKIPPED: 20,
        Outcome.WAITING: 5,
    },
    channels={
        "work_email": {
            Outcome.DELIVERED: 200,
            Outcome.ALREADY_FILLED: 20,
            Outcome.NOT_FOUND: 30,
            Outcome.FAILED: 2,
            Outcome.SKIPPED: 43,
            Outcome.WAITING: 5,
        },
        "phone": {},
    },
    purchases={"lensmor": {"work_email": PurchaseFigures(190, 180, 8, 2, credits=2850, credits_without_value=150)}},
    reasons={"work_email": {"skipped": {"opted out (HasOptedOutOfEmail)": 13}}},
    credits={
        "lensmor": ProviderCredits(0, 3000, 9115, 6115),
        "salesfinity": ProviderCredits(0, 12, 250, 238),
    },
    crm={"salesforce": CrmFigures(2, 2, 3, 295, 5, 0)},
    started_at=START,
    finished_at=START + timedelta(seconds=41, microseconds=999_999),
    attention=(Attention("STRING_TOO_LONG", "longer", "00Q", "Phone"),),
)


def _pruned(found: Any, documented: Any) -> Any:  # noqa: ANN401 JSON
    """The parts of a document under the documented keys; others are ignored."""
    if isinstance(documented, Mapping):
        return {key: _pruned(found[key], value) for key, value in documented.items()}
    return found


def test_the_report_has_the_documented_keys() -> None:
    assert _pruned(REPORT.to_json(), DOCUMENTED) == DOCUMENTED


def test_the_report_is_json_with_all_outcomes_in_order() -> None:
    again = json.loads(json.dumps(REPORT.to_json()))
    assert list(again["outcomes"]) == list(DOCUMENTED["outcomes"])
    assert sum(again["outcomes"].values()) == again["selected"]
    assert set(again["outcomes"]) == {outcome.value for outcome in RECORD_OUTCOMES}


def test_an_unknown_balance_is_null() -> None:
    report = replace(REPORT, credits={"lensmor": ProviderCredits(held=15)})
    credits_ = report.to_json()["credits"]["lensmor"]
    assert credits_ == {
        "held": 15, "charged": 0, "balance_before": None, "balance_after": None, "other_charges": None
    }  # fmt: skip


@pytest.mark.parametrize(("after", "other"), [(6115, 0), (5965, 150), (6200, -85)])
def test_other_charges_of_the_balance(after: int, other: int) -> None:
    assert ProviderCredits(0, 3000, 9115, after).other_charges == other


def test_the_attention_list_is_cut_and_counted() -> None:
    shown = replace(REPORT, attention_total=4_321).to_json()
    assert (len(shown["attention"]), shown["attention_total"]) == (1, 4_321)
    assert REPORT.to_json()["attention_total"] == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"attention": ()}, 0),
        ({"attention": (), "outcomes": {Outcome.WAITING: 5}}, 0),
        ({}, 3),
        ({"attention": (), "outcomes": {Outcome.DEFERRED: 1}}, 4),
        ({"attention": (), "outcomes": {Outcome.DEFERRED: 0}}, 0),
        ({"attention": (), "stopped": ("lensmor is down",)}, 4),
        ({"stopped": ("lensmor is down",)}, 4),
        ({"outcomes": {Outcome.DEFERRED: 1}}, 4),
    ],
)
def test_exit_codes_of_a_run(changes: dict[str, Any], code: int) -> None:
    assert replace(REPORT, **changes).exit_code == code


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ConnectorError, 1),
        (AccountingError, 1),
        (UnsupportedError, 1),
        (LostAnswerError, 1),
        (NotThereError, 1),
        (RefusedError, 1),
        (ConfigurationError, 2),
        (MappingError, 2),
        (StopError, 4),
        (CreditsError, 4),
        (QuotaError, 4),
        (DownError, 4),
        (UnreachableError, 4),
        (LockedError, 5),
    ],
)
def test_exit_codes_of_errors(kind: type[ConnectorError], code: int) -> None:
    assert kind.exit_code == code


def test_a_mapping_error_is_one_line_per_problem() -> None:
    assert str(MappingError(["a:1: x", "a:2: y"])) == "a:1: x\na:2: y"


def test_times_are_utc_in_whole_seconds() -> None:
    assert iso(datetime(2026, 11, 20, 12, 0, 1, 5, tzinfo=timezone(timedelta(hours=2)))) == "2026-11-20T10:00:01Z"


def test_a_plans_document_has_the_documented_keys() -> None:
    preview = Preview(
        mappings=("lead",),
        selected=559,
        credits={
            "lensmor": CreditForecast(
                8385,
                7700,
                9115,
                (CapInForce("cap of mapping lead per run", 3000, 2900, binds=True),),
                {"run": {"lead": 3000}, "day": None},
                {"work_email": 15},
                {"work_email": 193},
            )
        },
        would_buy={"lensmor": {"work_email": 559}},
        would_write=(("Lead", "Email", "lensmor", "if_empty", 559),),
        skips={"work_email": {"Email is already filled": 3}},
    )
    document = json.loads(json.dumps(preview.to_json()))
    assert document["credits"] == {
        "lensmor": {
            "worst_case": 8385,
            "expected": 7700,
            "balance": 9115,
            "balance_after": 6215,
            "prices": {"work_email": 15},
            "caps": {"run": {"lead": 3000}, "day": None},
            "caps_left": [
                {"name": "cap of mapping lead per run", "limit": 3000, "left": 2900, "binds": True, "of_mapping": False}
            ],
            "hit_rates": {},
            "covered": {"work_email": 193},
        },
    }
    assert {"would_buy", "would_write"} <= document.keys()
    assert document["skips"] == {"work_email": {"Email is already filled": 3}}
    assert document["would_write"] == [
        {"object": "Lead", "field": "Email", "from": "lensmor", "policy": "if_empty", "records": 559}
    ]
