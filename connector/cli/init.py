"""The command `init`: asks its way from an empty folder to a first mapping, or takes everything from options."""

import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from rich.console import Group
from rich.text import Text

from connector.cli.common import complain, env_option, err, out, say
from connector.core.errors import ConfigurationError, ConnectorError
from connector.core.first_mapping import ChosenChannel, credits_for, people_for
from connector.core.model import CONTACT_CHANNELS
from connector.core.printable import one_line
from connector.report import text

if TYPE_CHECKING:  # imported by the command itself: start-up time
    from connector.app.first_steps import FirstSteps, LoginQuestion, Proposal

T = TypeVar("T")
PEOPLE_A_RUN = 10
_STATES = {"found": "there", "no access": "access missing", "new": "to create", "left out": "left out"}
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_REGION = re.compile(r"[A-Z]{2}")


@click.command()
@click.option("--crm", metavar="NAME", help="The CRM; salesforce by default.")
@click.option("--object", "object_name", metavar="OBJECT", help="The CRM's object, such as Lead.")
@click.option("--name", metavar="NAME", help="The mapping's name; by default the object's, in lower case.")
@click.option(
    "--channel",
    "channels",
    multiple=True,
    type=click.Choice([channel.value for channel in CONTACT_CHANNELS]),
    help="A channel to buy; by default the work email and the phone. May be given several times.",
)
@click.option(
    "--field", "fields", multiple=True, metavar="KEY=FIELD", help="A field, such as phone.field=Phone; - omits it."
)
@click.option(
    "--people", type=click.IntRange(1, 1_000_000), help="The most people of one run; sets the caps in credits."
)
@click.option(
    "--people-per-day", type=click.IntRange(1, 1_000_000), help="The same for one day; by default twice as many."
)
@click.option("--max-credits", multiple=True, metavar="VENDOR=N", help="The most credits of one run at a vendor.")
@click.option("--region", metavar="CC", help="The country of phone numbers without +, such as US.")
@env_option
def init(
    crm: str | None,
    object_name: str | None,
    name: str | None,
    channels: tuple[str, ...],
    fields: tuple[str, ...],
    people: int | None,
    people_per_day: int | None,
    max_credits: tuple[str, ...],
    region: str | None,
    env_file: Path | None,
) -> None:
    """Set up a first mapping: log in, propose the fields, set small caps, and write mappings/NAME.yaml and .env.

    At a terminal it asks, with defaults. Elsewhere it takes the login and the keys from the environment or .env, and
    everything else from options. No existing file is changed.

    \b
    Example:
      connector init
      connector init --object Lead --people 20
    """
    from connector.app.first_steps import Answers, FirstSteps

    asks = sys.stdin.isatty()
    with closing(FirstSteps.begin(env_file, crm)) as steps:
        steps.note = say
        if name is not None:
            steps.refuse_existing(_checked_name(name))
        _log_in(steps, asks=asks)
        chosen_object = _object(steps, object_name, asks=asks)
        mapping_name = _mapping_name(steps, name, chosen_object, asks=asks)
        _keys(steps, asks=asks)
        bought = steps.channels(channels)
        proposals = _fields(steps, bought, fields, asks=asks)
        run, day = _caps(bought, people, people_per_day, _credits(max_credits), asks=asks)
        counts = (people_for(run, bought), people_for(day, bought))
        where = _region(bought, region, asks=asks)
        written = steps.write(bought, Answers(mapping_name, proposals, run, day, counts, where))
    for path in written.files:
        say(f"Wrote {_short(path)}{' (only you can read it)' if path.name == '.env' else ''}")
    if written.kept is not None:
        say(f"Settings: {_short(written.kept)}, unchanged")
    say(_next(mapping_name, written.missing, env_file, provisions=written.provisions))


# -- login and keys -----------------------------------------------------------------------------------------------


