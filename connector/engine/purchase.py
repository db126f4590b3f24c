"""Stage 3: send paid requests; the hold is committed before the request, and the answer before any other effect."""

from dataclasses import replace

from connector.core.errors import (
    ConfigurationError,
    CreditsError,
    DownError,
    JournalError,
    LostAnswerError,
    NotThereError,
    OlderCopyError,
    RefusedError,
    StopError,
    UnreachableError,
)
from connector.core.model import Identifier, Result
from connector.core.recover import TRACE_SCHEDULE_S
from connector.engine import prices
from connector.engine.context import RETRY_CONNECT_S, Run
from connector.providers.interface import Provider, SkipReason, Submission
from connector.store.credits import BALANCE
from connector.store.journal import Reservation
from connector.store.mark import REPLACED
from connector.store.rows import (
    Batch,
    BudgetExhausted,
    FinalResult,
    PurchaseGroup,
    RequestAnswer,
    RequestRefusal,
)

FENCE_S = 10.0  # a request with an older hold is not sent, because another process may have taken over
WAITS_IN_A_ROW = 10
SOONEST_RETRY_S = 5.0  # the least wait; a vendor that always demands no wait would be asked endlessly
REREAD_FIRST_S = 900.0  # after a 402 or 409, the same person is not submitted again within 15 minutes
_GONE = {
    SkipReason.INVALID: "refuses this {} as invalid",
    SkipReason.MISSING: "has no person with this {}",
}


def buy(run: Run, provider: Provider, group: PurchaseGroup) -> None:
    """Take one batch of a group with its hold and send it, after disk space for the answer is reserved."""
    channel = group.channel
    if prices.observe_between(run, provider, channel) and prices.stop_too_dear(run, provider, channel):
        return
    waits_since_s = run.monotonic()
    provider.wait_turn()
    run.permit_wait_s[provider.name] = run.monotonic() - waits_since_s
    most = prices.batch_limit(run, provider, channel)
    limit = min(most, run.halved.get((provider.name, channel), most))
    try:
        with run.services.ledger.journal.reserve(limit) as reserved:
            _take(run, provider, replace(group, size=limit), reserved)
    except (JournalError, OlderCopyError) as error:
        for name in run.services.providers:
            run.stop_buying(name, str(error))


def _take(run: Run, provider: Provider, group: PurchaseGroup, reserved: Reservation) -> None:
    source, caps, now, began_s = provider.source, run.caps(provider.name), run.now(), run.monotonic()
    if not run.is_older_copy and run.services.ledger.restored.state() is not None:
        raise OlderCopyError(REPLACED)  # another process has detected the older copy since this run began
    taken = run.services.ledger.attempts.take(source, group, run.id, run.services.owner, caps, now)
    if isinstance(taken, BudgetExhausted):
        for mapping, cap in taken.caps.items():
            price = source.prices.of(group.channel)
            run.capped[provider.name, group.channel.value, mapping] = cap.refusal(provider.name, price)
            if cap.name == BALANCE:
                run.refused_by_balance.add(provider.name)
    elif taken is not None:
        send(run, provider, taken, reserved, began_s)


def send(run: Run, provider: Provider, batch: Batch, reserved: Reservation, began_s: float) -> None:
    """Send a batch and commit the answer; an answer that cannot be committed is written to the journal.

    Args:
        run: the run.
        provider: the provider.
        batch: a batch with its hold, whose purchases are `submitting`.
        reserved: the reserved space for the answer in the journal.
        began_s: the monotonic time before the hold was taken.
    """
    attempts = run.services.ledger.attempts
    answers = run.services.ledger.answers
    try:
        run.services.ledger.mark.advance(batch.hold, run.services.ledger.database)
    except (JournalError, OlderCopyError) as error:
        _give_back(run, batch, reserved, str(error), None)
        raise
    # The clock is checked last, because the check in the ledger may have taken long.
    if not attempts.may_send(batch) or run.monotonic() - began_s > FENCE_S:
        _give_back(run, batch, reserved, "the request waited too long before it could be sent", None)
        return
    run.sent_since_balance[provider.name, batch.channel] += 1
    run.sent_since_retry.add(provider.name)
    try:
        answer = provider.submit(batch.channel, list(batch.purchases), batch.grouping_key, batch.attempt_id)
    except LostAnswerError as error:
        check_at = run.later(TRACE_SCHEDULE_S[0]) if provider.keeps_records else None
        answers.lost(batch.attempt_id, check_at, run.now())
        run.services.progress.note(f"{error}; the ledger keeps it as unknown")
    except CreditsError as error:
        _give_back(run, batch, reserved, str(error), REREAD_FIRST_S, reread=provider.keeps_records)
        run.stop_buying(provider.name, str(error))
    except UnreachableError as error:
        _give_back(run, batch, reserved, str(error), RETRY_CONNECT_S)
        run.unreachable(provider.name, error)
    except StopError as error:
        _give_back(run, batch, reserved, str(error), None)
        run.stop_buying(provider.name, str(error))
    except ConfigurationError as error:  # the login was never accepted: certainly without effect
        _give_back(run, batch, reserved, str(error), None)
        raise
    except RefusedError as error:
        _refused(run, provider, batch, error, reserved)
    else:
        run.reachable(provider.name)
        run.waits[provider.name] = 0
        _accept(run, provider, batch, answer, reserved)
        _grow(run, provider, batch)


