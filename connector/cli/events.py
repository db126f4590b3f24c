"""Lensmor events: find, preview, and, after a question, unlock."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from connector.cli.common import confirm, env_option, json_option, out, show, yes_option
from connector.core.errors import ConfigurationError, NotThereError
from connector.report import text


@click.group()
def events() -> None:
    """Lensmor events: list, show (a free preview), unlock (2000 credits, asks first)."""


@events.command("list")
@click.option("--keyword", help="Words of the event's name.")
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
    """Search the catalogue, free.

    \b
    Example:
      connector events list --keyword robotics
    """
    from connector.app import Application

    filters = {"keyword": keyword, "country": country, "city": city, "date_start_from": starts_from}
    with Application((), env_file).events() as api:
        found, total = api.search({key: value for key, value in filters.items() if value}, page)
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
    """Preview an event, free: access, how many people, what an unlock costs.

    \b
    Example:
      connector events show 52001
    """
    from connector.app import Application

    with Application((), env_file).events() as api, _known(event_id):
        found = api.preview(event_id)
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
def unlock_event(event_id: str, yes: bool, as_json: bool, env_file: Path | None) -> None:
    """Buy access to an event. Shows the price and asks; repeating it is free.

    \b
    Example:
      connector events unlock 52001
    """
    from connector.app import Application

    with Application((), env_file).events() as api, _known(event_id):
        found = api.preview(event_id)
        if found.access != "full":
            price = f"{found.price_credits:,} credits"
            confirm(f"Unlock {found.event.name} ({found.event.event_id}) for {price}?", yes=yes)
        done = api.unlock(event_id)
    document = {
        "event_id": done.event_id,
        "name": done.name,
        "already_unlocked": done.already_unlocked,
        "credits_used": done.credits_used,
        "balance_after": done.balance_after,
    }
    word = (
        "was unlocked already; 0 credits used"
        if done.already_unlocked
        else f"unlocked for {done.credits_used:,} credits"
    )
    if as_json:
        show(document, as_json=True, render=lambda _: "")
    else:
        out().print(f"{done.name} ({done.event_id}): {word}. Repeating this is free.", markup=False)


@contextmanager
def _known(event_id: str) -> Iterator[None]:
    try:
        yield
    except NotThereError as error:
        raise ConfigurationError(f"Lensmor knows no event {event_id!r}; see: connector events list") from error


COMMANDS = (events,)
