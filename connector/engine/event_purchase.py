"""Buys access to an event: a paid request like any other, sent only by an operator's explicit command.

Its hold is committed before it is sent, under every cap that applies, and its answer is committed before any other
effect. The vendor documents a repetition as free, so after a lost answer the same request is sent again under the same
hold.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from connector.core.clock import Clock
from connector.core.errors import (
    AccountingError,
    ConnectorError,
    DownError,
    JournalError,
    LostAnswerError,
    NotThereError,
    OlderCopyError,
    RefusedError,
    StopError,
    UnsupportedError,
)
from connector.core.model import Channel, Identifier, Prices
from connector.core.person import Source
from connector.core.recover import TRACE_SCHEDULE_S
from connector.core.report import ProviderCredits, PurchaseFigures, Report
from connector.core.states import PurchaseState, RunState
from connector.engine import journaled, older_copy
from connector.engine.context import AccountLimits
from connector.providers.interface import EventAccess, Provider
from connector.store.attempts import EventPlan
from connector.store.credits import CapRules
from connector.store.journal import Reservation
from connector.store.ledger import Ledger
from connector.store.rows import Batch, BudgetExhausted, PurchaseGroup, RequestRefusal

COMMAND = "events unlock"
MAPPING = "events"  # the mapping name of its entries
FENCE_S = 10.0
Request = Callable[[str], EventAccess]


@dataclass(frozen=True, slots=True)
class EventBuyer:
    """Buys events for one provider account.

    Attributes:
        request: sends the paid request for one event id.
        owner: the name of this process.
    """

    ledger: Ledger
    provider: Provider
    limits: AccountLimits
    clock: Clock
    owner: str
    request: Request

    def buy(self, event_id: str, price_credits: int) -> tuple[EventAccess | None, Report]:
        """Buy access to an event, unless the account has it already.

        Returns:
            The vendor's answer, or None if a cap forbids the purchase; and the report of the run.

        Raises:
            ConnectorError: the vendor refused, or its answer was lost; the ledger shows which.
        """
        run = self._begin(replace(self.provider.source, prices=Prices({Channel.EVENT: price_credits})))
        try:
            self._observe(run, "before")
            plan = self.ledger.attempts.plan_event(
                run.source, Identifier(self._event_kind(), event_id), run.id, MAPPING, self.clock.now()
            )
            with self.ledger.journal.reserve(1) as reserved:
                access = self._buy(run, event_id, plan, reserved)
        except ConnectorError as error:
            run.stopped.append(str(error))
            self._close(run, RunState.FAILED)
            raise
        self._observe(run, "after")
        return access, self._close(run, RunState.STOPPED if run.stopped else RunState.FINISHED)

    def _event_kind(self) -> str:
        kind = self.provider.source.groups_by
        if kind is None:
            raise UnsupportedError(self.provider.name, "events")
        return kind.name

    def _begin(self, source: Source) -> "_Run":
        now, credits_ = self.clock.now(), self.ledger.credits
        first_entry = credits_.newest_entry()
        run = _Run(self.ledger.runs.start(COMMAND, [], now), source, now, first_entry)
        with self.ledger.journal.adopting(self.ledger.attempts.knows) as adoption:
            for answer in adoption.answers:
                if not journaled.adopt(self.ledger, self.clock, answer):
                    adoption.leave(answer)  # it is about people: a sync adopts it
        older_copy.detect(self.ledger, now)
        # The request of a dead process may be for the same event.
        account = {(source.name, source.account): self.clock.later(TRACE_SCHEDULE_S[0])}
        self.ledger.answers.orphaned(account, now, self.ledger.locks.is_alive)
        return run

    def _observe(self, run: "_Run", when: str) -> None:
        """Store the vendor's balance; before the purchase, an error to read it is raised."""
        began_at, last_entry = self.clock.now(), self.ledger.credits.newest_entry()
        try:
            balance = self.provider.observed_balance()
        except (StopError, RefusedError, NotThereError):
            if when == "before":
                raise
            return
        run.balances[when] = balance
        source = run.source
        if older_copy.count_unseen_charges(self.ledger, source, run.id, balance, self.clock.now()):
            last_entry = self.ledger.credits.newest_entry()  # the balance shows these charges already
        self.ledger.credits.observe(source.name, source.account, run.id, balance, began_at, last_entry)

    def _buy(self, run: "_Run", event_id: str, plan: EventPlan, reserved: Reservation) -> EventAccess | None:
        if plan.state is not PurchaseState.PLANNED:  # its answer was lost: repeat the request under the same hold
            return self._send(run, event_id, plan, plan.attempt_id or "", reserved, lost_before=True)
        began_s = self.clock.monotonic()
        rules = CapRules(day=self.limits.day, month=self.limits.month, reserve=self.limits.reserve)
        taken = self.ledger.attempts.take(
            run.source, PurchaseGroup(Channel.EVENT, None, 1), run.id, self.owner, rules, self.clock.now()
        )
        if isinstance(taken, BudgetExhausted):
            price = run.source.prices.of(Channel.EVENT)
            run.stopped += [cap.refusal(run.source.name, price) for cap in taken.caps.values()]
            return None
        if taken is None:
            raise AccountingError(f"the purchase of event {event_id} was planned and cannot be found")
        return self._send_new(run, event_id, plan, taken, reserved, began_s)

    def _send_new(
        self, run: "_Run", event_id: str, plan: EventPlan, batch: Batch, reserved: Reservation, began_s: float
    ) -> EventAccess:
        try:
            self.ledger.mark.advance(batch.hold, self.ledger.database)
        except (JournalError, OlderCopyError) as error:
            self._give_back(batch.attempt_id, plan, reserved, str(error))
            raise
        if not self.ledger.attempts.may_send(batch) or self.clock.monotonic() - began_s > FENCE_S:
            self._give_back(batch.attempt_id, plan, reserved, "the request waited too long before it could be sent")
            raise StopError("the request waited too long before it could be sent; run the command again")
        return self._send(run, event_id, plan, batch.attempt_id, reserved, lost_before=False)

    def _send(
        self, run: "_Run", event_id: str, plan: EventPlan, attempt_id: str, reserved: Reservation, *, lost_before: bool
    ) -> EventAccess:
        try:
            access = self.request(event_id)
        except LostAnswerError as error:
            if not lost_before:
                self.ledger.answers.lost(attempt_id, None, self.clock.now())
            raise DownError(
                f"{error}. Whether {run.source.name} has unlocked event {event_id} is not known, so its credits stay "
                f"held. Repeat the command, which is free: connector events unlock {event_id}"
            ) from error
        except ConnectorError as error:  # certainly without effect; the effect of an earlier lost request stays unknown
            if not lost_before:
                self._give_back(attempt_id, plan, reserved, str(error))
            raise
        self._accept(run, plan, attempt_id, access, reserved, lost_before=lost_before)
        return access

    def _accept(
        self,
        run: "_Run",
        plan: EventPlan,
        attempt_id: str,
        access: EventAccess,
        reserved: Reservation,
        *,
        lost_before: bool,
    ) -> None:
        """Store the answer, with the charge of this request or of the one whose answer was lost."""
        charged = access.credits_used > 0 or lost_before
        opened = journaled.OpenedEvent(attempt_id, plan.purchase_id, access.credits_used, charged)
        with reserved.kept_on_failure(opened.to_journal()):
            journaled.finalize_event(self.ledger, opened, self.clock.now())
        run.bought = charged

    def _give_back(self, attempt_id: str, plan: EventPlan, reserved: Reservation, reason: str) -> None:
        now, purchase_ids = self.clock.now(), [plan.purchase_id]
        refusal = {"attempt_id": attempt_id, "purchases": purchase_ids, "refused": reason, "wait_s": None}
        with reserved.kept_on_failure(refusal):
            self.ledger.answers.give_back(RequestRefusal(attempt_id, purchase_ids, reason), now)

    def _close(self, run: "_Run", state: str) -> Report:
        name, credits_ = run.source.name, self.ledger.credits
        charged = credits_.charged_since(run.first_entry, [MAPPING]).get(name, 0)
        figures = PurchaseFigures(bought=int(run.bought), delivered=int(run.bought), credits=charged)
        report = Report(
            run_id=run.id,
            command=COMMAND,
            mappings=(),
            state=state,
            selected=0,
            outcomes={},
            channels={},
            purchases={name: {Channel.EVENT.value: figures}} if run.bought else {},
            credits={
                name: ProviderCredits(
                    credits_.held().get(name, 0), charged, run.balances.get("before"), run.balances.get("after")
                )
            },
            crm={},
            started_at=run.started_at,
            finished_at=self.clock.now(),
            stopped=tuple(run.stopped),
        )
        self.ledger.runs.finish(run.id, state, report.to_json(), self.clock.now())
        wrong = credits_.check(run.first_entry)
        if wrong:
            raise AccountingError(f"the accounting of run {run.id} does not close: {wrong}. Please report this")
        return report


@dataclass
class _Run:
    """The run of one command."""

    id: str
    source: Source
    started_at: datetime
    first_entry: int
    balances: dict[str, int] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    bought: bool = False
