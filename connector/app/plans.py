"""Frozen plans as files: written whole, read strictly, and refused if their mappings, org or prices have changed."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import IO, TypeVar
from urllib.parse import urlsplit

import ijson
from ijson.common import ObjectBuilder
from pydantic import BaseModel, ValidationError

from connector.config.mapping_file import LoadedMapping
from connector.core.errors import ConfigurationError
from connector.core.frozen import FrozenMapping, FrozenPlan, FrozenRecord, PlanRecords, PlanSummary, PlanTerms
from connector.core.model import Channel
from connector.core.person import Source
from connector.core.preview import Preview
from connector.store.private import open_private
from connector.store.spool import Spool

M = TypeVar("M", bound=BaseModel)
RECORDS_AT_ONCE = 2000
NEW_PLAN = "make a new plan: connector plan -m {names} --out {path}"


def org_of(address: str) -> str:
    """The host that identifies the CRM org in a plan."""
    return (urlsplit(address).hostname or "").lower()


@dataclass(frozen=True, slots=True)
class PlanOrigin:
    """Where and when a plan is made.

    Attributes:
        org: host of the CRM org.
        chosen: whether a condition or ids chose the records, not their flag.
    """

    org: str
    made_at: datetime
    chosen: bool


def freeze(
    preview: Preview,
    records: PlanRecords,
    loaded: Mapping[str, tuple[str, LoadedMapping]],
    sources: Mapping[str, Source],
    origin: PlanOrigin,
) -> FrozenPlan:
    """Freeze a plan.

    Args:
        preview: its figures; the worst case becomes the ceiling.
        records: its records.
        loaded: the value of `-m` and the mapping, by mapping name.
        sources: the providers that the plan may buy from.
        origin: where and when it is made.
    """
    mappings = tuple(
        FrozenMapping(source=given, name=name, object=found.mapping.object, digest=found.mapping.digest())
        for name, (given, found) in loaded.items()
    )
    terms = PlanTerms(
        plan_id=f"plan-{origin.made_at:%Y%m%dT%H%M%S}-{token_hex(3)}",
        made_at=origin.made_at,
        org=origin.org,
        chosen=origin.chosen,
        accounts={name: source.account for name, source in sources.items()},
        prices={name: dict(source.prices.by_channel) for name, source in sources.items()},
        ceiling={name: forecast.worst_case for name, forecast in preview.credits.items()},
        mappings=mappings,
    )
    return FrozenPlan(terms, records)


def write_plan(plan: FrozenPlan, path: Path) -> None:
    """Write the file, whole or not at all.

    Raises:
        ConfigurationError: it cannot be written.
    """
    draft = path.with_name(f"{path.name}.{token_hex(4)}")
    try:
        with open(draft, "x", encoding="utf-8", opener=open_private) as file:
            file.writelines(_lines(plan))
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({type(error).__name__}); check its folder and permissions"
        ) from error
    finally:
        draft.unlink(missing_ok=True)  # it has the plan's name now, or is not whole


def _lines(plan: FrozenPlan) -> Iterator[str]:
    """The file: one line for each term, mapping and record."""
    terms = plan.terms.model_dump(mode="json")
    mappings = terms.pop("mappings")
    yield "{\n"
    yield from (f" {json.dumps(name)}: {json.dumps(value)},\n" for name, value in terms.items())
    yield ' "mappings": ['
    for place, mapping in enumerate(mappings):
        yield f'{"," if place else ""}\n  {json.dumps(mapping)[:-1]}, "records": ['
        separator = ""
        for page in plan.records.pages(mapping["name"], RECORDS_AT_ONCE):
            for record in page:
                yield f"{separator}\n   {record.model_dump_json()}"
                separator = ","
        yield "\n  ]}"
    yield "\n ]\n}\n"


@contextmanager
def read_plan(path: Path) -> Iterator[FrozenPlan]:
    """Read a plan file; the plan can be used in the block.

    Raises:
        ConfigurationError: the file cannot be read, or is not a plan.
    """
    with closing(Spool()) as spool:
        try:
            with path.open("rb") as file:
                terms = _read(file, spool)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read ({type(error).__name__}); {_new_plan(path)}") from error
        except ijson.JSONError:
            raise ConfigurationError(f"{path} is not a plan of this connector (no JSON); {_new_plan(path)}") from None
        except _NoPlanError as error:
            raise ConfigurationError(
                f"{path} is not a plan of this connector (wrong or missing: {error}); {_new_plan(path)}"
            ) from None
        yield FrozenPlan(terms, spool)


def summarize(path: Path) -> PlanSummary:
    """What a plan file allows; it is read a page at a time.

    Raises:
        ConfigurationError: the file cannot be read, or is not a plan.
    """
    with read_plan(path) as plan:
        buys: dict[str, Counter[Channel]] = {}
        free = 0
        for mapping in plan.terms.mappings:
            found = buys[mapping.name] = Counter()
            for page in plan.records.pages(mapping.name, RECORDS_AT_ONCE):
                for record in page:
                    found.update(record.buy.keys())
                    free += not record.buy
        return PlanSummary(plan.terms, plan.records.count(), buys, free)


_MAPPING, _RECORDS = "mappings.item", "mappings.item.records"
_RECORD = f"{_RECORDS}.item"


class _NoPlanError(Exception):
    """Carries the place in the file that is wrong or missing."""


def _read(file: IO[bytes], spool: Spool) -> PlanTerms:
    """Read the terms, and add the records to the spool. Each mapping's name precedes its records."""
    terms, record, name, place = ObjectBuilder(), ObjectBuilder(), "", 0
    page: list[FrozenRecord] = []
    for prefix, event, value in ijson.parse(file, use_float=True):
        if (prefix, event) == (_MAPPING, "start_map"):
            name, place = "", 0
        elif (prefix, event) == (f"{_MAPPING}.name", "string"):
            name = str(value)
        if prefix != _RECORDS and not prefix.startswith(_RECORD):
            if (prefix, event, value) != (_MAPPING, "map_key", "records"):
                terms.event(event, value)
            continue
        if prefix == _RECORDS:
            spool.add(name, page)
            page = []
            if not name or event not in {"start_array", "end_array"}:
                raise _NoPlanError(_RECORDS.replace(".item", ""))
            continue
        record.event(event, value)
        if prefix == _RECORD and event not in {"start_map", "map_key"}:
            page.append(_checked(FrozenRecord, record.value, f"records.{place}."))
            record, place = ObjectBuilder(), place + 1
            if len(page) == RECORDS_AT_ONCE:
                spool.add(name, page)
                page = []
    return _checked(PlanTerms, getattr(terms, "value", None), "")


