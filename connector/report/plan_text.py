"""A plan for a terminal: the forecast of a run, and a frozen plan for the person who approves it."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from connector.report.tables import counted, new_table, number, words

SHOWN_SKIPS = 10


def preview(document: Mapping[str, Any]) -> RenderableType:
    """Render a plan from its JSON document."""
    mappings = ", ".join(document["mappings"])
    parts: list[RenderableType] = [
        Text(f"Plan for {counted(document['selected'], 'record')} of {mappings}; nothing was done.")
    ]
    tables = [
        _would_buy(document),
        _forecasts(document),
        _history(document),
        _caps(document),
        _would_write(document),
        _skips(document),
    ]
    parts += [part for table in tables if table.row_count for part in (table, Text())]
    parts += _coverage(document)
    if document["joins"]:
        parts.append(Text(f"{document['joins']} more share a purchase with another record, or reuse one, at no cost."))
    parts += [Text(_crm_calls(name, calls)) for name, calls in document.get("crm", {}).items()]
    parts += [Text(f"Note: {note}", style="yellow") for note in document.get("notes", [])]
    return Group(*parts)


def frozen(document: Mapping[str, Any]) -> RenderableType:
    """Render a frozen plan from its summary."""
    how = "a condition or ids" if document["chosen"] else "their flag"
    head = (
        f"Plan {document['plan_id']}, made {document['made_at']} for {counted(document['records'], 'record')} of "
        f"{document['org']}, chosen by {how}; nothing was done."
    )
    buys = new_table("May buy", "Object", "Channel", "People, at most")
    for mapping in document["mappings"]:
        for channel, people in mapping["buys"].items():
            buys.add_row(mapping["name"], mapping["object"], words(channel), number(people))
    ceiling = new_table("Vendor", "Account", "Prices", "Credits, at most")
    for name, credits_ in document["ceiling"].items():
        prices = ", ".join(f"{words(channel)} {price:,}" for channel, price in document["prices"][name].items())
        ceiling.add_row(name, escape(document["accounts"][name]), prices, number(credits_))
    free = f"{counted(document['free'], 'record')} of them cost nothing: a value is reused, or nothing is bought."
    end = (
        "All runs of this plan together never cost more. A record that changed since is left unchanged. The plan is "
        "void once a mapping, the org, an account or a price changes."
    )
    parts: list[RenderableType] = [Text(head), Text()]
    for shown in (buys, ceiling):
        parts += [shown, Text()] if shown.row_count else []
    return Group(*parts, *([Text(free)] if document["free"] else []), Text(end))


def _crm_calls(name: str, calls: Mapping[str, Any]) -> str:
    left = calls["left_today"]
    known = "" if left is None else f"; {left:,} are left today, without the reserve"
    return f"At most {calls['most_calls']:,} requests to {name}{known}."


def _would_buy(document: Mapping[str, Any]) -> Table:
    found = new_table("Would buy", "Channel", "People", "Price")
    for name, channels in document["would_buy"].items():
        prices = document["credits"].get(name, {}).get("prices", {})
        for channel, count in channels.items():
            price = prices.get(channel.removesuffix(" after lookup"))
            found.add_row(name, words(channel), str(count), number(price))
    for name, count in document["would_ask_next"].items():
        prices = set(document["credits"].get(name, {}).get("prices", {}).values())
        price = number(prices.pop()) if len(prices) == 1 else "by channel"
        found.add_row(name, "if the previous source finds nothing", f"up to {count}", price)
    return found


def _forecasts(document: Mapping[str, Any]) -> Table:
    found = new_table("Credits", "Worst case", "Expected", "Balance", "Balance after, at least")
    for name, c in document["credits"].items():
        found.add_row(name, *(number(c[key]) for key in ("worst_case", "expected", "balance", "balance_after")))
    return found


def _history(document: Mapping[str, Any]) -> Table:
    """The hit rates from which the expected cost was computed."""
    found = new_table("History", "Channel", "With a value", "Answers")
    for name, c in document["credits"].items():
        for channel, rate in c["hit_rates"].items():
            share = f"{100 * rate['with_value'] / rate['answers']:.0f} %"
            found.add_row(name, words(channel), share, number(rate["answers"]))
    return found


def _caps(document: Mapping[str, Any]) -> Table:
    found = new_table("Caps of", "Cap", "Limit", "Left", "Binds")
    for name, c in document["credits"].items():
        for cap in c["caps_left"]:
            found.add_row(name, cap["name"], number(cap["limit"]), number(cap["left"]), "yes" if cap["binds"] else "")
    return found


def _coverage(document: Mapping[str, Any]) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for name, c in document["credits"].items():
        for channel, covered in c["covered"].items():
            planned = sum(
                count
                for label, count in document["would_buy"].get(name, {}).items()
                if label.removesuffix(" after lookup") == channel
            )
            people = f"about {covered:,} of {planned:,} people for {words(channel)}"
            lines.append(Text(f"The caps of {name} cover {people}; the others are deferred.", style="yellow"))
    return lines


def _would_write(document: Mapping[str, Any]) -> Table:
    found = new_table("Would write", "Field", "From", "Policy", "Records, at most")
    for row in document["would_write"]:
        found.add_row(row["object"], row["field"], row["from"], row["policy"], str(row["records"]))
    return found


def _skips(document: Mapping[str, Any]) -> Table:
    found = new_table("Channel", "Records", "Would be skipped because")
    rows = [
        (count, channel, reason) for channel, reasons in document["skips"].items() for reason, count in reasons.items()
    ]
    rows.sort(key=lambda row: (-row[0], row[1], row[2]))
    for count, channel, reason in rows[:SHOWN_SKIPS]:
        found.add_row(words(channel), str(count), escape(reason))
    if len(rows) > SHOWN_SKIPS:
        records = sum(count for count, _, _ in rows[SHOWN_SKIPS:])
        found.add_row("...", str(records), f"{len(rows) - SHOWN_SKIPS} more reasons; see: connector plan --json")
    return found
