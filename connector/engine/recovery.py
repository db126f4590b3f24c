"""Make the ledger and the vendors' accounts agree: what a dead process left behind, and balances as observed."""

from datetime import timedelta

from connector.core.errors import ConfigurationError, NotThereError, RefusedError, StopError
from connector.core.recover import TRACE_SCHEDULE_S
from connector.engine import older_copy, prices
from connector.engine.adoption import adopt_stored
from connector.engine.clock_watch import correct_times
from connector.engine.context import Run
from connector.engine.overdue import end_parked, tidy_requests

PRESUMED_AFTER = timedelta(hours=24)  # an unknown this old counts as charged, until evidence says otherwise


def recover(run: Run) -> None:
    """Take over what a dead process left: adopt journaled answers, then declare what was never answered unknown."""
    ledger = run.services.ledger
    correct_times(run)
    older_copy.notice(run)
    ledger.keys.reseal()
    adopt_stored(run)
    check_at = {
        (name, provider.source.account): run.later(TRACE_SCHEDULE_S[0]) if provider.keeps_records else None
        for name, provider in run.services.providers.items()
    }
    lost = ledger.answers.orphaned(check_at, run.now(), ledger.locks.is_alive)
    if lost:
        run.services.progress.note(
            f"{lost} paid request(s) of an interrupted run had no answer; they are being checked"
        )
    ledger.operator.presume_charged(run.now() - PRESUMED_AFTER, run.now())
    ledger.erase_expired(run.now() - timedelta(days=run.services.undo_days))
    end_parked(run)
    tidy_requests(run)


def observe_balances(run: Run, when: str) -> None:
    """Ask every vendor of this run for its balance and keep the answer as an observation.

    Raises:
        ConfigurationError: a vendor refuses the API key at the first request of the run.
    """
    for name, provider in run.services.providers.items():
        if name not in run.asked_providers or (when == "after" and name in run.stopped and name not in run.balances):
            continue
        try:
            prices.observe(run, provider, when)
        except ConfigurationError as error:
            if name in run.mapped_providers:
                raise
            run.stop(name, str(error))  # only asked for what is open from earlier runs
        except (StopError, RefusedError, NotThereError) as error:
            if when == "before":
                run.stop_buying(name, f"its balance is not known: {error}")
