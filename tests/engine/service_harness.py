"""A dispatcher on a harness, and the requests that it serves: the work of both drivers, one step at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from harness import Harness

from connector.app.inbound import InboundService
from connector.app.wiring import connect_crm
from connector.core.mapping import MappingFile
from connector.crm.interface import Crm, Selection
from connector.engine.select import flagged
from connector.jobs.dispatcher import Dependencies, Dispatcher
from connector.store.inbox import RequestState


class ServiceHarness:
    """Stores requests and serves them with a dispatcher."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.stopping = False
        self.has_locks = True
        self.broken: Exception | None = None
        self.checks = 0

    @contextmanager
    def dispatcher(self) -> Iterator[Dispatcher]:
        """A dispatcher, created as in a new process."""
        with self.harness.services() as services:
            claim = services.ledger.hold_run_lock if self.has_locks else lambda _names: nullcontext()
            dependencies = Dependencies(self._connect, self._check, _select, claim, lambda: self.stopping)
            dispatcher = Dispatcher(replace(services, shared=True), self.harness.mappings, dependencies)
            try:
                yield dispatcher
            finally:
                dispatcher.close()

    def work(self) -> int:
        """Run all due jobs in a new process; return their number."""
        count = 0
        with self.dispatcher() as dispatcher:
            while due := dispatcher.due():
                count += sum(dispatcher.work(name) for name in due)
        return count

    def ask(self, *record_ids: str, request_id: str = "r1", mapping_name: str = "lead") -> bool:
        """Store a request of the CRM's automation; return whether it was new."""
        with self.harness.ledger() as ledger:
            inbound = InboundService(ledger, self.harness.mappings, self.harness.world.clock, lambda: None)
            return not inbound.ask(mapping_name, record_ids, request_id).duplicate

    def request_state(self, request_id: str = "r1") -> RequestState:
        with self.harness.ledger() as ledger:
            found = ledger.inbox.state_of(request_id)
        assert found is not None
        return found

    def commands(self) -> list[str]:
        """The commands of all runs, oldest first."""
        with self.harness.ledger() as ledger:
            return [run.command for run in reversed(ledger.runs.newest())]

    def _connect(self) -> Crm:
        return connect_crm(self.harness.configured().settings, self.harness.world.clock)

    def _check(self, crm: Crm) -> None:
        self.checks += 1
        if self.broken:
            raise self.broken
        crm.login()


def _select(_crm: Crm, mappings: Mapping[str, MappingFile], chosen: Mapping[str, Any]) -> dict[str, Selection]:
    selections: dict[str, Selection] = {}
    ids = None if chosen["ids"] is None else tuple(chosen["ids"])
    for name, mapping in mappings.items():
        default = flagged(mapping)
        where = (*default.where, chosen["where"]) if chosen["where"] else default.where
        selections[name] = replace(default, flag=None, where=where, ids=ids, limit=chosen["limit"])
    return selections
