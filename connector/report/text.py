"""Reports for a terminal: tables that stay readable through a pipe."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from connector.report import next_steps
from connector.report.tables import counted, new_table, number, words

SHOWN_REASONS = 12
SHOWN_ATTENTION = 10
_STATE_STYLE = {"finished": "green", "stopped": "yellow", "failed": "red", "interrupted": "red", "running": "cyan"}


def report(document: Mapping[str, Any]) -> RenderableType:
    """Render a run report from its JSON document."""
    if document.get("command") == "undo":
        return Group(*_undo(document))
    tables = [
        _outcomes(document),
        _channels(document),
        _purchases(document),
        _credits(document),
        _crm(document),
        _reasons(document),
    ]
    parts: list[RenderableType] = [_headline(document), *_notes(document)]
    parts += [part for table in tables if table is not None for part in (table, Text())]
    parts += _other_charges(document)
    parts += [Text(f"Stopped early: {text}", style="yellow") for text in document.get("stopped", [])]
    parts += [Text(line, style="yellow") for line in next_steps.deferred(document)]
    parts += _attention(document)
    return Group(*parts)


def _headline(document: Mapping[str, Any]) -> Text:
    state = str(document.get("state", ""))
    text = Text.assemble("Run ", (str(document.get("run_id")), "bold"), f" ({document.get('command')}) ")
    text.append(state, style=_STATE_STYLE.get(state, ""))
    mappings = ", ".join(document.get("mappings", []))
    text.append(f": {counted(document.get('selected'), 'record')}" + (f" of {mappings}" if mappings else ""))
    return text


def _notes(document: Mapping[str, Any]) -> list[RenderableType]:
    """Notes about the run as a whole: the undo that restored its values, and that its details were condensed."""
    undo, condensed = document.get("undone_by"), str(document.get("condensed", ""))
    lines = [f"Undone by run {undo}; see: connector show {undo}"] if undo else []
    lines += [f"{condensed[0].upper()}{condensed[1:]}."] if condensed else []
    return [Text(line, style="yellow") for line in lines]


def _undo(document: Mapping[str, Any]) -> list[RenderableType]:
    """The report of an undo: restored records and fields, no channels and no purchases."""
    outcomes, crm = document.get("outcomes", {}), document.get("crm", {})
    written = sum(figures.get("records_written", 0) for figures in crm.values())
    table = new_table("Records", "Count")
    for outcome, label in _UNDO_LABELS.items():
        if outcomes.get(outcome):
            table.add_row(label, str(outcomes[outcome]))
    table.add_row("records of the run", str(document.get("selected", 0)), style="bold")
    fields = new_table("Restored field", "Records")
    for name, count in document.get("restored", {}).items():
        fields.add_row(name, str(count))
    parts: list[RenderableType] = [_headline(document), *_notes(document), Text(_undo_summary(document, written))]
    parts += [shown for shown in (table, fields) if document.get("selected") and shown.row_count]
    parts += [Text(f"Stopped early: {text}", style="yellow") for text in document.get("stopped", [])]
    return parts + _attention(document)


def _undo_summary(document: Mapping[str, Any], written: int) -> str:
    run = document.get("undoes", "")
    if not document.get("selected"):
        return (
            f"There was nothing to undo: run {run} wrote no record, or its changes have been undone already or are too "
            "old (CONNECTOR_UNDO_DAYS)."
        )
    return f"Undid run {run}: {counted(written, 'record')} restored. Credits stay spent."


def outcome(command: str, name: str) -> str:
    """The label of an outcome in the list of runs; an undo has labels of its own."""
    label = _UNDO_LABELS.get(name, "") if command == "undo" else ""
    return label.partition(":")[0] or words(name)


_UNDO_LABELS = {
    "delivered": "restored",
    "skipped": "left unchanged: no value of the run is left in it",
    "failed": "refused",
    "deferred": "not reached yet",
}


def _outcomes(document: Mapping[str, Any]) -> Table:
    table = new_table("Records", "Count")
    for outcome, count in document.get("outcomes", {}).items():
        if count:
            table.add_row(words(outcome), str(count))
    table.add_row("selected", str(document.get("selected", 0)), style="bold")
    return table


def _channels(document: Mapping[str, Any]) -> Table | None:
    """One line per channel, which sums to the records whose mapping has it; empty columns are left out."""
    channels = document.get("channels", {})
    shown = [outcome for outcome in _CHANNEL_COLUMNS if any(counts.get(outcome) for counts in channels.values())]
    if not shown:
        return None
    table = new_table("Channel", *(words(outcome).capitalize() for outcome in shown), "Records")
    for name, counts in channels.items():
        cells = [str(counts.get(outcome, 0)) for outcome in shown]
        table.add_row(words(name), *cells, str(sum(counts.get(outcome, 0) for outcome in _CHANNEL_COLUMNS)))
    return table


_CHANNEL_COLUMNS = (
    *("delivered", "already_filled", "not_found", "failed", "skipped"),
    *("waiting", "deferred", "parked", "unknown"),
)


def _purchases(document: Mapping[str, Any]) -> Table | None:
    rows = [
        (provider, channel, figures)
        for provider, by_channel in document.get("purchases", {}).items()
        for channel, figures in by_channel.items()
    ]
    if not rows:
        return None
    table = new_table(
        "Purchases", "Channel", "Bought", "Delivered", "Without value", "Failed", "Credits", "Credits per value"
    )
    for provider, channel, f in rows:
        each = f"{f['credits'] / f['delivered']:,.1f}" if f["delivered"] else "-"
        people = (number(f[key]) for key in ("bought", "delivered", "without_value", "failed", "credits"))
        table.add_row(provider, words(channel), *people, each)
        more = [(key, label) for key, label in _MORE_PEOPLE.items() if f.get(key)]
        for key, label in more:
            table.add_row("", f"{words(channel)}, {label}", number(f[key]), "", "", "", "", "")
    return table


_MORE_PEOPLE = {"free": "shown at no cost", "waiting": "still running", "unknown": "answer lost"}


def _credits(document: Mapping[str, Any]) -> Table | None:
    rows = document.get("credits", {})
    if not rows:
        return None
    table = new_table("Credits", "Balance before", "Charged", "Balance after", "Still held")
    for name, c in rows.items():
        before, after = (number(c.get(key)) for key in ("balance_before", "balance_after"))
        table.add_row(name, before, number(c.get("charged")), after, number(c.get("held")))
    return table


def _other_charges(document: Mapping[str, Any]) -> list[RenderableType]:
    """Explanations for each balance that did not fall by exactly this run's charges."""
    lines: list[RenderableType] = []
    for name, c in document.get("credits", {}).items():
        other = c.get("other_charges")
        if other:
            fell = c["balance_before"] - c["balance_after"]
            why = (
                "open requests, requests of earlier runs, or other users of the account"
                if other > 0
                else "charged before this run began, added to the account, or not charged by the vendor yet"
            )
            lines.append(
                Text(
                    f"The balance of {name} fell by {fell:,} credits; this run's charges are {c['charged']:,}. "
                    f"The difference of {abs(other):,}: {why}."
                )
            )
    return lines


