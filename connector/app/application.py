"""The application object of one invocation; it opens its services when they are first needed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from connector.app.alerts import AlertService
from connector.app.belonging import bind
from connector.app.configuring import DEFAULT_CRM, Configured, folder_of, survey
from connector.app.delegation import Backfill, DelegatedRun, delegate, has_worker, turn
from connector.app.id_files import may_be_of, read_id_file, spellings
from connector.app.limits_view import caps_lines, file_lines, no_daily_cap_lines, schedule_lines
from connector.app.mappings import load_mappings
from connector.app.older_copy import forecast_run
from connector.app.past_runs import find_run, with_details
from connector.app.plans import PlanOrigin, check_age, check_plan, freeze, org_of, write_plan
from connector.app.serving import Serving, check_exposure, driving, serve, work
from connector.app.telemetry import exported
from connector.app.wiring import connect_crm, connect_providers, open_ledger, still_at_work
from connector.config import env_file_here
from connector.core.alerts import RunEnd
from connector.core.crm_api import CrmApi
from connector.core.errors import ConfigurationError, MappingError
from connector.core.frozen import FrozenPlan
from connector.core.id_file import omitted_lines
from connector.core.mapping import MappingFile
from connector.core.person import Source
from connector.core.preview import Preview
from connector.core.report import Report
from connector.crm.interface import Crm, Selection
from connector.engine.context import Progress, Services, Silent
from connector.engine.preview import preview
from connector.engine.resolve import OperatorDecision, resolve
from connector.engine.select import flagged
from connector.engine.sync import RunSpec, run_pass
from connector.engine.undo import undo
from connector.jobs.clock import SystemClock
from connector.jobs.inline import Driver, owner, run_under_lock
from connector.jobs.schedule import next_sync
from connector.store.ledger import Ledger
from connector.store.spool import Spool


class Application:
    """The use cases behind the commands, for one set of settings and mappings.

    Args:
        mapping_names: the values of `-m`.
        env_file: the settings file; by default `.env` in the working directory, if any.
        progress: receives stages, steps and notes.
        configured: settings to use instead of reading them.

    Raises:
        ConfigurationError: settings or mapping files cannot be used.
    """

    def __init__(
        self,
        mapping_names: Sequence[str] = (),
        env_file: Path | None = None,
        progress: Progress | None = None,
        configured: Configured | None = None,
    ) -> None:
        env_file = configured.env_file if configured is not None else env_file or env_file_here()
        found = load_mappings(mapping_names, folder_of(env_file))
        problems = list(found.problems)
        if configured is None:
            surveyed = survey(env_file)
            wrong = surveyed.needed(found.providers) if mapping_names else surveyed.problems
            problems += map(str, wrong)
            configured = surveyed.configured
        if problems:
            raise ConfigurationError("\n".join(dict.fromkeys(problems)))
        self.loaded = {one.file.mapping.name: one.file for one in found.loaded}
        self._given = {one.file.mapping.name: one.given for one in found.loaded}
        self.configured = configured
        self._progress = progress or Silent()
        self._last_unmatched = ""
        self.clock = SystemClock(self.configured.settings.connector_time_scale)
        self.clock.on_wait = self._progress.note

    def tell(self, progress: Progress) -> None:
        """Send progress and notes to another display from now on."""
        self._progress = progress
        self.clock.on_wait = progress.note

    @property
    def mappings(self) -> dict[str, MappingFile]:
        """The mappings of this invocation, by name."""
        return {name: found.mapping for name, found in self.loaded.items()}

    def _asked(self) -> set[str]:
        """The names of the providers that the mappings buy from."""
        return {name for mapping in self.mappings.values() for name in mapping.providers()}

    @property
    def ledger_place(self) -> str:
        """The location of the ledger, without a password."""
        return self.configured.ledger_place()

    def spending_lines(self) -> list[str]:
        """One line for each mapping file in use and each cap in force."""
        files = file_lines({name: found.path for name, found in self.loaded.items()})
        return [*files, *caps_lines(self.mappings, self.configured.limits())]

    def _schedule_lines(self, ledger: Ledger, *, by_workers: bool = False) -> list[str]:
        now = self.clock.now()
        due = {
            name: next_sync(ledger.jobs, name, one.schedule, now) for name, one in self.mappings.items() if one.schedule
        }
        uncapped = no_daily_cap_lines(self.mappings, self.configured.limits())
        return [*schedule_lines(self.mappings, due, now, by_workers=by_workers), *uncapped]

    @contextmanager
    def ledger(self, *, must_exist: bool = True) -> Iterator[Ledger]:
        """The ledger alone, for commands that need no other service."""
        found = open_ledger(self.configured, must_exist=must_exist, throwaway=not must_exist)
        try:
            yield found
        finally:
            found.close()

    @contextmanager
    def services(self, *, throwaway: bool = False, shared: bool = False) -> Iterator[Services]:
        """Wire the services; fields and logins are not checked yet.

        Args:
            throwaway: if there is no ledger, use one in memory.
            shared: several runs may use the services at the same time.
        """
        with exported(self._progress.note):
            yield from self._services(throwaway=throwaway, shared=shared)

    def _services(self, *, throwaway: bool, shared: bool) -> Iterator[Services]:
        settings = self.configured.settings
        crm = connect_crm(self.configured, self.clock)
        ledger = open_ledger(self.configured, throwaway=throwaway, announce=self._progress.note)
        self.clock.ahead = ledger.database.clock() - datetime.now(UTC)
        try:
            names = self._asked() | still_at_work(self.configured, ledger)
            providers = connect_providers(self.configured, names, ledger, self.clock)
            me = owner()
            try:
                with ledger.locks.present(me):
                    yield Services(
                        ledger=ledger,
                        crm=crm,
                        providers=providers,
                        limits=self.configured.limits(),
                        clock=self.clock,
                        owner=me,
                        wait_s=settings.connector_wait_seconds,
                        undo_days=settings.connector_undo_days,
                        keep_days=settings.keep_days,
                        shared=shared or not ledger.database.is_sqlite,
                        progress=self._progress,
                    )
            finally:
                for provider in providers.values():
                    provider.close()
        finally:
            self._progress.watch(None)
            ledger.close()
            crm.close()

    def sync(self, *, override_guards: bool = False) -> Report | DelegatedRun:
        """Make one pass over the flagged records, here or in a running worker."""
        return self._run("sync", Backfill(override_guards=True) if override_guards else None)

    def backfill(self, chosen: Backfill) -> Report | DelegatedRun:
        """Make one pass over chosen records, here or in a running worker."""
        return self._run("backfill", chosen)

    def _run(self, command: str, chosen: Backfill | None) -> Report | DelegatedRun:
        """Delegate the run to `serve` or a worker that holds the run lock, else make it here."""
        with self.services() as services:
            digests = {name: mapping.digest() for name, mapping in self.mappings.items()}
            if has_worker(services.ledger, digests, self.clock.now()):
                delegated = delegate(services.ledger, command, digests, chosen, self._progress, self.clock)
                if delegated is not None:
                    if chosen is not None and chosen.ids is not None and chosen.limit is None:
                        self._unmatched(len(set(chosen.ids)), delegated.selected)
                    return delegated
            if chosen is not None and chosen.api is CrmApi.BULK and services.crm.bulk is None:
                raise ConfigurationError(f"--api bulk: {services.crm.label} has no jobs for many records")
            self.check(services.crm)
            self._bind(services)
            flagged_ones = chosen is None or chosen.is_flagged
            selections = {} if chosen is None or flagged_ones else self.selections(services.crm, chosen, self.mappings)
            override = chosen is not None and chosen.override_guards
            api = CrmApi.REST if chosen is None or flagged_ones else chosen.api
            spec = RunSpec(command, self.mappings, selections, override_guards=override, api=api)
            return self._ended(services, run_under_lock(services, spec))

    def _ended(self, services: Services, report: Report) -> Report:
        """Send the alerts that the end of a run causes."""
        AlertService.of(self.configured, services).run_ended(RunEnd.of(report))
        return report

    def _bind(self, services: Services, *, record: bool = True) -> None:
        """Refuse a ledger of another org, vendor account or mapping."""
        bind(
            self.configured,
            services.ledger,
            services.crm,
            services.providers,
            self.mappings,
            record=record,
        )

    @contextmanager
    def serving(self) -> Iterator[Serving]:
        """Accept inbound requests; with an embedded ledger, also do the work.

        Raises:
            ConfigurationError: there is no trigger token, or a run could not start.
        """
        check_exposure(self.configured)
        with self.services(shared=True) as services:
            self.check(services.crm)
            self._bind(services)
            schedule = self._schedule_lines(services.ledger, by_workers=not services.ledger.database.is_sqlite)
            with self._worked_for(services) as driver:
                yield serve(self.configured, services, self.mappings, driver, schedule)

    def work(self, concurrency: int, begin: Callable[[Sequence[str]], None], on_stop: Callable[[], None]) -> None:
        """Run as a worker of a ledger on PostgreSQL until a stop signal.

        Args:
            concurrency: jobs at the same time.
            begin: called before the work begins, with the lines about schedules and missing daily caps.
            on_stop: called at the stop signal.

        Raises:
            ConfigurationError: the ledger is embedded, or a run could not start.
        """
        with self.services(shared=True) as services:
            self.check(services.crm)
            self._bind(services)
            if not services.ledger.database.is_sqlite:
                begin(self._schedule_lines(services.ledger))
            work(services, self, concurrency, on_stop)

    @contextmanager
    def _worked_for(self, services: Services) -> Iterator[Driver | None]:
        if not services.ledger.database.is_sqlite:
            yield None
            return
        with driving(services, self) as driver:
            yield driver

    def undo(self, run_id: str) -> Report:
        """Restore the values that a run replaced, where the field still holds the run's value.

        Raises:
            ConfigurationError: there is no such run.
        """
        with self.ledger():  # fails without a ledger: only it has the earlier values
            pass
        with self.services() as services:
            found = with_details(find_run(services.ledger, run_id))
            services.crm.login()
            vendors = [name for name, one in self.configured.providers.items() if one.api_key is not None]
            bind(self.configured, services.ledger, services.crm, vendors, {})
            with turn(services.ledger, self._progress):
                return self._ended(services, undo(services, found.id))

    def plan(self, chosen: Backfill | None = None, *, out: Path | None = None) -> Preview:
        """Forecast a run without any effect, except for the frozen plan written to `out`."""
        with self.services(throwaway=True) as services:
            self.check(services.crm)
            self._bind(services, record=False)
            selections = {} if chosen is None else self.selections(services.crm, chosen, self.mappings)
            now = self.clock.now()
            forecast = forecast_run(services, self.mappings, now, self._progress)
            if selections and chosen is not None:
                forecast.api = chosen.api
            with closing(Spool()) as spool:
                found = preview(forecast, selections, spool)
                if out is not None:
                    loaded = {name: (self._given[name], one) for name, one in self.loaded.items()}
                    sources = self._mapped_sources(services)
                    origin = PlanOrigin(self._org, now, chosen is not None)
                    write_plan(freeze(found, spool, loaded, sources, origin), out)
            return found

    def apply(self, plan: FrozenPlan) -> Report:
        """Execute exactly a frozen plan.

        Raises:
            ConfigurationError: the mappings, the org, an account or a price has changed since the plan was made.
        """
        with self.services() as services:
            check_plan(plan.terms, self.loaded, self._mapped_sources(services), self._org)
            check_age(plan.terms, self.clock.now(), services.keep_days)
            self.check(services.crm)
            self._bind(services)
            with turn(services.ledger, self._progress, self.mappings):
                return self._ended(services, run_pass(services, RunSpec("apply", self.mappings, {}, plan)))

    def _mapped_sources(self, services: Services) -> dict[str, Source]:
        return {name: source for name, source in services.sources.items() if name in self._asked()}

    @property
    def _org(self) -> str:
        return org_of(self.configured.crms[DEFAULT_CRM].address)

    def choose(self, where: str | None, ids: Path | None, limit: int | None) -> Backfill:
        """The selection of a backfill, with ids read from a file; a note reports each omitted line.

        Raises:
            ConfigurationError: the file has no usable ids.
        """
        if ids is None:
            return Backfill(where, None, limit)
        found = read_id_file(ids, list(self.mappings.values()))
        for line in omitted_lines(found):
            self._progress.note(f"{ids}: {line}" if not line.startswith(" ") else line)
        return Backfill(where, found.ids, limit)

    def selections(self, crm: Crm, chosen: Backfill, mappings: Mapping[str, MappingFile]) -> dict[str, Selection]:
        """The selection of a backfill for each mapping; the mapping's own condition still applies."""
        ids: tuple[str, ...] | None = None
        if chosen.ids is not None:
            full = {given: crm.full_id(given) for given in chosen.ids}
            wrong = [given for given, found in full.items() if found is None]
            if wrong:
                raise ConfigurationError(
                    f"{len(wrong)} of the ids are not {crm.label} ids; the first one is {wrong[0][:20]!r}"
                )
            ids = tuple(found for found in full.values() if found)
        selections: dict[str, Selection] = {}
        for name, mapping in mappings.items():
            usual = flagged(mapping)
            if chosen.where:
                try:
                    crm.check_condition(mapping.object, chosen.where)
                except ConfigurationError as error:
                    raise ConfigurationError(f"--where: {error}") from error
            where = (*usual.where, chosen.where) if chosen.where else usual.where
            own = None if ids is None else tuple(one for one in ids if may_be_of(mapping, one))
            selections[name] = replace(usual, flag=None, where=where, ids=own, limit=chosen.limit)
        if ids is not None:
            given = len(set(ids))
            self._unmatched(given, sum(crm.count(replace(one, limit=None)) for one in selections.values()))
        return selections

    def _unmatched(self, given: int, matched: int) -> None:
        """Note how many ids of a backfill match no record of its mappings; the same note is shown once."""
        if matched < given:
            left = given - matched
            note = (
                f"{left} of the {given} ids {'matches' if left == 1 else 'match'} no record that these mappings "
                "select; check their object and where"
            )
            if note != self._last_unmatched:  # the plan before a backfill has shown it already
                self._progress.note(note)
            self._last_unmatched = note

    def check(self, crm: Crm) -> None:
        """Log in and check every mapped field before anything is bought.

        Raises:
            MappingError: the CRM lacks or hides a field or condition, or the user may not write it.
        """
        crm.login()
        problems = [
            f"{found.place(problem.path)}: {problem.message}"
            for found in self.loaded.values()
            for problem in crm.check(found.mapping)
            if problem.fatal
        ]
        if problems:
            raise MappingError(problems)

    def resolve(self, purchase_id: int, word: str) -> str:
        """Record an operator's decision on a purchase, if its state allows it; returns a sentence about the effect."""
        with self.ledger() as ledger, turn(ledger, self._progress):
            done = resolve(ledger, purchase_id, OperatorDecision(word), self.clock.now())
            ledger.poll_backoff.refresh(self.clock.now())
            return done

    def forget(self, record_id: str) -> int:
        """Erase the data stored about a record; returns the number of rows erased or changed."""
        with self.ledger() as ledger, turn(ledger, self._progress):
            return ledger.operator.forget([record_id.strip()], spellings)

    def release(self, mapping: str) -> int:
        """Close the open records of a mapping that no run uses any more; returns their number."""
        with self.ledger() as ledger, turn(ledger, self._progress):
            return ledger.overdue.release(mapping, self.clock.now())
