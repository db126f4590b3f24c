"""What is to be done: requests of the CRM's automation, the schedule, runs handed over, and what was left open.

Both runtimes work from the same desk: the embedded one looks for itself, the distributed one is told by its engine what
to look at. Whatever is found due is in the ledger, and stays there until it is done.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from croniter import croniter

from connector.core.errors import ConfigurationError, ConnectorError, JournalError, LockedError
from connector.core.mapping import MappingFile
from connector.core.report import Report
from connector.crm.interface import Crm, Selection
from connector.engine import older_copy
from connector.engine.context import Parts, Patience, Progress, Run, Silent
from connector.engine.loop import Assistance
from connector.engine.pull import flagged
from connector.engine.sync import Job, run_pass
from connector.store.errands import ANY_VERSION, Errand
from connector.store.inbox import POSTPONED_S, Wanted

LOG = logging.getLogger("connector.work")
CHECKED_FOR_S = 600.0  # so long a login and fields that were found fit are taken to be
TOLD_EVERY_S = 0.5
Claim = Callable[[Collection[str]], AbstractContextManager[None]]


@dataclass(frozen=True)
class Tools:
    """What the application lends the desk.

    Attributes:
        connect: a connection to the CRM; each thread has one of its own.
        check: logs in and looks at every mapped field.
        select: the records that a backfill means, by mapping, from where, ids and limit.
        claim: drives mappings while a block runs, or raises `LockedError`.
        stopping: whether the process is to stop.
    """

    connect: Callable[[], Crm]
    check: Callable[[Crm], None]
    select: Callable[[Crm, Mapping[str, MappingFile], Mapping[str, Any]], Mapping[str, Selection]]
    claim: Claim
    stopping: Callable[[], bool]


class Desk:
    """Work for the mappings of this process.

    Args:
        parts: everything joined.
        mappings: those that this process knows, by name.
        tools: of the application.
    """

    def __init__(self, parts: Parts, mappings: Mapping[str, MappingFile], tools: Tools) -> None:
        self._parts = parts
        self._mappings = mappings
        self._tools = tools
        self._own = threading.local()
        self._connections: set[Crm] = set()  # of all threads
        self._at_work: set[str] = set()  # mappings that this process drives now
        self._helping: set[str] = set()  # runs of others

    @contextmanager
    def _claim(self, mappings: Collection[str]) -> Iterator[None]:
        if self._parts.ledger.locks.is_wanted():
            raise LockedError("another command waits for the ledger")
        with self._tools.claim(mappings):
            self._at_work |= set(mappings)
            try:
                yield
            finally:
                self._at_work -= set(mappings)

    @property
    def digests(self) -> dict[str, str]:
        """Name and digest of each mapping."""
        return {name: mapping.digest() for name, mapping in self._mappings.items()}

    def beat(self, kind: str) -> None:
        """Be seen by other processes."""
        self._parts.ledger.locks.renew(self._parts.owner)
        with suppress(JournalError):  # a mark that cannot be read keeps every paid request back, which is reported
            older_copy.detect(self._parts.ledger, self._now())
        self._parts.ledger.errands.beat(self._parts.owner, kind, self.digests, self._now())

    def leave(self) -> None:
        """Be seen no more."""
        self._parts.ledger.errands.leave(self._parts.owner)

    def tidy(self) -> None:
        """Forget what is done for long."""
        given_up = self._parts.ledger.inbox.tidy(self._now())
        if given_up:
            LOG.warning("requested records were given up: nothing was bought within a week", extra={"count": given_up})
        self._parts.ledger.errands.tidy(self._now())

    def due(self) -> list[str]:
        """The mappings that something is to be done for now."""
        now = self._now()
        for name in self._mappings:
            self._tick(name, now)
        waiting = {min(errand.mappings) for errand in self._parts.ledger.errands.waiting(self._mappings)}
        asked = self._parts.ledger.inbox.is_asked
        return [name for name in self._mappings if name in waiting or asked([name], now) or self._open(name, now)]

    def work(self, name: str) -> bool:
        """Do the next thing for a mapping; whether there was one.

        Raises:
            LockedError: somebody else is at work for it.
        """
        now, ledger = self._now(), self._parts.ledger
        errand = next((one for one in ledger.errands.waiting(self._mappings) if min(one.mappings) == name), None)
        if errand is not None:
            with self._claim(errand.mappings):
                self._do(errand)
            return True
        with self._claim([name]):
            offered = ledger.inbox.due(now, name)
            if offered:
                self._take_up(name, offered)
            elif self._open(name, now):
                self._go_on(name)
            else:
                return False
        return True

    def assist(self, run_id: str) -> None:
        """Help another process with its run, until that has ended."""
        found = self._parts.ledger.runs.find(run_id)
        if found is None or found.state != "running" or not set(found.mappings) <= self._mappings.keys():
            return
        mappings = {name: self._mappings[name] for name in found.mappings}
        if found.command == "apply" or not self._agree(mappings):
            return  # the ceiling of a plan, and the caps of another version of a mapping, are not known here
        if self._at_work & mappings.keys() or run_id in self._helping:
            return  # it is our own run, or another thread helps already
        self._helping.add(run_id)
        try:
            self._check()
            at_work = frozenset(name for name, _ in self._parts.ledger.runs.open_counts().unlocks)
            parts = self._ready_for(mappings, Silent())
            run = Run(parts, run_id, mappings, found.started_at, still_at_work=at_work, budget_id=found.plan_id)
            older_copy.follow(run)
            Assistance(run, self._tools.stopping).work()
        except ConnectorError as error:
            self._recheck()
            LOG.warning("could not help with a run", extra={"run": run_id, "error": str(error)})
        finally:
            self._helping.discard(run_id)

    def _agree(self, mappings: Collection[str]) -> bool:
        """Whether every worker that knows these mappings has the same version of them as this one."""
        mine = {name: found for name, found in self.digests.items() if name in mappings}
        workers = self._parts.ledger.workers(self._now())
        return all(one.mappings.get(name, digest) == digest for one in workers for name, digest in mine.items())

    # -- the schedule ----------------------------------------------------------------------------------------

    def _tick(self, name: str, now: datetime) -> None:
        """Ask for the sync of a schedule whose time has come; ticks missed while nobody was there count once."""
        mapping = self._mappings[name]
        if mapping.schedule is None:
            return
        errands = self._parts.ledger.errands
        last = errands.last_tick(name, now)
        if croniter(mapping.schedule, last).get_next(datetime) <= now:
            errands.tick(name, last, now)

    # -- runs handed over ------------------------------------------------------------------------------------

    def _do(self, errand: Errand) -> None:
        errands = self._parts.ledger.errands
        if not errands.begin(errand.id):
            return
        meant = {name: self._mappings[name] for name in errand.mappings}
        other = [
            name for name, mapping in meant.items() if errand.mappings[name] not in {ANY_VERSION, mapping.digest()}
        ]
        if other:
            told = f"the worker has another version of mapping {', '.join(other)}: restart it with the same file"
            errands.end(errand.id, {"error": told, "exit_code": ConfigurationError.exit_code})
            return

        def job() -> Job:
            override = bool((errand.chosen or {}).get("override_guards"))
            selections = self._selections(errand, meant)
            return Job(errand.command, meant, selections, budget_id=errand.id, override_guards=override)

        found = self._attempt(job, _Telling(self._parts, errand.id))
        if isinstance(found, ConnectorError):
            errands.end(errand.id, {"error": str(found), "exit_code": found.exit_code})
            LOG.warning("a run that was asked for ended early", extra={"errand": errand.id, "error": str(found)})
        elif not self._tools.stopping():  # else it is not done: whoever comes next goes on
            errands.end(errand.id, {"report": found.to_json(), "exit_code": found.exit_code})

    def _selections(self, errand: Errand, meant: Mapping[str, MappingFile]) -> Mapping[str, Selection]:
        """The records that are meant; so many of them are named at once, or a second try would take so many more."""
        if errand.chosen is None:
            return {}
        found = self._tools.select(self._own.crm, meant, errand.chosen)
        if errand.chosen.get("limit") is None:
            return found
        crm: Crm = self._own.crm
        ids = [record.id for one in found.values() for page in crm.select(replace(one, fields=())) for record in page]
        self._parts.ledger.errands.name_records(errand.id, ids)
        return {name: replace(one, ids=tuple(ids), limit=None) for name, one in found.items()}

    # -- requests --------------------------------------------------------------------------------------------

    def _take_up(self, name: str, offered: list[Wanted]) -> None:
        inbox = self._parts.ledger.inbox
        offered, budget_id, requests = self._served_together(self._mappings[name], offered)
        ids = tuple(dict.fromkeys(one.crm_id for one in offered))
        selection = replace(flagged(self._mappings[name]), flag=None, ids=ids)
        job = replace(self._job("trigger", name, selection), budget_id=budget_id, requests=requests)
        found = self._attempt(lambda: job)
        if isinstance(found, ConnectorError):
            inbox.postpone(offered, str(found), self._parts.clock.later(POSTPONED_S))
            LOG.warning("requested records wait", extra={"mapping": name, "error": str(found)})
        elif found.read_all:
            inbox.settle(offered, found.run_id)
        else:  # Salesforce went away before all were read: what the run did not reach has no word yet
            left = inbox.unanswered(offered, found.run_id)
            inbox.postpone(left, "; ".join(found.stopped), self._parts.clock.later(POSTPONED_S))

    def _served_together(self, mapping: MappingFile, offered: list[Wanted]) -> tuple[list[Wanted], str | None, int]:
        """The records that one run serves, the budget that it shares, and how many requests' budgets it has.

        An HTTP request has one budget, which all runs that serve it share: so it gets runs of its own. Requests for a
        single record whose budget pays for all that the record can cost need none, and one run serves many of them.
        """
        if not mapping.limits.max_credits:
            return offered, None, 1
        first = offered[0]
        if first.alone and self._pays_for_a_record(mapping):
            single = [one for one in offered if one.alone]
            return single, None, len({one.budget_id for one in single})
        return [one for one in offered if one.budget_id == first.budget_id], first.budget_id, 1

    def _pays_for_a_record(self, mapping: MappingFile) -> bool:
        """Whether no record of the mapping can cost more than a run may spend."""
        worst: Counter[str] = Counter()
        for channel, rules in mapping.channels.items():
            for name in rules.sources:
                worst[name] += self._parts.sources[name].prices.of(channel)
        return all(worst[name] <= cap for name, cap in mapping.limits.max_credits.items())

    # -- what was left open ----------------------------------------------------------------------------------

    def _open(self, name: str, now: datetime) -> bool:
        longest_s = max((max(one.poll_schedule_s) for one in self._parts.providers.values()), default=0.0)
        look = self._parts.ledger.follow_ups.next_look(name, now, longest_s)
        return look is not None and look <= now

    def _go_on(self, name: str) -> None:
        nothing_new = replace(flagged(self._mappings[name]), flag=None, ids=())
        moved = False
        found = self._attempt(lambda: self._job("finish", name, nothing_new))
        if isinstance(found, ConnectorError):
            LOG.warning("open records wait", extra={"mapping": name, "error": str(found)})
        else:
            moved = any(count for word, count in found.outcomes.items() if word.value in {"delivered", "not_found"})
        self._parts.ledger.follow_ups.looked(name, self._now(), self._parts.clock.scale, moved=moved)

    # -- how -------------------------------------------------------------------------------------------------

    def _job(self, command: str, name: str, selection: Selection) -> Job:
        return Job(command, {name: self._mappings[name]}, {name: selection})

    def _attempt(self, make: Callable[[], Job], progress: Progress | None = None) -> Report | ConnectorError:
        """Run a job, made when the connection to the CRM is there; its report, or what kept it from ending.

        Raises:
            LockedError: somebody else goes on with it.
        """
        try:
            self._check()
            job = make()
            report = run_pass(self._ready_for(job.mappings, progress or Silent()), job)
        except LockedError:
            raise
        except ConnectorError as error:
            self._recheck()
            return error
        _log(report)
        return report

    def _ready_for(self, mappings: Collection[str], progress: Progress) -> Parts:
        began = self._now()
        LOG.info("work begins", extra={"mappings": sorted(mappings)})

        def patience() -> Patience:
            if self._tools.stopping():
                return Patience.NONE
            ledger = self._parts.ledger
            others = ledger.inbox.is_asked(mappings, self._now(), began) or ledger.locks.is_wanted()
            return Patience.SHORT if others else Patience.FULL

        crm: Crm = self._own.crm
        return replace(self._parts, crm=crm, progress=progress, patience=patience, usage_before=crm.usage())

    def _check(self) -> None:
        """Have a connection to the CRM for this thread, whose login and fields were found fit not long ago."""
        checked_at = getattr(self._own, "checked_at", None)
        if checked_at is not None and time.monotonic() - checked_at < CHECKED_FOR_S:
            return
        self._recheck()
        crm = self._own.crm = self._tools.connect()
        self._connections.add(crm)
        self._tools.check(crm)
        self._own.checked_at = time.monotonic()

    def _recheck(self) -> None:
        crm: Crm | None = getattr(self._own, "crm", None)
        if crm is not None:
            self._connections.discard(crm)
            crm.close()
        self._own.crm = self._own.checked_at = None

    def close(self) -> None:
        """Give back the connections of all threads; none of them is at work any more."""
        for crm in self._connections:
            crm.close()

    def _now(self) -> datetime:
        return self._parts.clock.now()


class _Telling:
    """Progress that another process shows: written into the ledger, twice a second at most."""

    def __init__(self, parts: Parts, errand_id: str) -> None:
        self._errands = parts.ledger.errands
        self._id = errand_id
        self._told_at = 0.0
        self._state: dict[str, Any] = {"stage": "", "total": None, "done": 0, "notes": []}

    def stage(self, name: str, total: int | None = None) -> None:
        """Something longer begins."""
        self._state |= {"stage": name, "total": total, "done": 0}
        self._tell(at_once=True)

    def step(self, count: int = 1) -> None:
        """So many more units are done."""
        self._state["done"] += count
        self._tell()

    def note(self, text: str) -> None:
        """Something worth a line."""
        self._state["notes"].append(text)
        self._tell(at_once=True)

    def _tell(self, *, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._told_at >= TOLD_EVERY_S:
            self._told_at = time.monotonic()
            self._errands.tell(self._id, self._state)


def _log(report: Report) -> None:
    counts = {outcome.value: count for outcome, count in report.outcomes.items() if count}
    LOG.info("run ended", extra={"run": report.run_id, "command": report.command, "state": report.state, **counts})
