"""The page of the benchmark: figures beside their aims, what was missed, what failed, and the floors."""

import pytest

from benchmarks import floors, run
from benchmarks.figures import Figure, Results, Section, SkippedError, Table
from benchmarks.lab import QUICK, Lab
from benchmarks.page import aim, render, shown

CHEAP = Figure("CPU", 3.5, "s", at_most=4, note="cheap")
DEAR = Figure("Share", 91.25, "%", at_least=95)
EXACT = Figure("POSTs", 200, at_most=200, at_least=200)
PLAIN = Figure("Elapsed", 1234.5, "s")
TABLE = Table(("Leads", "ours", "theirs"), (("calls", "66", "10,020"),))


def results(*sections: Section) -> Results:
    return Results("make bench", "3.11.7", "Linux on x86_64", 2, sections)


def test_a_page_has_each_figure_with_its_aim() -> None:
    page = render(results(Section("cost", "Cost", (CHEAP, DEAR, EXACT, PLAIN), "How it was measured.", TABLE)))
    for line in (
        "| CPU | 3.50 s | at most 4.00 s | met, cheap |",
        "| Share | 91.2% | at least 95.0% | **missed** |",
        "| POSTs | 200 | exactly 200 | met |",
        "| Elapsed | 1,234 s |  |  |",
        "| Leads | ours | theirs |",
        "| --- | ---: | ---: |",
        "| calls | 66 | 10,020 |",
        "2 of 3 aims are met. Missed:",
        "- Cost: Share: 91.2%, at least 95.0%",
        "How it was measured.",
    ):
        assert line in page.splitlines(), line


def test_a_page_names_what_failed_and_what_was_left_out() -> None:
    page = render(results(Section("pace", "Pace", failed="no answer"), Section("views", "Views", skipped="no ledger")))
    for line in ("**failed: no answer**", "Failed: Pace.", "Not measured: no ledger."):
        assert line in page.splitlines(), line


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (Figure("x", 4.0, at_most=4.0), True),
        (Figure("x", 4.01, at_most=4.0), False),
        (Figure("x", 95.0, at_least=95.0), True),
        (Figure("x", 94.9, at_least=95.0), False),
        (Figure("x", 199, at_most=200, at_least=200), False),
        (Figure("x", 201, at_most=200, at_least=200), False),
        (Figure("x", 1.0), None),
    ],
)
def test_an_aim_is_met_or_missed(figure: Figure, met: bool | None) -> None:
    assert figure.met is met


def test_numbers_have_as_many_places_as_they_need() -> None:
    given = [(10_000, ""), (0, ""), (1.25, ""), (1.0, "s"), (24.13, "s"), (149.6, "MB"), (1e6, "bytes")]
    assert [shown(value, unit) for value, unit in given] == [
        *("10,000", "0", "1.25", "1.00 s", "24.1 s", "150 MB", "1,000,000 bytes")
    ]
    assert aim(Figure("x", 1, at_most=0)) == "at most 0"


def test_results_survive_their_file() -> None:
    given = results(Section("cost", "Cost", (CHEAP, DEAR), "Text.", TABLE, seconds=2.5), Section("a", "A", failed="x"))
    assert Results.from_json(given.to_json()) == given
    assert given.failed


@pytest.mark.parametrize("text", ["{}", '{"sections": [{"names": 1}]}', "[]"])
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no results"):
        Results.from_json(text)


def test_a_failing_scenario_keeps_the_others_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_lab: Lab) -> Section:
        raise RuntimeError("the vendor did not answer")

    def skips(_lab: Lab) -> Section:
        raise SkippedError("no option")

    scenarios = {"a": ("A", fails), "b": ("B", skips), "c": ("C", lambda _lab: Section("c", "C", (CHEAP,)))}
    monkeypatch.setattr(run, "SCENARIOS", scenarios)
    found = run.measure(QUICK, tuple(scenarios), "make bench")
    assert [one.failed for one in found.sections] == ["the vendor did not answer", "", ""]
    assert [one.skipped for one in found.sections] == ["", "no option", ""]
    assert found.sections[2].figures == (CHEAP,)
    assert found.failed


def test_floors() -> None:
    assert [floors.read_calls(count) for count in (0, 1, 2_000, 2_001)] == [0, 1, 1, 2]
    assert floors.read_calls(10_000, passes=2) == 10
    assert [floors.write_calls(count) for count in (200, 201)] == [1, 2]
    assert floors.submissions(10_000, channels=2) == 200
    assert floors.submissions(101, channels=1) == 2


def test_the_share_of_a_limit_counts_the_gaps_between_requests() -> None:
    assert floors.share_used([float(second) for second in range(61)], 60) == 1.0
    assert floors.share_used([float(second) for second in range(0, 61, 2)], 60) == 0.5
    for times in ([], [1.0], [1.0, 1.0]):
        with pytest.raises(ValueError, match="different times"):
            floors.share_used(times, 60)


def test_only_a_missed_aim_has_a_reason() -> None:
    missed, met = Section("cost", "Cost", (DEAR,)), Section("cost", "Cost", (CHEAP,))
    assert "Why an aim is missed: Of 11.4 s" in render(results(missed))
    assert "Why an aim is missed" not in render(results(met))
