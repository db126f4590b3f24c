"""The application as commands use it: one object per invocation, its parts opened when first needed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector.app.joining import (
    Configured,
    configure,
    connect_crm,
    connect_events,
    connect_providers,
    open_ledger,
    still_at_work,
)
from connector.app.plans import check_plan, freeze, org_of, write_plan
from connector.config import LoadedMapping, env_file_here, load_mapping
from connector.core.errors import ConfigurationError, ConnectorError, MappingError
from connector.core.frozen import FrozenPlan
from connector.core.mapping import MappingFile
from connector.core.person import Source
from connector.core.preview import Preview
from connector.core.report import Report, iso
from connector.core.spend import Totals
from connector.crm.interface import Crm, Selection
from connector.crm.salesforce.ids import to_18
from connector.engine.check import Problem, check_fields
from connector.engine.context import Parts, Progress, Run, Silent
from connector.engine.preview import preview
from connector.engine.pull import flagged
from connector.engine.resolution import OperatorsWord, resolve
from connector.engine.sync import Job
from connector.engine.undo import undo
from connector.providers import REGISTRY
from connector.providers.lensmor_events import LensmorEvents
from connector.runtime.local import SystemClock, drive, owner
from connector.store.ledger import Ledger
from connector.store.operator import OpenUnlock

OFFERS = {name: entry.channels for name, entry in REGISTRY.items()}


@dataclass(frozen=True, slots=True)
class Backfill:
    """Which records a backfill takes: by condition or ids, never by flag."""

    where: str | None = None
    ids: tuple[str, ...] | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `doctor`: what was looked at, whether it is fit, and the fix."""

    subject: str
    ok: bool
    message: str


