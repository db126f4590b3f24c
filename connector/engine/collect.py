"""Stage 4: poll tasks, and read people whose task has no result; results are committed before any other effect."""

from collections.abc import Mapping, Sequence

from connector.core.ages import LATE_EVIDENCE_KEPT
from connector.core.errors import NotThereError, RefusedError, StopError
from connector.core.model import Attention, Identifier, Result
from connector.core.recover import AskOperator, Final, MayRepeat, MaySubmit, ProviderState, ReadAgain, judge
from connector.core.states import PurchaseState
from connector.engine.context import Run
from connector.engine.plan import still_requested
from connector.providers.interface import (
    ANOTHER_LOOKUP,
    EMAIL_TYPE,
    UNREADABLE_WORD,
    ChannelStatus,
    Item,
    ItemState,
    Provider,
    TaskReport,
)
from connector.store.callback_receipts import CallbackReceipt
from connector.store.rows import CheckRow, FinalResult, RequestAnswer, RereadRow, TaskRow
from connector.store.task_end import TaskEnd

POSTPONED_S = 60.0  # the wait after a failed read
NO_SUCH_ID = frozenset({400, 422})  # a read by id failed because the vendor cannot have such an id
GONE = "paid earlier, no longer readable at the vendor"


def poll(run: Run, provider: Provider, task: TaskRow) -> None:
    """Poll a task and finalize every purchase whose result it shows."""
    results = run.services.ledger.results
    polls = run.services.ledger.polls
    found = polls.people_in(task)
    people, given_up = found.waiting, found.given_up
    too_late = run.now() - task.submitted_at > LATE_EVIDENCE_KEPT
    if not people and (not given_up or too_late):  # all have a result, or none is expected any more
        polls.task_ended(task, [], run.now(), "")
        return
    try:
        report = provider.read_task(task.channel, task.provider_task_id, list({**people, **given_up}))
    except NotThereError:
        _vanished(run, provider, task, list(people.values()))
        return
    except (RefusedError, StopError):
        polls.postpone(task, run.later(POSTPONED_S))
        raise
    run.reachable(provider.name)
    open_items = [] if report.ended else [report.items[person] for person in people if person in report.items]
    _note_unknown_states(run, provider, f"task {task.id}", [report, *open_items])
    ended = TaskEnd(task, list(people.values()), run.now(), "the vendor's task ended without a result")
    # The late answers of purchases that were given up are stored before the task ends: it would not be polled again.
    end = ended if report.ended and not given_up else None
    finalized = run.finalize(_results_in(provider, people, report), end)
    if report.ended and task.submitted_at >= run.started_at:
        run.poll_times.ended(provider, task)
    if end is not None:
        return
    for late in _results_in(provider, given_up, report):
        if late.value:
            run.improve(late.purchase_id, late.value, charged=True)
        else:
            results.end_late(late, run.now())
    if report.ended:
        rest = [purchase_id for purchase_id in people.values() if purchase_id not in set(finalized)]
        polls.task_ended(task, rest, ended.check_at, ended.reason)
        return
    without_value = [
        purchase_id
        for person, purchase_id in people.items()
        if report.items.get(person, Item(ItemState.RUNNING)).state is ItemState.NO_VALUE and provider.keeps_records
    ]
    if without_value:
        polls.read_people(without_value, run.now(), "the vendor's task is unlocked and shows no value")
    polls.polled(task, run.poll_times.next(provider, task))


def _results_in(provider: Provider, people: Mapping[Identifier, int], report: TaskReport) -> list[FinalResult]:
    found: list[FinalResult] = []
    for person, purchase_id in people.items():
        item = report.items.get(person)
        result = None if item is None else _result_of(provider, purchase_id, item)
        if result is not None:
            found.append(result)
    return found


def _result_of(provider: Provider, purchase_id: int, item: Item) -> FinalResult | None:
    match item.state:
        case ItemState.DELIVERED:
            return FinalResult(purchase_id, Result.DELIVERED, value=item.value, charged=True)
        case ItemState.NOT_FOUND:
            return FinalResult(purchase_id, Result.NOT_FOUND, f"{provider.name} did not find it")
        case ItemState.FAILED:
            code = f" ({item.detail})" if item.detail else ""
            reason = f"{provider.name} failed{code}"
            return FinalResult(purchase_id, Result.FAILED, reason, charged=provider.charges_failures)
        case ItemState.NO_VALUE if not provider.keeps_records:
            reason = f"{provider.name} completed the lookup without a usable value"
            return FinalResult(purchase_id, Result.NOT_FOUND, reason, charged=True)
        case ItemState.NO_VALUE | ItemState.RUNNING:
            return None


def _note_unknown_states(
    run: Run, provider: Provider, subject: str, read: Sequence[TaskReport | Item | ChannelStatus]
) -> None:
    """Store the unknown states that a task or person shows now, in place of those that it showed before."""
    states = frozenset(one.unknown_word for one in read if one.unknown_word)
    run.unknown_states.pop((provider.name, subject), None)
    if states:
        run.unknown_states[provider.name, subject] = states


def report_unknown_states(run: Run) -> None:
    """Report each unknown state that still keeps work open at the end of the run's wait.

    A provider that was stopped is left out: its later states are unknown, and the run reports why it was stopped.
    """
    open_states = {
        (provider, state)
        for (provider, _), states in run.unknown_states.items()
        if run.out_of_time or provider not in run.stopped
        for state in states
    }
    for provider, state in sorted(open_states):
        run.attention.append(
            Attention(
                f"{provider} answers {_description_of(state)}",
                f"check the purchase in {provider}'s own application; if {provider} has changed its API, update the "
                "connector",
            )
        )


