"""Writes a first mapping file: the same keys and comments as the shipped ones, with an admin's own choices."""

import json
from collections.abc import Iterator, Mapping

from connector.core.first_mapping import FLAG, ChosenChannel, FirstMapping
from connector.core.mapping_base import KeyPath
from connector.core.model import Channel

SCHEMA_FILE = "mapping.schema.json"
_COLUMN = 44  # where comments begin
_PERSON_COMMENTS = {"linkedin_url": "any usual spelling"}
_STAMP_COMMENTS = {
    "enriched_at": "the time of the last enrichment",
    "source": "the vendor that delivered",
    "error": "one readable reason if nothing was delivered",
}


def mapping_text(chosen: FirstMapping) -> str:
    """The text of a mapping file."""
    return "\n".join(_lines(chosen)) + "\n"


def _lines(chosen: FirstMapping) -> Iterator[str]:
    yield f"# yaml-language-server: $schema={SCHEMA_FILE}"
    yield "#"
    yield f"# {chosen.object} records of {chosen.label}, written by 'connector init'. Edit it as you like, then:"
    yield f"#   connector doctor -m {chosen.name}"
    yield "version: 1"
    yield _line(f"name: {chosen.name}", "how commands, reports and the ledger call this mapping: keep it")
    if chosen.crm:
        yield f"crm: {chosen.crm}"
    yield f"object: {chosen.object}"
    yield ""
    yield "select:"
    yield _field(chosen, FLAG, "requests enrichment; cleared by the update that writes the outcome")
    if chosen.where[0]:
        yield _line(f"  where: {json.dumps(chosen.where[0], ensure_ascii=False)}", chosen.where[1])
    yield _line("  order: newest", "if a cap stops the purchases of a day, the newest records come first")
    yield ""
    yield _line(
        '# schedule: "*/15 * * * *"', "serve and worker start a run at these times (UTC). Remove the # when the"
    )
    yield _line("#", "caps below are right for you")
    yield ""
    yield _line("person:", "at least one identifier")
    for path in chosen.fields:
        if path[0] == "person":
            yield _field(chosen, path, _PERSON_COMMENTS.get(str(path[1]), ""))
    yield ""
    yield _line("channels:", "leave a channel out to buy nothing for it")
    for one in chosen.channels:
        yield from _channel(chosen, one)
    yield ""
    yield _line("stamp:", "all optional")
    for path in chosen.fields:
        if path[0] == "stamp":
            yield _field(chosen, path, _STAMP_COMMENTS.get(str(path[1]), ""))
    for kind, name in chosen.stamped.items():
        yield _line(f"  {kind}: {name}", "an id that was found: later runs do not look it up again")
    yield ""
    yield _line("limits:", "small at first: raise them when you have seen what a plan costs")
    yield _line(f"  max_credits: {_flow(chosen.run_credits)}", f"one run: {_people(chosen.people[0])}")
    yield _line(
        f"  max_credits_per_day: {_flow(chosen.day_credits)}", f"all runs of a day: {_people(chosen.people[1])}"
    )
    yield _line("  refresh_after: 180d", "a delivered value is not bought again within this time")
    yield _line("  retry_not_found_after: 30d", "a person who was not found is not bought again within this time")


def _channel(chosen: FirstMapping, one: ChosenChannel) -> Iterator[str]:
    path: KeyPath = ("channels", one.channel.value)
    yield f"  {one.channel.value}:"
    yield _line(f"    from: [{', '.join(one.prices)}]", _prices(one.prices))
    yield _field(chosen, (*path, "field"), "")
    yield _line("    write: if_empty", "keeps an existing value; overwrite replaces it unless a person changed it")
    yield from _optional(chosen, (*path, "empty_when"), "if this is set, the value counts as empty")
    yield from _optional(chosen, (*path, "status"), "")
    yield from _optional(chosen, (*path, "opt_out"), "if ticked, nothing is bought or written")
    if one.channel is Channel.PHONE:
        yield _line("    format: e164", "+14155550123")
        if chosen.region:
            yield _line(f"    default_region: {chosen.region}", "the country of numbers without a +")


def _optional(chosen: FirstMapping, path: KeyPath, comment: str) -> Iterator[str]:
    if path in chosen.fields:
        yield _field(chosen, path, comment)


def _field(chosen: FirstMapping, path: KeyPath, comment: str) -> str:
    name = chosen.fields[path]
    absent = f"not in {chosen.label} yet" if name in chosen.missing else ""
    indent = "  " * (len(path) - 1)
    return _line(f"{indent}{path[-1]}: {name}", "; ".join(filter(None, (absent, comment))))


def _line(text: str, comment: str) -> str:
    return f"{text:<{_COLUMN}} # {comment}" if comment else text


def _prices(prices: Mapping[str, int]) -> str:
    shown = [f"{price:,} {'credit' if price == 1 else 'credits'} at {name}" for name, price in prices.items()]
    return ", then ".join(shown)


def _people(count: int) -> str:
    return f"enough for {count:,} {'person' if count == 1 else 'people'} in the worst case"


def _flow(credits_: Mapping[str, int]) -> str:
    return "{" + ", ".join(f"{name}: {count}" for name, count in credits_.items()) + "}"
