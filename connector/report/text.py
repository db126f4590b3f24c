"""Reports for a terminal: tables that stay readable through a pipe."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

SHOWN_REASONS = 12
SHOWN_ATTENTION = 10
_STATE_STYLE = {"finished": "green", "stopped": "yellow", "failed": "red", "died": "red", "running": "cyan"}


def report(document: Mapping[str, Any]) -> RenderableType:
    """A run report, from its JSON document."""
    tables = [_channels(document), _credits(document), _salesforce(document), _reasons(document.get("reasons", {}))]
    parts: list[RenderableType] = [_headline(document), _outcomes(document)]
    parts += [table for table in tables if table is not None]
    parts += [Text(f"Stopped early: {text}", style="yellow") for text in document.get("stopped", [])]
    parts += _attention(document.get("attention", []))
    return Group(*parts)


def _headline(document: Mapping[str, Any]) -> Text:
    state = str(document.get("state", ""))
    text = Text.assemble("Run ", (str(document.get("run_id")), "bold"), f" ({document.get('command')}) ")
    text.append(state, style=_STATE_STYLE.get(state, ""))
    text.append(f": {document.get('selected')} records of {', '.join(document.get('mappings', []))}")
    return text


def _outcomes(document: Mapping[str, Any]) -> Table:
    table = _table("Records", "Count")
    for outcome, count in document.get("outcomes", {}).items():
        if count:
            table.add_row(outcome.replace("_", " "), str(count))
    table.add_row("selected", str(document.get("selected", 0)), style="bold")
    return table


def _channels(document: Mapping[str, Any]) -> Table | None:
    channels = {name: counts for name, counts in document.get("channels", {}).items() if counts}
    if not channels:
        return None
    table = _table("Channel", "Delivered", "Not found", "Failed")
    for name, counts in channels.items():
        table.add_row(
            name.replace("_", " "), *(str(counts.get(result, 0)) for result in ("delivered", "not_found", "failed"))
        )
    return table


def _credits(document: Mapping[str, Any]) -> Table | None:
    rows = document.get("credits", {})
    if not rows:
        return None
    table = _table("Credits", "Charged", "Still held", "Balance before", "Balance after")
    for name, c in rows.items():
        before, after = (_number(c.get(key)) for key in ("balance_before", "balance_after"))
        table.add_row(name, _number(c.get("charged")), _number(c.get("held")), before, after)
    return table


def _salesforce(document: Mapping[str, Any]) -> Table:
    figures = document.get("salesforce", {})
    table = _table("Salesforce", "Count")
    for key, label in (
        ("read_calls", "read calls"),
        ("write_calls", "write calls"),
        ("other_calls", "other calls"),
        ("records_written", "records written"),
        ("records_unchanged", "records left as they were"),
        ("records_failed", "records refused"),
    ):
        if figures.get(key) or key in {"write_calls", "records_written"}:
            table.add_row(label, str(figures.get(key, 0)))
    return table


def _reasons(reasons: Mapping[str, Mapping[str, int]]) -> Table | None:
    rows = sorted(((n, outcome, text) for outcome, found in reasons.items() for text, n in found.items()), reverse=True)
    if not rows:
        return None
    table = _table("Reasons", "Records", "Why")
    for count, outcome, text in rows[:SHOWN_REASONS]:
        table.add_row(outcome.replace("_", " "), str(count), escape(text))
    if len(rows) > SHOWN_REASONS:
        table.add_row("...", "", f"{len(rows) - SHOWN_REASONS} more; see: connector export RUN --csv FILE")
    return table


def _attention(rows: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    if not rows:
        return []
    table = _table("Needs a look", "Why", "What to do")
    for row in rows[:SHOWN_ATTENTION]:
        field = f" ({row.get('field')})" if row.get("field") else ""
        table.add_row(
            str(row.get("record_id") or "-"), escape(f"{row.get('reason')}{field}"), escape(str(row.get("next")))
        )
    if len(rows) > SHOWN_ATTENTION:
        table.add_row("...", f"{len(rows) - SHOWN_ATTENTION} more", "see: connector export RUN --csv FILE")
    return [table]


def preview(document: Mapping[str, Any]) -> RenderableType:
    """A dry run, from its JSON document."""
    parts: list[RenderableType] = [
        Text(f"Plan for {document['selected']} records of {', '.join(document['mappings'])}; nothing was done.")
    ]
    buy = _table("Would buy", "Channel", "People")
    for name, channels in document["would_buy"].items():
        for channel, count in channels.items():
            buy.add_row(name, channel.replace("_", " "), str(count))
    for name, count in document["would_ask_next"].items():
        buy.add_row(name, "where the source before finds nothing", f"up to {count}")
    money = _table("Credits", "Worst case", "Expected", "Balance", "Caps allow")
    for name, c in document["credits"].items():
        cap = "no limit" if c["cap"] is None else _number(c["cap"])
        money.add_row(name, _number(c["worst_case"]), _number(c["expected"]), _number(c["balance"]), cap)
    writes = _table("Would write", "Field", "From", "Policy", "Records, at most")
    for row in document["would_write"]:
        writes.add_row(row["object"], row["field"], row["from"], row["policy"], str(row["records"]))
    skips = _table("Would skip", "Channels of records")
    for reason, count in document["skips"].items():
        skips.add_row(escape(reason), str(count))
    parts += [table for table in (buy, money, writes, skips) if table.row_count]
    if document["joins"]:
        parts.append(Text(f"{document['joins']} more share a purchase with another record, or reuse one, for nothing."))
    return Group(*parts)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A plain list; cells are shown as they are."""
    found = _table(title, *columns)
    for row in rows:
        found.add_row(*(escape(str(cell)) for cell in row))
    return found


def width_of(console: Console) -> int:
    """Enough for the tables through a pipe, the terminal's own width otherwise."""
    return console.width if console.is_terminal else max(console.width, 140)


def _table(first: str, *others: str) -> Table:
    made = Table(show_edge=False, pad_edge=False, header_style="bold", box=None, padding=(0, 2))
    made.add_column(first, no_wrap=len(others) < 2 or first in {"Credits", "Reasons"})
    for name in others:
        numeric = name in _NUMERIC
        made.add_column(name, justify="right" if numeric else "left", no_wrap=numeric)
    return made


_NUMERIC = {
    "Count",
    "Delivered",
    "Not found",
    "Failed",
    "Charged",
    "Still held",
    "Balance before",
    "Balance after",
    "Records",
    "People",
    "Worst case",
    "Expected",
    "Balance",
    "Caps allow",
    "Records, at most",
    "Channels of records",
}


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "-"
