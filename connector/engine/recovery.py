"""Reconciles the ledger with the vendors' accounts: recovers the work of dead processes, and observes balances."""

from datetime import timedelta

from connector.core.errors import ConfigurationError, NotThereError, RefusedError, StopError
from connector.core.recover import TRACE_SCHEDULE_S
from connector.engine import older_copy, prices
from connector.engine.adoption import adopt_stored
from connector.engine.clock_watch import correct_times
from connector.engine.context import Run
from connector.engine.overdue import end_parked, purge_requests

PRESUMED_AFTER = timedelta(hours=24)  # an older unknown counts as charged, until evidence corrects it


def recover(run: Run) -> None:
    """Recover the work of dead processes: adopt journaled answers, then mark unanswered requests as unknown."""
    ledger = run.services.ledger
    correct_times(run)
    older_copy.check_mark(run)
    ledger.keys.reseal()
    adopt_stored(run)
    check_at = {
        (name, provider.source.account): run.later(TRACE_SCHEDULE_S[0]) if provider.keeps_records else None
        for name, provider in run.services.providers.items()
    }
    lost = ledger.answers.orphaned(check_at, run.now(), ledger.locks.is_alive)
    if lost:
        run.services.progress.note(
            f"{lost} paid request(s) of an interrupted run had no answer; they are being verified"
        )
    ledger.operator.presume_charged(run.now() - PRESUMED_AFTER, run.now())
    ledger.erase_expired(run.now() - timedelta(days=run.services.undo_days))
    ledger.retention.condense(run.now() - timedelta(days=run.services.keep_days), run.now())
    end_parked(run)
    purge_requests(run)


def observe_balances(run: Run, when: str) -> None:
    """Read the balance of every provider of this run.

    Raises:
        ConfigurationError: a vendor refuses the API key on the first request of the run.
    """
    for name, provider in run.services.providers.items():
        if name not in run.used_providers or (when == "after" and name in run.stopped and name not in run.balances):
            continue
        try:
            prices.observe(run, provider, when)
        except ConfigurationError as error:
            if name in run.mapped_providers:
                raise
            run.stop(name, str(error))  # only open work from earlier runs needs this provider
        except (StopError, RefusedError, NotThereError) as error:
            if when == "before":
                run.stop_buying(name, f"its balance is not known: {error}")