def _log_in(steps: "FirstSteps", *, asks: bool) -> None:
    questions = steps.login_questions()
    if questions and not asks:
        names = ", ".join(one.setting for one in questions)
        raise ConfigurationError(f"{steps.label}'s login is not set: put {names} into the environment or .env")

    def attempt() -> str:
        for one in questions:
            steps.answers[one.setting] = _asked(one, steps.answers.get(one.setting, ""))
        return steps.login()

    say(f"Logged in: {_until_right(attempt, again=bool(questions))}")


def _keys(steps: "FirstSteps", *, asks: bool) -> None:
    questions = steps.key_questions() if asks else ()

    def attempt() -> Mapping[str, int]:
        for one in questions:
            answer = _asked(one, "", optional=True)
            steps.answers.pop(one.setting, None)
            if answer:
                steps.answers[one.setting] = answer
        return steps.check_keys()

    for vendor, balance in _until_right(attempt, again=bool(questions)).items():
        say(f"{vendor}: {balance:,} credits on the account")


def _asked(one: "LoginQuestion", default: str, *, optional: bool = False) -> str:
    """An answer on one line, without the spaces that come with a copied text."""
    shown = "" if optional else (default or None)
    while True:
        answer = click.prompt(
            one.question, default=shown, hide_input=one.secret, show_default=not one.secret and bool(shown), err=True
        ).strip()
        if answer or optional:
            return str(answer)


def _until_right(attempt: Callable[[], T], *, again: bool) -> T:
    """Try again after a problem that another answer may solve."""
    while True:
        try:
            return attempt()
        except ConnectorError as error:
            if not again:
                raise
            complain("\n".join(f"error: {line}" for line in str(error).splitlines()))


# -- object and fields --------------------------------------------------------------------------------------------


def _object(steps: "FirstSteps", given: str | None, *, asks: bool) -> str:
    usual = steps.starter.objects
    if given is not None or not asks:
        return steps.describe(given or usual[0])

    def attempt() -> str:
        words = f"Object ({', '.join(usual)}, or another one)"
        return steps.describe(click.prompt(words, default=usual[0], err=True).strip())

    return _until_right(attempt, again=True)


def _mapping_name(steps: "FirstSteps", given: str | None, object_name: str, *, asks: bool) -> str:
    usual = re.sub(r"[^a-z0-9_-]", "", object_name.lower().removesuffix("__c")) or "mapping"
    if given is not None or not asks:
        name = _checked_name(given or usual)
        steps.refuse_existing(name)
        return name

    def attempt() -> str:
        name = _checked_name(click.prompt("Name of the mapping", default=usual, err=True).strip())
        steps.refuse_existing(name)
        return name

    return _until_right(attempt, again=True)


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigurationError("a mapping's name has lower-case letters, digits, - and _, the first a letter")
    return name


def _fields(
    steps: "FirstSteps", bought: Sequence[ChosenChannel], given: Sequence[str], *, asks: bool
) -> "list[Proposal]":
    found = list(steps.propose(bought))
    for key, name in map(_pair, given):
        place = _place(found, key)
        found[place] = steps.chosen(found[place].key, name)
    if asks:
        _review(steps, found)
    else:
        out().print(_table(found))
    return found


def _place(found: "Sequence[Proposal]", key: str) -> int:
    """The place of a key that is written in full, or by its end, such as `phone.field`."""
    places = [place for place, one in enumerate(found) if one.key.text == key or one.key.text.endswith(f".{key}")]
    if len(places) != 1:
        known = ", ".join(one.key.text for one in found)
        raise ConfigurationError(
            f"{key} is {'several keys' if places else 'no key'} of the mapping; the keys are: {known}"
        )
    return places[0]