class Application:
    """What the commands can do.

    Args:
        mapping_names: what `-m` was given.
        env_file: the settings file; by default `.env` in the working directory, if any.
        progress: told what is going on.
        configured: ready settings, instead of reading them.

    Raises:
        ConfigurationError: settings or mapping files that cannot be used.
    """

    def __init__(
        self,
        mapping_names: Sequence[str] = (),
        env_file: Path | None = None,
        progress: Progress | None = None,
        configured: Configured | None = None,
    ) -> None:
        found = [(name, load_mapping(name, OFFERS)) for name in mapping_names]
        self.loaded = {one.mapping.name: one for _, one in found}
        self._given = {one.mapping.name: given for given, one in found}
        if len(self.loaded) < len(mapping_names):
            raise ConfigurationError("two of the mapping files have the same name; give each its own")
        self._configured = configured or configure(env_file or env_file_here())
        self._progress = progress or Silent()
        self.clock = SystemClock(self._configured.settings.connector_time_scale)

    @property
    def mappings(self) -> dict[str, MappingFile]:
        """The mappings of this invocation, by name."""
        return {name: found.mapping for name, found in self.loaded.items()}

    def _asked(self) -> set[str]:
        """The vendors that these mappings ask."""
        return {name for mapping in self.mappings.values() for name in mapping.providers()}

    @property
    def ledger_place(self) -> str:
        """Which ledger is used, fit for display: no password."""
        url = self._configured.ledger_url()
        return url.removeprefix("sqlite:///") if url.startswith("sqlite") else url.rpartition("@")[2]

    @contextmanager
    def ledger(self, *, must_exist: bool = True) -> Iterator[Ledger]:
        """The ledger alone, for commands that look."""
        found = open_ledger(self._configured, must_exist=must_exist, throwaway=not must_exist)
        try:
            yield found
        finally:
            found.close()

    @contextmanager
    def parts(self, *, throwaway: bool = False) -> Iterator[Parts]:
        """Everything joined; fields and logins are not checked yet.

        Args:
            throwaway: without an existing ledger, use one that leaves no trace.
        """
        settings = self._configured.settings
        crm = connect_crm(settings, self.clock)
        ledger = open_ledger(self._configured, throwaway=throwaway)
        try:
            names = self._asked() | still_at_work(self._configured, ledger)
            providers = connect_providers(self._configured, names, ledger, self.clock)
            try:
                yield Parts(
                    ledger=ledger,
                    crm=crm,
                    providers=providers,
                    limits=self._configured.limits(),
                    clock=self.clock,
                    owner=owner(),
                    wait_s=settings.connector_wait_seconds,
                    undo_days=settings.connector_undo_days,
                    progress=self._progress,
                )
            finally:
                for provider in providers.values():
                    provider.close()
        finally:
            ledger.close()
            crm.close()

    def sync(self) -> Report:
        """One pass over the flagged records."""
        with self.parts() as parts:
            self._check(parts.crm)
            return drive(parts, Job("sync", self.mappings, {}))

    def backfill(self, chosen: Backfill) -> Report:
        """One pass over chosen records."""
        with self.parts() as parts:
            self._check(parts.crm)
            return drive(parts, Job("backfill", self.mappings, self._selections(parts.crm, chosen)))

    def undo(self, run_id: str) -> Report:
        """Put back what a run wrote, where it still holds.

        Raises:
            ConfigurationError: there is no such run.
        """
        with self.ledger():  # a ledger must exist: nothing else knows what was written
            pass
        with self.parts() as parts:
            found = parts.ledger.runs.find(run_id)
            if found is None:
                raise ConfigurationError(f"there is no run {run_id!r}, or several begin so; see: connector runs")
            parts.crm.login()
            with parts.ledger.drive():
                return undo(parts, found.id)

    def plan(self, chosen: Backfill | None = None, *, out: Path | None = None) -> Preview:
        """What a run would do now; no effect anywhere, but for a frozen plan in the file `out`."""
        with self.parts(throwaway=True) as parts:
            self._check(parts.crm)
            selections = {} if chosen is None else self._selections(parts.crm, chosen)
            now = self.clock.now()
            found, records = preview(Run(parts, "plan", self.mappings, now), selections)
            if out is not None:
                loaded = {name: (self._given[name], one) for name, one in self.loaded.items()}
                sources = self._mapped_sources(parts)
                frozen = freeze(found, records, loaded, sources, self._org, now, chosen=chosen is not None)
                write_plan(frozen, out)
            return found

    def apply(self, plan: FrozenPlan) -> Report:
        """Do exactly a frozen plan.

        Raises:
            ConfigurationError: its mappings, org, accounts or prices are no longer those it was made for.
        """
        with self.parts() as parts:
            check_plan(plan, self.loaded, self._mapped_sources(parts), self._org)
            self._check(parts.crm)
            return drive(parts, Job("apply", self.mappings, {}, plan))

    def _mapped_sources(self, parts: Parts) -> dict[str, Source]:
        return {name: source for name, source in parts.sources.items() if name in self._asked()}

    @property
    def _org(self) -> str:
        return org_of(self._configured.settings.salesforce_instance_url)

    def _selections(self, crm: Crm, chosen: Backfill) -> dict[str, Selection]:
        """The records of a backfill; the mapping's own condition still holds."""
        ids: tuple[str, ...] | None = None
        if chosen.ids is not None:
            full = {given: crm.full_id(given) for given in chosen.ids}
            wrong = [given for given, found in full.items() if found is None]
            if wrong:
                raise ConfigurationError(
                    f"{len(wrong)} line(s) of the ids file are not Salesforce ids: {wrong[0][:20]!r}"
                )
            ids = tuple(found for found in full.values() if found)
        selections: dict[str, Selection] = {}
        for name, mapping in self.mappings.items():
            usual = flagged(mapping)
            if chosen.where:
                try:
                    crm.check_condition(mapping.object, chosen.where)
                except ConfigurationError as error:
                    raise ConfigurationError(f"--where: {error}") from error
            where = (*usual.where, chosen.where) if chosen.where else usual.where
            selections[name] = Selection(usual.object, usual.fields, None, where, ids, usual.newest_first, chosen.limit)
        return selections

    def _check(self, crm: Crm) -> None:
        """Log in and check every mapped field before anything is bought.

        Raises:
            MappingError: fields or conditions that Salesforce does not have, show or let us write.
        """
        crm.login()
        problems = [
            f"{found.place(problem.path)}: {problem.message}"
            for found in self.loaded.values()
            for problem in check_fields(crm, found.mapping)
        ]
        if problems:
            raise MappingError(problems)

    def doctor(self) -> list[Finding]:
        """Look at everything a run needs; buys and writes nothing."""
        findings = [Finding(f"mapping {found.path}", ok=True, message="valid") for found in self.loaded.values()]
        with self.parts(throwaway=True) as parts:
            findings += _doctor_crm(parts.crm, self.loaded)
            for name, provider in parts.providers.items():
                try:
                    balance = provider.balance()
                    findings.append(Finding(name, balance > 0, f"{balance} credits on the account"))
                except ConnectorError as error:
                    findings.append(Finding(name, ok=False, message=str(error)))
        return findings

    def credits(self) -> dict[str, Any]:
        """Balances as the vendors say now, holds and charges by the ledger, and the spend of each month."""
        names = [name for name, settings in self._configured.providers.items() if settings.api_key is not None]
        if not names:
            raise ConfigurationError("no vendor is set up: put LENSMOR_API_KEY or SALESFINITY_API_KEY into .env")
        rows: dict[str, dict[str, Any]] = {}
        with self.ledger(must_exist=False) as ledger:
            totals = ledger.credits.totals()
            for name, provider in connect_providers(self._configured, names, ledger, self.clock).items():
                found = totals.get(name, Totals())
                rows[name] = {"balance": None, "trouble": "", "held": found.open, "charged": found.charged}
                try:
                    rows[name]["balance"] = provider.balance()
                except ConnectorError as error:
                    rows[name]["trouble"] = str(error)
                finally:
                    provider.close()
            months = [
                {"month": month, "provider": name, "charged": found.charged, "held": found.open}
                for month, name, found in ledger.credits.by_month()
            ]
        return {"providers": rows, "months": months}

    def status(self, ledger: Ledger) -> dict[str, Any]:
        """What is open, and what happens to it next."""
        counts = ledger.runs.open_counts()
        last = next(iter(ledger.runs.newest(1)), None)
        state = last.state if last is not None else ""
        if state == "running" and not ledger.is_driven():
            state = "interrupted"
        return {
            "ledger": self.ledger_place,
            "last_run": None if last is None else {"id": last.id, "command": last.command, "state": state},
            "unlocks": [
                {"provider": provider, "state": state, "count": count, "next": _what_next(provider, state)}
                for (provider, state), count in sorted(counts.unlocks.items())
            ],
            "needs_a_look": [
                {
                    "unlock_id": row.id,
                    "provider": row.provider,
                    "channel": row.channel.value,
                    "state": "parked" if row.parked else row.state.value,
                    "reason": row.reason,
                    "since": iso(row.since),
                    "next": _next_of(row),
                }
                for row in ledger.operator.needs_a_look()
            ],
            "open_tasks": counts.tasks,
            "open_records": counts.records,
            "parked_records": counts.parked,
            "credits": {
                name: {"held": found.open, "charged": found.charged}
                for name, found in sorted(ledger.credits.totals().items())
            },
            "books": "; ".join(filter(None, [ledger.credits.imbalance(), ledger.runs.unclosed()])),
        }

    def resolve(self, unlock_id: int, word: str) -> str:
        """An operator's word on an unlock (one of `OperatorsWord`); returns what was done.

        Raises:
            ConfigurationError: there is no such unlock, or the word does not fit its state.
        """
        with self.ledger() as ledger, ledger.drive():
            return resolve(ledger, unlock_id, OperatorsWord(word), self.clock.now())

    def forget(self, record_id: str) -> int:
        """Erase what is stored about a record; returns how many traces there were."""
        ids = {record_id, to_18(record_id) or record_id}
        with self.ledger() as ledger, ledger.drive():
            return ledger.operator.forget(sorted(ids))

    @contextmanager
    def events(self) -> Iterator[LensmorEvents]:
        """Lensmor's events."""
        with (
            self.ledger(must_exist=False) as ledger,
            connect_events(self._configured, ledger, self.clock) as found,
        ):
            yield found


