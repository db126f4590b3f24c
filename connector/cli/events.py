"""Commands for the events that a provider sells: list, show, unlock."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.text import Text

from connector.cli.common import confirm, env_option, json_option, say, show, yes_option
from connector.cli.live import LiveProgress
from connector.core.errors import ConfigurationError, NotThereError
from connector.report import text


@click.group()
def events() -> None:
    """Events that a provider sells: list, show (a free preview), unlock (asks first)."""


@events.command("list")
@click.option("--keyword", help="Words in the event's name.")
@click.option("--country", help="Country of the event.")
@click.option("--city", help="City of the event.")
@click.option("--from", "starts_from", metavar="YYYY-MM-DD", help="Starts on this day or later.")
@click.option("--page", type=click.IntRange(min=1), default=1, show_default=True)
@json_option
@env_option
def list_events(
    keyword: str | None,
    country: str | None,
    city: str | None,
    starts_from: str | None,
    page: int,
    as_json: bool,
    env_file: Path | None,
) -> None:
    """Search the catalogue of events (free).

    \b
    Example:
      connector events list --keyword robotics
    """
    from connector.app.events import EventFilter, Events

    with Events(env_file).looking() as catalogue:
        found, total = catalogue.search(EventFilter(keyword or "", country or "", city or "", starts_from or ""), page)
    document = {
        "total": total,
        "events": [
            {"event_id": e.event_id, "name": e.name, "starts": e.starts, "ends": e.ends, "place": e.place}
            for e in found
        ],
    }
    rows = [(e.event_id, e.name, e.starts, e.ends, e.place) for e in found]
    show(document, as_json=as_json, render=lambda _: text.table("Event", ("Name", "Starts", "Ends", "Place"), rows))


@events.command("show")
@click.argument("event_id")
@json_option
@env_option
def show_event(event_id: str, as_json: bool, env_file: Path | None) -> None:
    """Preview an event (free): access, number of people, price of an unlock.

    \b
    Example:
      connector events show 52001
    """
    from connector.app.events import Events

    with Events(env_file).looking() as catalogue, _missing_event_reported(event_id):
        found = catalogue.preview(event_id)
    document = {
        "event_id": found.event.event_id,
        "name": found.event.name,
        "starts": found.event.starts,
        "ends": found.event.ends,
        "place": found.event.place,
        "access": found.access,
        "people": found.total,
        "visible": found.visible,
        "locked": found.locked,
        "unlock_credits": found.price_credits,
    }
    rows = [(key.replace("_", " "), "-" if value is None else value) for key, value in document.items()]
    show(document, as_json=as_json, render=lambda _: text.table("Event", ("",), rows))


@events.command("unlock")
@click.argument("event_id")
@yes_option
@json_option
@env_option
@click.pass_context
def unlock_event(ctx: click.Context, event_id: str, yes: bool, as_json: bool, env_file: Path | None) -> None:
    """Buy access to an event. Shows the price and asks; repeating it is free.

    \b
    The purchase is a run with a report, and counts against the daily and monthly caps of the account.
    Example:
      connector events unlock 52001
    """
    from connector.app.events import Events

    found_events = Events(env_file)
    with found_events.looking() as catalogue, _missing_event_reported(event_id):
        found = catalogue.preview(event_id)
    if found.access != "full":
        # The price comes before the vendor's text, so that an event's name cannot show another price.
        named = f"{found.event.event_id}: {found.event.name}" if found.event.name else found.event.event_id
        confirm(f"Spend {found.price_credits:,} credits to unlock event {named}?", yes=yes)
    say(f"Ledger: {found_events.ledger_place}")
    with LiveProgress() as progress, _missing_event_reported(event_id):
        access, report = found_events.purchase(found.event.event_id, found.price_credits, progress)
    document = {
        "event_id": found.event.event_id,
        "name": found.event.name,
        "already_unlocked": access is not None and access.already_unlocked,
        "credits_used": 0 if access is None else access.credits_used,
        "balance_after": None if access is None else access.balance_after,
        "report": report.to_json(),
    }
    show(document, as_json=as_json, render=_unlocked)
    ctx.exit(report.exit_code)


def _unlocked(document: Mapping[str, Any]) -> RenderableType:
    name, report = f"{document['name']} ({document['event_id']})", document["report"]
    charged = sum(found["charged"] for found in report["credits"].values())
    if report["stopped"]:
        text_ = f"{name} was not unlocked: {'; '.join(report['stopped'])}. Nothing was spent."
    elif charged:
        text_ = f"{name}: unlocked for {charged:,} credits. Repeating this is free."
    else:
        text_ = f"{name}: already unlocked; 0 credits used. Repeating this is free."
    return Group(Text(text_), Text(f"Run {report['run_id']}; see: connector show {report['run_id']}"))


@contextmanager
def _missing_event_reported(event_id: str) -> Iterator[None]:
    try:
        yield
    except NotThereError as error:
        raise ConfigurationError(f"there is no event {event_id!r}; see: connector events list") from error


COMMANDS = (events,)
