"""The journal's form of two kinds of answers: refusals, and access to events.

The third kind, an answer that starts a task, is adopted by `adoption`. To adopt an answer twice has no effect, because
the ledger accepts one answer for each attempt.
"""

from dataclasses import dataclass
from datetime import datetime

from connector.core.clock import Clock
from connector.core.model import Result
from connector.store.journal import Answer
from connector.store.ledger import Ledger
from connector.store.rows import FinalResult, RequestAnswer, RequestRefusal
from connector.store.stored_times import LONGEST_PLAN_S

LONGEST_WAIT_S = LONGEST_PLAN_S  # a longer stored wait is cut to the longest that a rule allows


@dataclass(frozen=True, slots=True)
class OpenedEvent:
    """The answer that an event is accessible.

    Attributes:
        credits_used: the credits that the vendor reports; 0 if the account had access before.
        charged: this request, or one whose answer was lost, has cost credits.
    """

    attempt_id: str
    purchase_id: int
    credits_used: int
    charged: bool

    def to_journal(self) -> dict[str, object]:
        """Convert it to the journal's form."""
        event = {"credits_used": self.credits_used, "charged": self.charged}
        return {"attempt_id": self.attempt_id, "purchases": [self.purchase_id], "event": event}


def finalize_event(ledger: Ledger, opened: OpenedEvent, now: datetime) -> None:
    """Charge an event; the price is corrected first, so that an interruption leaves the right hold."""
    if opened.credits_used:
        ledger.attempts.reprice(opened.purchase_id, opened.credits_used, now)
    ledger.answers.accept(RequestAnswer(opened.attempt_id, None, {opened.purchase_id: False}), now, now)
    ledger.results.finalize([FinalResult(opened.purchase_id, Result.DELIVERED, charged=opened.charged)], now)


def adopt(ledger: Ledger, clock: Clock, answer: Answer) -> bool:
    """Commit a journaled refusal or event; False if the answer is of another kind."""
    attempt_id, purchases = str(answer.get("attempt_id")), answer.get("purchases")
    purchase_ids = [one for one in purchases if type(one) is int] if isinstance(purchases, list) else []
    event, refused = answer.get("event"), answer.get("refused")
    if isinstance(event, dict) and purchase_ids:
        used = event.get("credits_used")
        credits_used = used if type(used) is int and used >= 0 else 0
        opened = OpenedEvent(attempt_id, purchase_ids[0], credits_used, event.get("charged") is True)
        finalize_event(ledger, opened, clock.now())
        return True
    if isinstance(refused, str):
        wait_s = answer.get("wait_s")
        limited_s = min(max(float(wait_s), 0.0), LONGEST_WAIT_S) if isinstance(wait_s, int | float) else None
        not_before = None if limited_s is None else clock.later(limited_s)
        check_at = clock.now() if answer.get("reread") is True else None
        refusal = RequestRefusal(attempt_id, purchase_ids, refused, not_before, check_at)
        ledger.answers.give_back(refusal, clock.now())
        return True
    return False
