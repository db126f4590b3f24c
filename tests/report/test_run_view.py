"""The live view as text: what each stage shows, and how it fits a narrow terminal."""

import pytest

from connector.core.run_figures import ASKING, CrmCalls, ProviderFigures, RunCounts, RunFigures
from connector.report import run_view
from connector.report.run_view import StageView

COUNTS = RunCounts(1200, 300, 280, 7, {"lensmor": 1900}, {"lensmor": 120, "salesfinity": 1})
PROVIDERS = (ProviderFigures("lensmor", 1500, 300, 95, 171), ProviderFigures("salesfinity", 1, 1, 1, None))
FIGURES = RunFigures(COUNTS, PROVIDERS, CrmCalls("Salesforce", 36, 1204, 15000))


@pytest.mark.parametrize(
    ("view", "figures", "expected"),
    [
        (StageView("Reading records"), None, "Reading records, 0 s"),
        (StageView("Reading records", elapsed_s=3), RunFigures(), "Reading records, 3 s"),
        (
            StageView("Reading records", done=200, elapsed_s=61),
            RunFigures(RunCounts(200), (ProviderFigures("lensmor"),), CrmCalls("Salesforce", 1)),
            "Reading records, 1 min 1 s; Records: 200 read; Salesforce: 1 request",
        ),
        (
            StageView(ASKING, 3000, 5, 200, 730),
            FIGURES,
            "Asking the vendors, 972 of 3,000, 3 min 20 s, about 12 min left; "
            "Records: 1,200 read, 300 finished, 280 written, 7 to look up; "
            "lensmor: 1,900 to ask for, 120 waiting, 1,500 credits spent, 300 credits held, "
            "95 requests in the last minute (171 allowed); "
            "salesfinity: 1 waiting, 1 credit spent, 1 credit held, 1 request in the last minute; "
            "Salesforce: 36 requests, 1,204 of 15,000 of the day's quota used",
        ),
        (
            StageView("Writing to Salesforce", 900, 400, 7500),
            RunFigures(RunCounts(1200, 700, 650)),
            "Writing to Salesforce, 400 of 900, 2 h 5 min; Records: 1,200 read, 700 finished, 650 written",
        ),
        (
            StageView("Restoring values", 370, 110),
            RunFigures(RunCounts(written=110)),
            "Restoring values, 110 of 370, 0 s; Records: 110 written",
        ),
        (StageView(ASKING, 0), RunFigures(), "Asking the vendors, 0 of 0, 0 s"),
    ],
)
def test_each_stage_in_one_line(view: StageView, figures: RunFigures | None, expected: str) -> None:
    assert run_view.line(view, figures) == expected


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (StageView("Reading records"), "Reading records"),
        (StageView(ASKING, 1200), "Asking the vendors: 1,200 open"),
        (StageView("Writing to Salesforce", 0), "Writing to Salesforce: 0 open"),
    ],
)
def test_the_beginning_of_a_stage(view: StageView, expected: str) -> None:
    assert run_view.stage_line(view) == expected


@pytest.mark.parametrize("width", [30, 45, 60, 100])
def test_no_figure_is_lost_on_a_narrow_terminal(width: int) -> None:
    view = StageView(ASKING, 3000, 5, 200, 730)
    lines = run_view.block(view, FIGURES, width)
    longest = len("requests in the last minute (171 allowed)") + 5
    assert all(len(line) <= max(width, longest) for line in lines)
    together = " ".join(line.strip() for line in lines)
    assert together == run_view.line(view, FIGURES).replace("; ", " ")


def test_a_wide_terminal_has_one_line_for_each_vendor() -> None:
    lines = run_view.block(StageView(ASKING, 3000), FIGURES, 200)
    assert [line.partition(",")[0].partition(":")[0] for line in lines] == [
        "Asking the vendors",
        "Records",
        "lensmor",
        "salesfinity",
        "Salesforce",
    ]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "less than a minute left"),
        (29, "less than a minute left"),
        (31, "about 1 min left"),
        (3540, "about 59 min left"),
        (3600, "about 1 h left"),
        (4500, "about 1 h 15 min left"),
        (4620, "about 1 h 15 min left"),
        (360000, "about 100 h left"),
    ],
)
def test_an_estimate_is_rounded(seconds: float, expected: str) -> None:
    assert run_view.time_left(seconds) == expected


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (StageView("Reading records", done=5), None),
        (StageView("Writing to Salesforce", 10, 4), 6),
        (StageView("Writing to Salesforce", 10, 12), 0),
        (StageView(ASKING, 3000, 1, first_count=1), 2999),  # counted before the stage began
        (StageView(ASKING, 3000, 1), 2028),  # by the ledger, not by the steps of this process
    ],
)
def test_what_remains_of_a_stage(view: StageView, expected: int | None) -> None:
    assert run_view.remaining_of(view, FIGURES) == expected