def _checked(model: type[M], value: object, place: str) -> M:
    """The value as this part of a plan.

    Raises:
        _NoPlanError: it is none.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise _NoPlanError(f"{place}{found}".strip(".") or "the file") from None


def _new_plan(path: Path) -> str:
    return NEW_PLAN.format(names="NAME", path=path)


def _new_plan_of(plan: PlanTerms) -> str:
    """The command that makes a new plan for the same mappings."""
    same = " (with the --where, --ids and --limit of this one)" if plan.chosen else ""
    return NEW_PLAN.format(names=" -m ".join(found.source for found in plan.mappings), path="plan.json") + same


def check_age(plan: PlanTerms, now: datetime, keep_days: int) -> None:
    """Refuse a plan that is so old that the ledger may have condensed which of its records are finished.

    Raises:
        ConfigurationError: the plan is too old.
    """
    if plan.made_at < now - timedelta(days=keep_days):
        raise ConfigurationError(
            f"the plan was made on {plan.made_at:%Y-%m-%d}, more than {keep_days} days ago (CONNECTOR_KEEP_DAYS): the "
            f"ledger no longer shows which of its records are finished; {_new_plan_of(plan)}"
        )


def check_plan(plan: PlanTerms, loaded: Mapping[str, LoadedMapping], sources: Mapping[str, Source], org: str) -> None:
    """Refuse a plan if its mappings, org, accounts or prices differ from the present ones.

    Raises:
        ConfigurationError: the message names every change.
    """
    problems = [
        f"mapping {frozen.name} has changed since the plan was made"
        for frozen in plan.mappings
        if frozen.name not in loaded or loaded[frozen.name].mapping.digest() != frozen.digest
    ]
    if plan.org != org:
        problems.append(f"the plan was made for the Salesforce org {plan.org}, not {org}")
    for name, source in sources.items():
        if plan.accounts.get(name) != source.account:
            problems.append(f"{name.upper()}_ACCOUNT is not the one the plan was made for")
        if plan.prices.get(name) != source.prices.by_channel:
            problems.append(f"the prices of {name} have changed since the plan was made")
    if problems:
        raise ConfigurationError("\n".join(f"{problem}; {_new_plan_of(plan)}" for problem in problems))
