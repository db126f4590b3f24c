"""One backfill by many processes: each is killed at a random moment, and the next one continues."""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kill_dispatcher import BACKFILL, Dispatcher, wait_for
from kill_edits import People
from kill_faults import Disturbance
from kill_judge import Judge, LedgerFigures, Verdict
from kill_population import Population
from kill_process import Fresh, Process, Warm
from kill_sites import Sites

from connector.simulator.clock import SimClock
from connector.simulator.server import Simulator

MANUAL_DECISION = "needs a manual decision"
UNNEEDED_REPEAT = "sent again when a record requests it"  # otherwise a run would have sent it, or reported why not
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Size:
    """The size of a story.

    Attributes:
        speed: Simulated seconds per real second.
        span_s: The longest time that a process works with the vendors, in real seconds.
        early: The share of kills before that.
        late_s: The delay of the vendor's free reads and skip rules, in simulated seconds.
        per_minute: Requests per simulated minute and vendor.
        reach: The most paid requests that may pass before one loses its answer.
        way: How processes are started.
    """

    people: int
    events: int
    kills: int
    speed: float
    span_s: float
    early: float
    late_s: float
    per_minute: int
    reach: int
    way: type[Fresh | Warm]


@dataclass
class Kills:
    """Figures of the kills.

    Attributes:
        stages: Stage -> number of kills.
        under_way: Paid requests and writes without an answer when the process died.
        resumed_s: The time from each start after a kill to its first request after the login.
    """

    count: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    under_way: Counter[str] = field(default_factory=Counter)
    resumed_s: list[float] = field(default_factory=list)


class Story:
    """One backfill by many processes.

    Args:
        size: The size of the story.
        chance: The source of every choice.
        folder: The connector's working directory.
    """

    def __init__(self, size: Size, chance: random.Random, folder: Path) -> None:
        self.size, self.chance = size, chance
        self.simulator = Simulator(SimClock(size.speed))
        lensmor = self.simulator.lensmor
        lensmor.rate_limit, lensmor.balance = None, 1_000_000
        lensmor.profile_lag_seconds = lensmor.skip_lag_seconds = size.late_s
        self.population = Population(self.simulator, chance, size.events)
        self.sites = Sites(self.simulator)
        self.people = People(self.simulator, self.population, self.sites, chance)
        self.trouble = Disturbance(self.simulator, chance, size.reach)
        limits = dict.fromkeys(("LENSMOR_REQUESTS_PER_MINUTE", "SALESFINITY_REQUESTS_PER_MINUTE"), str(size.per_minute))
        scale = {"CONNECTOR_TIME_SCALE": f"{1 / size.speed:g}", "CONNECTOR_WAIT_SECONDS": "20000"}
        self.dispatcher = Dispatcher(folder, self.sites.urls, limits | scale, size.way)
        self.kills = Kills()
        self.lives = 0
        self.lead_s = 1.0  # from the last start to its first request
        self._after_kill = False

    def play(self) -> None:
        """Kill process after process, then run undisturbed until nothing is open."""
        self.population.move_in(self.size.people // 2)
        newcomers = max(1, self.size.people // 2 // self.size.kills)
        while self.kills.count < self.size.kills:
            assert self.lives < 5 * self.size.kills, "there was not enough work for so many kills"
            self.trouble.rearm()
            self._live()
            if self.chance.random() < 0.5:
                self.people.edit_one()  # while no process runs
            self.population.move_in(newcomers)
        self.trouble.end()
        self.finish()

    def _live(self) -> None:
        """Run one process, and kill it unless it ends first."""
        began, mark, after_kill = time.monotonic(), len(self.sites.seen), self._after_kill
        process = self.dispatcher.start(*BACKFILL)
        self.lives += 1
        moment = self._moment(process, began, mark)
        for edit_at in sorted(self.chance.uniform(time.monotonic(), moment) for _ in range(self.chance.randint(0, 2))):
            if wait_for(process, edit_at):
                self.people.edit_one()
        self._after_kill = wait_for(process, moment)
        if self._after_kill:
            self._note_kill(mark)
            process.kill()
            if self.kills.count > 1 and self.dispatcher.ledger.exists():
                assert self.dispatcher.imbalance() == ""
        else:
            self.dispatcher.finished(process)
        self._note_start(began, mark, after_kill=after_kill)

    def _moment(self, process: Process, began: float, mark: int) -> float:
        """The time at which to kill this process: in its first steps, or while it works with the vendors."""
        if self.chance.random() < self.size.early:
            return began + self.chance.uniform(0.3, 1.5) * self.lead_s
        span_s = self.chance.uniform(0, self.size.span_s)
        while wait_for(process, time.monotonic() + 0.005) and not self.sites.at_vendors_since(mark):
            assert time.monotonic() < began + TIMEOUT_S
        return time.monotonic() + span_s

    def _note_kill(self, mark: int) -> None:
        seen = self.sites.seen[mark:]
        self.kills.count += 1
        self.kills.stages[seen[-1].stage if seen else "starting"] += 1
        for request in self.sites.under_way():
            if request.paid or request.method == "PATCH":
                self.kills.under_way[f"{request.site} {request.method}"] += 1

    def _note_start(self, began: float, mark: int, *, after_kill: bool) -> None:
        first = self.sites.useful_since(mark)
        if first is None:
            return
        self.lead_s = first.wall - began
        if after_kill:
            self.kills.resumed_s.append(self.lead_s)

    def finish(self) -> None:
        """Run again, as a scheduler does, until only unknown purchases are open."""
        for _ in range(60):
            outcomes = self.dispatcher.run(*BACKFILL).json["outcomes"]
            if not outcomes["deferred"] and not outcomes["waiting"] and self._is_done():
                return
            time.sleep(60 / self.size.speed)
        raise AssertionError(f"something stays open: {self.status()}")

    def _is_done(self) -> bool:
        status = self.status()
        states = {row["state"] for row in status["purchases"]}
        explained = all(row["next"].startswith((MANUAL_DECISION, UNNEEDED_REPEAT)) for row in status["needs_a_look"])
        return status["open_tasks"] == 0 and states <= {"unknown"} and explained and status["parked_records"] == 0

    def status(self) -> dict[str, Any]:
        """The document of `status --json`; its exit code shows that the accounting balances."""
        said = self.dispatcher.run("status", "--json")
        assert said.code == 0
        document: dict[str, Any] = said.json
        return document

    @property
    def effects(self) -> tuple[int, int]:
        """Paid requests and writes so far."""
        return sum(seen.paid for seen in self.sites.seen), sum(seen.method == "PATCH" for seen in self.sites.seen)

    def writes_since(self, moment: float) -> list[str]:
        """The connector's writes to the org since a simulated time."""
        org = self.simulator.salesforce.org
        return [
            f"{entry}: {dict(update.changes)}"
            for entry in self.population.entries
            for update in org.history(entry.object_name, entry.record_id)
            if update.who == "api" and update.at > moment
        ]

    def verdict(self, figures: LedgerFigures) -> Verdict:
        """The judge's verdict."""
        return Judge(self.simulator, self.population, self.people, figures).verdict()