def _accept(run: Run, provider: Provider, batch: Batch, answer: Submission, reserved: Reservation) -> None:
    ledger = run.services.ledger
    check: dict[int, bool] = {}
    gone: dict[int, str] = {}
    back: list[int] = []
    for person, reason in answer.skipped.items():
        purchase_id = batch.purchases[person]
        if reason in _GONE:
            gone[purchase_id] = _gone(provider, person, reason)
        elif reason is SkipReason.UNLINKED:
            back.append(purchase_id)
        else:
            check[purchase_id] = reason is not SkipReason.UNEXPLAINED
    first_poll = run.poll_times.first(provider, batch.channel)
    kept = {"task_id": answer.task_id, "check": check, "gone": gone, "back": back}
    with reserved.kept_on_failure(_named(batch) | kept):
        ledger.answers.accept(RequestAnswer(batch.attempt_id, answer.task_id, check, gone, back), first_poll, run.now())
    run.finalized.extend(gone)
    run.results += len(gone)
    for person, purchase_id in batch.purchases.items():
        if purchase_id in back:
            _find_group(run, provider, person, purchase_id, batch.grouping_key)


def _refused(run: Run, provider: Provider, batch: Batch, error: RefusedError, reserved: Reservation) -> None:
    if error.needs_grouping_key:
        _give_back(run, batch, reserved, str(error), None)
        for person, purchase_id in batch.purchases.items():
            _find_group(run, provider, person, purchase_id, batch.grouping_key)
    elif error.retry_after_s is not None:
        _give_back(run, batch, reserved, str(error), max(error.retry_after_s, SOONEST_RETRY_S))
        run.waits[provider.name] += 1
        if run.waits[provider.name] >= WAITS_IN_A_ROW:
            run.stop_buying(provider.name, f"{provider.name} demanded to wait {WAITS_IN_A_ROW} times in a row")
    elif error.reread:
        _give_back(run, batch, reserved, str(error), REREAD_FIRST_S, reread=provider.keeps_records)
    elif len(batch.purchases) > 1:
        # The vendor refuses a person in the batch: halve the batches until the person is isolated.
        _give_back(run, batch, reserved, str(error), None)
        run.halved[provider.name, batch.channel] = max(1, len(batch.purchases) // 2)
    else:
        (purchase_id,) = batch.purchases.values()
        _give_back(run, batch, reserved, str(error), None)
        # This request cost nothing, but the lost request that it repeats may have cost credits.
        run.finalize([FinalResult(purchase_id, Result.FAILED, str(error), charged=True)])
        _grow(run, provider, batch)


def _grow(run: Run, provider: Provider, batch: Batch) -> None:
    """Double the size of batches after a success, up to the full size."""
    key = (provider.name, batch.channel)
    if key in run.halved:
        run.halved[key] = min(provider.batch_size(batch.channel), run.halved[key] * 2)


def _find_group(run: Run, provider: Provider, person: Identifier, purchase_id: int, wrong: str | None) -> None:
    """Change the group of a person, once; a person without a valid group cannot be bought."""
    try:
        others = [key for key in provider.grouping_keys_of(person) if key != wrong]
    except NotThereError:
        run.finalize([FinalResult(purchase_id, Result.FAILED, _gone(provider, person, SkipReason.MISSING))])
        return
    except (RefusedError, DownError):
        return  # the person stays planned, and is deferred when the run ends
    # Without another group, the person is sent without one: newer contracts allow that.
    another = others[0] if others else None
    if (others or wrong is not None) and run.services.ledger.attempts.set_grouping_key(purchase_id, another, run.id):
        return
    reason = (
        f"{provider.name} sells only by {_group_label(provider)} and lists none for this person"
        if wrong is None
        else f"{provider.name} reports that the person is not in {_group_label(provider)} {wrong}, and lists no other"
    )
    run.finalize([FinalResult(purchase_id, Result.FAILED, reason)])


def _gone(provider: Provider, person: Identifier, reason: SkipReason) -> str:
    label = next((kind.words for kind in provider.source.accepts if kind.name == person.kind), "identifier")
    return f"{provider.name} {_GONE[reason].format(label)}"


def _group_label(provider: Provider) -> str:
    kind = provider.source.groups_by
    return "group" if kind is None else kind.words


def _give_back(
    run: Run, batch: Batch, reserved: Reservation, reason: str, wait_s: float | None, *, reread: bool = False
) -> None:
    purchase_ids = list(batch.purchases.values())
    with reserved.kept_on_failure(_named(batch) | {"refused": reason, "wait_s": wait_s, "reread": reread}):
        not_before = None if wait_s is None else run.later(wait_s)
        check_at = run.now() if reread else None
        refusal = RequestRefusal(batch.attempt_id, purchase_ids, reason, not_before, check_at)
        run.services.ledger.answers.give_back(refusal, run.now())


def _named(batch: Batch) -> dict[str, object]:
    """The ids of the attempt and its purchases, for the journal."""
    return {"attempt_id": batch.attempt_id, "purchases": list(batch.purchases.values())}
