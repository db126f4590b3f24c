"""Renders BENCHMARKS.md from results; measures nothing."""

from collections.abc import Iterable

from benchmarks.figures import Figure, Results, Section, Table
from benchmarks.reasons import REASONS

RESULT_WORDS = {True: "met", False: "**missed**", None: ""}

INTRODUCTION = """# Benchmarks

`{command}` wrote this page. `make bench` measures everything, `make bench-quick` the main figures with 10,000 Leads.
Python {python}, {cores} cores, {system}.

The simulated sites run in a process of their own, and so does every measured command: CPU is the user and system time
of the whole process, with the start of Python and all imports, and memory its peak, both as the operating system counts
them. The PostgreSQL server is a throw-away one that does not wait for the disk, and its CPU is not included. Values are
medians where a scenario says so. Other work on the same machine disturbs them: compare the ratios, not the seconds.
"""


def render(results: Results) -> str:
    """The whole page."""
    parts = [
        INTRODUCTION.format(command=results.command, python=results.python, cores=results.cores, system=results.system),
        _summary(results.sections),
        *(_section(section) for section in results.sections),
    ]
    return "\n".join(parts)


def shown(value: float, unit: str = "") -> str:
    """A number with its unit: whole if it is large, with as many places as it needs if it is small."""
    size = abs(value)
    if size >= 100 or (float(value).is_integer() and not unit):
        text = f"{value:,.0f}"
    elif size >= 10:
        text = f"{value:.1f}"
    else:
        text = f"{value:.2f}"
    if unit == "%":
        return f"{text}%"
    return f"{text} {unit}" if unit else text


def aim(figure: Figure) -> str:
    """The aim in words; empty without one."""
    if figure.at_most is not None and figure.at_most == figure.at_least:
        return f"exactly {shown(figure.at_most, figure.unit)}"
    words = []
    if figure.at_most is not None:
        words.append(f"at most {shown(figure.at_most, figure.unit)}")
    if figure.at_least is not None:
        words.append(f"at least {shown(figure.at_least, figure.unit)}")
    return ", ".join(words)


def _summary(sections: Iterable[Section]) -> str:
    pairs = [(section, figure) for section in sections for figure in section.figures if figure.met is not None]
    missed = [(section, figure) for section, figure in pairs if not figure.met]
    lines = [f"{len(pairs) - len(missed)} of {len(pairs)} aims are met." + (" Missed:" if missed else ""), ""]
    lines += [f"- {section.title}: {figure.name}: {_measured(figure)}, {aim(figure)}" for section, figure in missed]
    failed = [section for section in sections if section.failed]
    if failed:
        lines += ["", "Failed: " + ", ".join(section.title for section in failed) + "."]
    return "\n".join(lines).rstrip() + "\n"


def _measured(figure: Figure) -> str:
    return shown(figure.value, figure.unit)


def _section(section: Section) -> str:
    lines = [f"## {section.title}", ""]
    if section.failed:
        lines += [f"**failed: {section.failed}**", ""]
    if section.skipped:
        lines += [f"Not measured: {section.skipped}.", ""]
    if section.figures:
        lines += ["| | measured | aim | |", "| --- | ---: | ---: | --- |"]
        lines += [_row(figure) for figure in section.figures]
        lines.append("")
    if section.table is not None:
        lines += [*_table(section.table), ""]
    if section.text:
        lines += [section.text.strip(), ""]
    if section.name in REASONS and any(figure.met is False for figure in section.figures):
        lines += [f"Why an aim is missed: {REASONS[section.name].strip()}", ""]
    return "\n".join(lines)


def _row(figure: Figure) -> str:
    words = ", ".join(part for part in (RESULT_WORDS[figure.met], figure.note) if part)
    return f"| {figure.name} | {_measured(figure)} | {aim(figure)} | {words} |"


def _table(table: Table) -> list[str]:
    marks = ["---", *("---:" for _ in table.head[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (table.head, marks, *table.rows)]
