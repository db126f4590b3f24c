"""Stage 2, people: looks identifiers up at a provider, many at the same time, and decides again for those that wait.

A lookup is free, so its answer may be lost with the process; the next run asks again. The answers of up to
`STORED_AT_ONCE` lookups are stored together.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from contextvars import copy_context
from dataclasses import dataclass, field

from connector.core.errors import ConnectorError, NotThereError, RefusedError, StopError
from connector.core.model import Channel, Identifier, Purchase, Result
from connector.core.plan import FailedSource
from connector.core.recover import ProviderState
from connector.core.states import PurchaseState
from connector.engine.context import Run
from connector.engine.plan import Pending, decide_again
from connector.providers.interface import IdentityResult, Provider
from connector.store.rows import FinalResult

STORED_AT_ONCE = 50
MOST_AT_ONCE = 16  # requests; with answers within two seconds, that is enough for 480 a minute
FAILURES_IN_A_ROW = 3  # without any answer: the rest of a batch is left to the next search
Waiting = Mapping[Identifier, Sequence[Pending]]


@dataclass
class LookupAnswers:
    """The answers to a batch of lookups.

    Attributes:
        found: the answers, "no match" included.
        refused: the reasons of refused lookups.
        errors: of lookups without an answer, which are made again.
    """

    found: dict[Identifier, IdentityResult] = field(default_factory=dict)
    refused: dict[Identifier, str] = field(default_factory=dict)
    errors: list[ConnectorError] = field(default_factory=list)

    @property
    def is_answered(self) -> bool:
        """Whether the provider answered any lookup."""
        return bool(self.found or self.refused)


def resolve_identities(run: Run, provider: Provider, waiting: Waiting, threads: Executor | None) -> LookupAnswers:
    """Look identifiers up, store the answers, and decide again for every channel that waits for one.

    Refused lookups are not stored: the source counts as failed for these channels, and the next run may try again.

    Args:
        run: the run.
        provider: the provider.
        waiting: the channels that wait for the answer, by identifier.
        threads: make the requests at the same time; None makes one after the other in this thread.
    """
    answers = LookupAnswers()
    try:
        for identifier, outcome in _outcomes(run, provider, waiting, threads):
            if isinstance(outcome, IdentityResult):
                answers.found[identifier] = outcome
            elif isinstance(outcome, RefusedError):
                answers.refused[identifier] = str(outcome)
            elif outcome is not None:
                answers.errors.append(outcome)
                if not answers.is_answered and len(answers.errors) >= FAILURES_IN_A_ROW:
                    break
    finally:
        _store(run, provider, waiting, answers)
    return answers


_Outcome = IdentityResult | ConnectorError | None


def _outcomes(
    run: Run, provider: Provider, waiting: Waiting, threads: Executor | None
) -> Iterator[tuple[Identifier, _Outcome]]:
    """Each identifier with its answer, as they arrive; the rest is cancelled when the caller stops."""
    if threads is None:
        for identifier in waiting:
            yield identifier, _look_up(run, provider, identifier)
        return
    asked = {threads.submit(copy_context().run, _look_up, run, provider, one): one for one in waiting}
    try:
        for future in as_completed(asked):
            yield asked[future], future.result()
    finally:
        for future in asked:
            future.cancel()


def _look_up(run: Run, provider: Provider, identifier: Identifier) -> _Outcome:
    """Send one lookup; None if nothing more is bought from the provider."""
    if run.why_closed(provider.name):
        return None
    try:
        return provider.resolve_identity(identifier)
    except (RefusedError, NotThereError, StopError) as error:  # any other one ends the run
        return error


def _store(run: Run, provider: Provider, waiting: Waiting, answers: LookupAnswers) -> None:
    """Store the answers of a batch, decide again, and deliver the values that the provider shows."""
    if not answers.is_answered:
        return
    ledger, now = run.services.ledger, run.now()
    for reason in answers.refused.values():
        run.services.progress.note(reason)
    matches = {identifier: found.match for identifier, found in answers.found.items()}
    ledger.planning.remember(provider.source, matches, now)
    for purchase, value in _shown_values(run, provider, answers):
        if purchase.state is PurchaseState.FINAL and purchase.result is not Result.DELIVERED:
            run.improve(purchase.id, value, charged=False)
    decide_again(
        run,
        [
            (row, channel, (*channel.failed_sources, *_failed(provider, answers.refused.get(identifier))))
            for identifier in [*answers.found, *answers.refused]
            for channel, row in waiting[identifier]
        ],
    )
    _deliver_shown_values(run, _shown_values(run, provider, answers))


def _failed(provider: Provider, reason: str | None) -> Sequence[FailedSource]:
    return () if reason is None else (FailedSource(provider.name, Result.FAILED, reason),)


def _shown_values(run: Run, provider: Provider, answers: LookupAnswers) -> list[tuple[Purchase, str]]:
    """The purchases for which the vendor already shows a value, with the values."""
    values: dict[tuple[Identifier, Channel], str] = {}
    for found in answers.found.values():
        person = found.match.identifier
        for channel, status in found.statuses.items():
            if person is not None and status.view is ProviderState.DELIVERED and status.value:
                values[person, channel] = status.value
    if not values:
        return []
    purchases = run.services.ledger.snapshots.purchases_of(provider.source, {person for person, _ in values})
    return [
        (purchase, values[key.person, key.channel])
        for key, purchase in purchases.items()
        if (key.person, key.channel) in values
    ]


def _deliver_shown_values(run: Run, shown: Sequence[tuple[Purchase, str]]) -> None:
    """Finalize planned purchases whose value the vendor already shows: free, unless a lost request may have paid."""
    planned = [(purchase, value) for purchase, value in shown if purchase.state is PurchaseState.PLANNED]
    if planned:
        run.finalize(
            FinalResult(purchase.id, Result.DELIVERED, value=value, charged=purchase.lost_before)
            for purchase, value in planned
        )