def _crm(document: Mapping[str, Any]) -> Table:
    table = new_table("CRM", "Count")
    for name, figures in document.get("crm", {}).items():
        for key, label in _CRM_LABELS.items():
            if figures.get(key) or key in {"write_calls", "records_written"}:
                table.add_row(f"{name.capitalize()}: {label}", str(figures.get(key, 0)))
    return table


_CRM_LABELS = {
    "read_calls": "read calls",
    "write_calls": "write calls",
    "other_calls": "other calls",
    "records_written": "records written",
    "records_unchanged": "records left as they were",
    "records_failed": "records refused",
}


def _reasons(document: Mapping[str, Any]) -> Table | None:
    rows = [
        (channel, outcome, text, count)
        for channel, by_outcome in document.get("reasons", {}).items()
        for outcome, found in by_outcome.items()
        for text, count in found.items()
        if outcome != "already_filled"  # the channel table has the number
    ]
    if not rows:
        return None
    rows.sort(key=lambda row: (-row[3], row[0], row[1], row[2]))
    table = new_table("Channel", "Outcome", "Records", "Reason")
    for channel, outcome, text, count in rows[:SHOWN_REASONS]:
        table.add_row(words(channel), words(outcome), str(count), escape(text))
    if len(rows) > SHOWN_REASONS:
        table.add_row("...", "", "", f"{len(rows) - SHOWN_REASONS} more; see: {_export(document)}")
    return table


def _attention(document: Mapping[str, Any]) -> list[RenderableType]:
    rows = document.get("attention", [])
    if not rows:
        return []
    table = new_table("Needs attention", "Why", "What to do")
    for row in rows[:SHOWN_ATTENTION]:
        field = f" ({row.get('field')})" if row.get("field") else ""
        table.add_row(
            str(row.get("record_id") or "-"), escape(f"{row.get('reason')}{field}"), escape(str(row.get("next")))
        )
    left = max(document.get("attention_total", 0), len(rows)) - SHOWN_ATTENTION
    if left > 0:
        table.add_row("...", f"{left} more", f"see: {_export(document)}")
    return [table]


def _export(document: Mapping[str, Any]) -> str:
    return f"connector export {document.get('run_id')} --csv outcomes.csv"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table of the given rows; markup in cells is escaped."""
    found = new_table(title, *columns)
    for row in rows:
        found.add_row(*(escape(str(cell)) for cell in row))
    return found


def width_of(console: Console) -> int:
    """The width in characters: the terminal's own, or through a pipe at least 140, which is enough for the tables."""
    return console.width if console.is_terminal else max(console.width, 140)