def _description_of(state: str) -> str:
    if state == ANOTHER_LOOKUP:
        return "about another lookup or person than requested; the answer is ignored"
    if state.startswith(EMAIL_TYPE):
        return f"with the unknown {EMAIL_TYPE}'{state.removeprefix(EMAIL_TYPE)}'; that email is not used"
    status = "an unreadable status" if state == UNREADABLE_WORD else f"the unknown status '{state}'"
    return f"with {status}; the purchase counts as not finished"


def _vanished(run: Run, provider: Provider, task: TaskRow, purchase_ids: list[int]) -> None:
    """Handle a 404 for an accepted task, which does not permit to buy again."""
    polls = run.services.ledger.polls
    if provider.keeps_records:
        reason = f"{provider.name} no longer has the task"
        polls.task_ended(task, purchase_ids, run.now(), reason)
        return
    reason = f"{provider.name} no longer has the lookup; one credit may be spent"
    polls.task_vanished(task, reason, run.now())
    run.attention.append(
        Attention(
            f"{provider.name} no longer has a lookup that it accepted",
            "check that the API key belongs to the same account",
        )
    )


def check(run: Run, provider: Provider, row: CheckRow) -> None:
    """Read the vendor's record of a person and apply the verdict of `core.recover.judge`."""
    results = run.services.ledger.results
    polls = run.services.ledger.polls
    try:
        status = provider.read_person(row.person).get(row.channel)
    except NotThereError:
        reason = f"{provider.name} no longer has the person"
        charged = (row.sent and row.state is not PurchaseState.PLANNED) or row.resubmitted > 0
        run.finalize([FinalResult(row.id, Result.FAILED, reason, charged=charged)])
        return
    except (RefusedError, StopError):
        polls.postpone_check(row, run.later(POSTPONED_S))
        raise
    run.reachable(provider.name)
    _note_unknown_states(run, provider, f"person {row.id}", [] if status is None else [status])
    view = ProviderState.UNREADABLE if status is None else status.view
    verdict = judge(
        row.state, view, row.checks, row.resubmitted, charges_failures=provider.charges_failures, sent=row.sent
    )
    repeats = isinstance(verdict, MaySubmit | MayRepeat)
    if repeats and run.services.shared and polls.is_for_another_run(row, run.id):
        polls.postpone_check(row, run.later(POSTPONED_S))  # only that run knows whether it is still requested
        return
    match verdict:
        case Final():
            value = status.value if status is not None and verdict.result is Result.DELIVERED else None
            run.finalize([FinalResult(row.id, verdict.result, verdict.reason, value, charged=verdict.charged)])
        case ReadAgain():
            wait_s = provider.poll_schedule_s[-1] if verdict.after_s is None else verdict.after_s
            polls.check_again(row, run.later(wait_s), running=verdict.running, counts=verdict.counts, now=run.now())
        case MaySubmit() if row.state is not PurchaseState.PLANNED:
            polls.plan_again(row, run.id if still_requested(run, row.id, row.channel) else "", run.now())
        case MaySubmit():
            polls.check_again(row, None, running=False, now=run.now())
            if row.resubmitted:
                polls.free(row, run.id if still_requested(run, row.id, row.channel) else "")
        case MayRepeat():
            reason = f"{provider.name} shows no trace of the lost request; it may be sent again once"
            is_requested = still_requested(run, row.id, row.channel)
            results.allow_repeat(row, reason, run.now(), run.id if is_requested else "")
            run.services.progress.note(reason)
        case AskOperator():
            polls.check_again(row, None, running=False, now=run.now())


def adopt_receipt(run: Run, provider: Provider, receipt: CallbackReceipt) -> None:
    """Adopt the task that a callback named for a request with a lost answer, if the provider confirms it."""
    try:
        confirmed = provider.knows_task(receipt.provider_task_id, receipt.attempt_id, receipt.person)
    except NotThereError:
        confirmed = False
    except RefusedError as error:
        if error.status not in NO_SUCH_ID:
            return  # the next run tries again
        confirmed = False
    except StopError:
        return
    if confirmed:
        now = run.now()
        answer = RequestAnswer(receipt.attempt_id, receipt.provider_task_id)
        run.services.ledger.answers.accept(answer, now, now)
        run.services.progress.note(f"a callback from {provider.name} answered a lost request")
    run.services.ledger.callback_receipts.done(receipt, used=confirmed)


def reread(run: Run, provider: Provider, row: RereadRow) -> None:
    """Read a value again that was paid for earlier and erased since; free."""
    ledger = run.services.ledger
    value: str | None = None
    try:
        if provider.keeps_records:
            status = provider.read_person(row.person).get(row.channel)
            if status is None or status.view in {
                ProviderState.RUNNING,
                ProviderState.UNREADABLE,
                ProviderState.NOT_BOUGHT,
            }:
                return  # the record is outdated, or about another person: the next run reads it again
            value = status.value
        elif row.provider_task_id is not None:
            item = provider.read_task(row.channel, row.provider_task_id, [row.person]).items.get(row.person)
            value = item.value if item is not None else None
    except NotThereError:
        value = None
    if value:
        ledger.results.reseal(row.id, value)
        run.finalized.append(row.id)
    else:
        ledger.records.fail_channel_of(row.id, GONE)