def _review(steps: "FirstSteps", found: "list[Proposal]") -> None:
    """Show the proposals until a person accepts them."""
    while True:
        err().print(_table(found))
        answer = click.prompt(
            "Number of a line to change, or Enter to accept", default="", show_default=False, err=True
        )
        if not answer.strip():
            return
        if not answer.strip().isdecimal() or not 1 <= int(answer) <= len(found):
            complain(f"error: write a number from 1 to {len(found)}")
            continue
        place = int(answer) - 1
        name = click.prompt(f"Field for {found[place].key.text} (API name; - leaves it out)", err=True).strip()
        try:
            found[place] = steps.chosen(found[place].key, name)
        except ConfigurationError as error:
            complain(f"error: {error}")


def _table(found: "Sequence[Proposal]") -> Group:
    rows = [
        (place, one.key.text, one.name or "-", _STATES[one.presence], one_line(one.label))
        for place, one in enumerate(found, 1)
    ]
    return Group(text.table("", ("Key", "Field", "State", "Label"), rows), Text())


# -- caps ---------------------------------------------------------------------------------------------------------


def _caps(
    bought: Sequence[ChosenChannel],
    people: int | None,
    people_per_day: int | None,
    given: Mapping[str, int],
    *,
    asks: bool,
) -> tuple[dict[str, int], dict[str, int]]:
    """The most credits of one run and of one day, by vendor."""
    unknown = set(given) - set(credits_for(1, bought))
    if unknown:
        raise ConfigurationError(f"--max-credits: nothing is bought from {', '.join(sorted(unknown))}")
    if asks and people is None and not given:
        people = click.prompt("Most people of one run", default=PEOPLE_A_RUN, type=click.IntRange(1), err=True)
        say(f"That is at most {_words(credits_for(people, bought))}.")
        run = dict(_asked_credits(credits_for(people, bought)))
    else:
        run = credits_for(people or PEOPLE_A_RUN, bought) | dict(given)
    days = run if people_per_day is None else credits_for(people_per_day, bought)
    return run, {name: max(most, days[name] * (2 if people_per_day is None else 1)) for name, most in run.items()}


def _asked_credits(proposed: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    for name, most in proposed.items():
        words = f"Most credits of one run at {name}"
        yield name, click.prompt(words, default=most, type=click.IntRange(0), err=True)


def _words(most: Mapping[str, int]) -> str:
    return " and ".join(f"{count:,} credits at {name}" for name, count in most.items())


def _credits(given: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, count in map(_pair, given):
        if not count.isdecimal():
            raise ConfigurationError(f"--max-credits {name}: write a number of credits, such as {name}=300")
        found[name] = int(count)
    return found


def _pair(given: str) -> tuple[str, str]:
    key, sign, value = given.partition("=")
    if not sign or not key.strip() or not value.strip():
        raise ConfigurationError(f"{one_line(given)}: write NAME=VALUE")
    return key.strip(), value.strip()


def _region(bought: Sequence[ChosenChannel], given: str | None, *, asks: bool) -> str:
    has_phone = any(one.channel.value == "phone" for one in bought)
    if given is not None:
        if not _REGION.fullmatch(given):
            raise ConfigurationError("--region is two capital letters, such as US")
        return given
    if not has_phone or not asks:
        return ""

    def attempt() -> str:
        words = "Country of phone numbers without + (such as US; Enter: write them as given)"
        answer = str(click.prompt(words, default="", show_default=False, err=True)).strip().upper()
        if answer and not _REGION.fullmatch(answer):
            raise ConfigurationError("write two letters, such as US")
        return answer

    return _until_right(attempt, again=True)


# -- the end ------------------------------------------------------------------------------------------------------


def _next(name: str, missing: Sequence[str], env_file: Path | None, *, provisions: bool) -> str:
    more = [] if env_file is None else ["--env-file", str(env_file)]
    if missing and provisions:
        words = shlex.join(["connector", "provision", "-m", name, "--out", "crm-package", *more])
        return f"{len(missing)} fields are missing or not accessible yet: {', '.join(missing)}\nNext: {words}"
    return f"Next: {shlex.join(['connector', 'doctor', '-m', name, *more])}"


def _short(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


COMMANDS = (init,)
