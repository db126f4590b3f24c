"""Lets the display of a run read its figures."""

from collections.abc import Collection

from connector.core.run_figures import CrmCalls
from connector.engine.context import Services
from connector.store.database import sqlite_path
from connector.store.run_progress import RunWatch


def watch_run(services: Services, run_id: str, mappings: Collection[str]) -> None:
    """Give the display of a run that begins a reader of its figures.

    A ledger in memory has one connection, which its writer uses: such a run has no figures.
    """
    database = services.ledger.database
    if database.is_sqlite and sqlite_path(database.url) is None:
        return
    crm, before = services.crm, services.usage_before

    def crm_calls() -> CrmCalls:
        usage = crm.usage()
        calls = usage.read_calls + usage.write_calls + usage.other_calls
        earlier = before.read_calls + before.write_calls + before.other_calls
        return CrmCalls(crm.label, calls - earlier, usage.daily_used, usage.daily_limit)

    accounts = {name: source.account for name, source in services.sources.items()} if mappings else {}
    scope = mappings if services.shared else None
    services.progress.watch(RunWatch.begin(database, run_id, accounts, scope, services.clock, crm_calls))
