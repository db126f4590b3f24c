"""Figures of proofs, shown at the end of the output and, on request, stored in RELIABILITY.md."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parent.parent / "RELIABILITY.md"
BEGIN, END = "<!-- figures: written by make test-long -->", "<!-- end of figures -->"
Figures = Callable[[str, str], None]


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Figures:
    """Reports a proof's figures: its name and the counts."""

    def report(proof: str, counted: str) -> None:
        record_property("figures", (proof, counted))

    return report


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-figures", action="store_true", help="write the figures into RELIABILITY.md")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    passed, failed = (_told(terminalreporter.stats.get(key, [])) for key in ("passed", "failed"))
    if not passed + failed:
        return
    terminalreporter.section("figures")
    for proof, counted in sorted(passed + failed):
        terminalreporter.write_line(f"{proof}: {counted}")
    if config.getoption("--keep-figures"):
        _keep(dict(passed))


def _told(reports: list[Any]) -> list[tuple[str, str]]:
    return [value for report in reports for name, value in report.user_properties if name == "figures"]


def _keep(found: dict[str, str]) -> None:
    """Replace the rows of the proofs that passed; other rows are kept."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    rows = [line.split(" | ", 2) for line in table.splitlines() if line.startswith("| ") and "---" not in line]
    known = {row[0].removeprefix("| "): (row[1], row[2].removesuffix(" |")) for row in rows[1:] if len(row) == 3}
    known |= {proof: (f"{datetime.now(UTC):%Y-%m-%d}", counted) for proof, counted in found.items()}
    lines = ["| Proof | Last long run | Counted |", "| --- | --- | --- |"]
    lines += [f"| {proof} | {day} | {counted} |" for proof, (day, counted) in sorted(known.items())]
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")
