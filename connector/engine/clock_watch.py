"""Detects a wrong clock, or a clock that is set during a run: stored times are corrected and the run reports it."""

from connector.core.model import Attention
from connector.engine.context import Run
from connector.store.stored_times import JUST_BEFORE, Waits

JUMP_S = 10.0


def correct_times(run: Run) -> None:
    """Correct stored times that no rule allows, and report their number."""
    providers = run.services.providers
    longest = {name: max(provider.poll_schedule_s) for name, provider in providers.items()}
    waits = Waits(longest, run.mappings, run.services.clock.scale)
    moved = run.services.ledger.times.correct(run.now(), waits)
    if moved:
        run.services.ledger.polls.forget_polls()
        text = f"{moved:,} times in the ledger were too far in the future and were corrected: a clock was wrong"
        run.services.progress.note(text)
        run.attention.append(Attention(text, "check the clocks of the machines that use this ledger"))


class ClockWatch:
    """Detects when the clock is set during a run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._seen = run.now(), run.monotonic()

    def check(self) -> None:
        """Compare the clock with the monotonic one; after a jump backwards, correct stored times."""
        now, monotonic_s = self._run.now(), self._run.monotonic()
        before, before_s = self._seen
        self._seen = now, monotonic_s
        jump_s = (now - before).total_seconds() - (monotonic_s - before_s)
        if abs(jump_s) < JUMP_S:
            return
        direction = "forward" if jump_s > 0 else "back"
        self._run.services.progress.note(f"the clock was set {direction} by {abs(jump_s):.0f} s during the run")
        if jump_s < 0:
            # The run's own times must not be older than its start.
            self._run.started_at = min(self._run.started_at, now - 2 * JUST_BEFORE)
            correct_times(self._run)
            self._run.services.ledger.polls.forget_polls()  # some tasks may belong to this run now