def _next_of(row: OpenUnlock) -> str:
    if row.parked:
        return "a value waits to be written; connector resolve --retry-write offers it at once"
    if row.unsent:
        return "sent once more when a record asks for it; else its lost request counts as charged after a day"
    if row.check_at:
        return f"the vendor is read again at {iso(row.check_at)}"
    return "an operator must tell: connector resolve"


def _what_next(provider: str, state: str) -> str:
    if state != "unknown":
        return "read by the next sync"
    if provider in REGISTRY and REGISTRY[provider].keeps_records:
        return (
            "the vendor's record of the person is read by the next syncs; sent again at most once, if nothing was taken"
        )
    return "a callback or an operator must tell; it is never sent again by itself (at most 1 credit each may be spent)"


def _doctor_crm(crm: Crm, loaded: Mapping[str, LoadedMapping]) -> list[Finding]:
    try:
        crm.login()
    except ConnectorError as error:
        return [Finding("Salesforce login", ok=False, message=str(error))]
    usage = crm.usage()
    findings = [Finding("Salesforce login", ok=True, message="accepted")]
    if usage.daily_limit:
        findings.append(
            Finding(
                "Salesforce quota", ok=True, message=f"{usage.daily_used} of {usage.daily_limit} daily requests used"
            )
        )
    for found in loaded.values():
        try:
            problems: list[Problem] = check_fields(crm, found.mapping)
        except ConnectorError as error:
            findings.append(Finding(f"object {found.mapping.object}", ok=False, message=str(error)))
            continue
        findings += [Finding(found.place(problem.path), ok=False, message=problem.message) for problem in problems]
        if not problems:
            count = len(found.mapping.read_fields())
            findings.append(
                Finding(f"object {found.mapping.object}", ok=True, message=f"{count} fields visible and fit")
            )
    return findings
