"""Frozen plans as files: written whole, read strictly, and refused if their mappings, org or prices have changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

from pydantic import ValidationError

from connector.config.mapping_file import LoadedMapping
from connector.core.errors import ConfigurationError
from connector.core.frozen import FrozenMapping, FrozenPlan, FrozenRecord
from connector.core.person import Source
from connector.core.preview import Preview
from connector.store.private import open_private

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
    records: Mapping[str, Sequence[FrozenRecord]],
    loaded: Mapping[str, tuple[str, LoadedMapping]],
    sources: Mapping[str, Source],
    origin: PlanOrigin,
) -> FrozenPlan:
    """Freeze a plan.

    Args:
        preview: its figures; the worst case becomes the ceiling.
        records: by mapping name, in the plan's order.
        loaded: the value of `-m` and the mapping, by mapping name.
        sources: the providers that the plan may buy from.
        origin: where and when it is made.
    """
    mappings = tuple(
        FrozenMapping(
            source=given,
            name=name,
            object=found.mapping.object,
            digest=found.mapping.digest(),
            records=tuple(records.get(name, ())),
        )
        for name, (given, found) in loaded.items()
    )
    return FrozenPlan(
        plan_id=f"plan-{origin.made_at:%Y%m%dT%H%M%S}-{token_hex(3)}",
        made_at=origin.made_at,
        org=origin.org,
        chosen=origin.chosen,
        accounts={name: source.account for name, source in sources.items()},
        prices={name: dict(source.prices.by_channel) for name, source in sources.items()},
        ceiling={name: forecast.worst_case for name, forecast in preview.credits.items()},
        mappings=mappings,
    )


def write_plan(plan: FrozenPlan, path: Path) -> None:
    """Write the file, whole or not at all.

    Raises:
        ConfigurationError: it cannot be written.
    """
    draft = path.with_name(f"{path.name}.{token_hex(4)}")
    try:
        with open(draft, "x", encoding="utf-8", opener=open_private) as file:
            file.write(plan.model_dump_json(indent=1) + "\n")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{path} cannot be written ({type(error).__name__}); check its folder and permissions"
        ) from error


def read_plan(path: Path) -> FrozenPlan:
    """Read a plan file.

    Raises:
        ConfigurationError: the file cannot be read, or is not a plan.
    """
    try:
        return FrozenPlan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({type(error).__name__}); {_new_plan(path)}") from error
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the file"
        raise ConfigurationError(
            f"{path} is not a plan of this connector (wrong or missing: {place}); {_new_plan(path)}"
        ) from None


def _new_plan(path: Path) -> str:
    return NEW_PLAN.format(names="NAME", path=path)


def _new_plan_of(plan: FrozenPlan) -> str:
    """The command that makes a new plan for the same mappings."""
    same = " (with the --where, --ids and --limit of this one)" if plan.chosen else ""
    return NEW_PLAN.format(names=" -m ".join(found.source for found in plan.mappings), path="plan.json") + same


def check_age(plan: FrozenPlan, now: datetime, keep_days: int) -> None:
    """Refuse a plan that is so old that the ledger may have condensed which of its records are finished.

    Raises:
        ConfigurationError: the plan is too old.
    """
    if plan.made_at < now - timedelta(days=keep_days):
        raise ConfigurationError(
            f"the plan was made on {plan.made_at:%Y-%m-%d}, more than {keep_days} days ago (CONNECTOR_KEEP_DAYS): the "
            f"ledger no longer shows which of its records are finished; {_new_plan_of(plan)}"
        )


def check_plan(plan: FrozenPlan, loaded: Mapping[str, LoadedMapping], sources: Mapping[str, Source], org: str) -> None:
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
