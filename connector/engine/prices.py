"""Watches the vendors' prices: compares balances with purchases, and stops channels that cost more than the settings.

`connector.core.price_watch` defines the rule. The balance is read when a run begins and ends. In between it is read
only before a further request: once after the first request for a channel, then after every twentieth request, and after
each request while there is a suspicion.
"""

from contextlib import nullcontext

from connector.core.errors import ConfigurationError, NotThereError, RefusedError, StopError
from connector.core.model import Attention, Channel
from connector.core.price_watch import Suspicion, judge
from connector.engine import older_copy
from connector.engine.context import Run
from connector.providers.interface import Provider
from connector.store.credits import BALANCE

EVERY = 20  # requests of a provider between two reads of its balance
CONFIRM_SIZE = 10  # people in a request while there is a suspicion


def observe(run: Run, provider: Provider, when: str, *, exclusive: bool = True) -> None:
    """Read and store a balance, and judge the purchases since the previous one.

    Raises:
        ConfigurationError, StopError, RefusedError, NotThereError: the balance cannot be read.
    """
    credits_ = run.services.ledger.credits
    began_at, last_entry = run.now(), credits_.newest_entry()
    with run.exclusive(provider) if exclusive else nullcontext():
        balance = provider.observed_balance()
    if when:
        run.balances.setdefault(provider.name, {})[when] = balance
    source = provider.source
    unseen = older_copy.count_unseen_charges(run.services.ledger, source, run.id, balance, run.now())
    if unseen:
        text = f"{unseen:,} credits that {provider.name} charged since the copy count against today's caps"
        run.services.progress.note(text)
        last_entry = credits_.newest_entry()  # the balance already includes these charges
    seen = credits_.observe(source.name, source.account, run.id, balance, began_at, last_entry)
    for key in [key for key in run.sent_since_balance if key[0] == provider.name]:
        del run.sent_since_balance[key]
    _judge(run, provider, seen)


def _judge(run: Run, provider: Provider, observation_id: int) -> None:
    watch, source = run.services.ledger.prices, provider.source
    interval = watch.interval(source, observation_id)
    if interval is None:
        return
    for name in interval.bought:
        channel = Channel(name)
        before = watch.suspicion(source, channel)
        fall = interval.fall if before is None else watch.fall(source, before.since, observation_id)
        after = judge(before, interval, fall or interval.fall, name, source.prices.of(channel))
        if after != before:
            watch.keep(source, channel, after)
            run.suspicions.pop((provider.name, channel), None)
        if after is not None and after != before:
            run.services.progress.note(_difference(provider, channel, after))


def observe_between(run: Run, provider: Provider, channel: Channel) -> bool:
    """Read the balance before a further request for a channel, if a read is due; returns whether it was."""
    sent = sum(count for (name, _), count in list(run.sent_since_balance.items()) if name == provider.name)
    if not sent or (sent < EVERY and not _is_doubtful(run, provider, channel)):
        return False
    run.price_seen.add((provider.name, channel))
    # The purchase that follows holds the exclusive lock already.
    _observe_if_possible(run, provider, "between two purchases", exclusive=False)
    return True


def observe_again(run: Run, provider: Provider) -> bool:
    """Read the balance again for the purchases that it refused, now that no request is at the vendor.

    A balance that was read while requests were at the vendor may include their charges; their holds and charges then
    counted against it a second time. Nothing has changed if no request was sent since the last time. Returns whether
    these purchases may be tried again.
    """
    if provider.name not in run.refused_by_balance & run.sent_since_retry:
        return False
    run.refused_by_balance.discard(provider.name)
    run.sent_since_retry.discard(provider.name)
    if not _observe_if_possible(run, provider, "for the purchases that it refused"):
        return False
    for key in [key for key, reason in run.capped.items() if key[0] == provider.name and reason.startswith(BALANCE)]:
        del run.capped[key]
    return True


def _observe_if_possible(run: Run, provider: Provider, when: str, *, exclusive: bool = True) -> bool:
    try:
        observe(run, provider, "", exclusive=exclusive)
    except (ConfigurationError, StopError, RefusedError, NotThereError) as error:
        run.services.progress.note(f"the balance of {provider.name} cannot be read {when}: {error}")
        return False
    return True


def _is_doubtful(run: Run, provider: Provider, channel: Channel) -> bool:
    """Whether a large request is a risk: after the first request of the run, and while there is a suspicion."""
    if provider.batch_size(channel) <= 1:
        return False
    was_sent = run.sent_since_balance[provider.name, channel] > 0  # otherwise the read at the run's end may be enough
    if was_sent and (provider.name, channel) not in run.price_seen:
        return True
    return _suspicion(run, provider, channel) is not None


def _suspicion(run: Run, provider: Provider, channel: Channel) -> Suspicion | None:
    """The suspicion about a price; it is read again only if another run may have changed it."""
    key = provider.name, channel
    if run.services.shared or key not in run.suspicions:
        run.suspicions[key] = run.services.ledger.prices.suspicion(provider.source, channel)
    return run.suspicions[key]


def batch_limit(run: Run, provider: Provider, channel: Channel) -> int:
    """The most people in one request: few while there is a suspicion."""
    full = provider.batch_size(channel)
    if full <= CONFIRM_SIZE:
        return full
    suspected = _suspicion(run, provider, channel) is not None
    return min(full, CONFIRM_SIZE) if suspected else full


def why_too_dear(run: Run, provider: Provider, channel: Channel) -> str:
    """The reason to stop buying a channel at the present price; empty if no higher price is proved."""
    found = _suspicion(run, provider, channel)
    return _difference(provider, channel, found) if found is not None and found.is_proved else ""


def stop_too_dear(run: Run, provider: Provider, channel: Channel) -> bool:
    """Stop buying a channel that costs more than the settings; returns whether it was stopped."""
    reason = why_too_dear(run, provider, channel)
    if not reason:
        return False
    for name in run.mappings:
        run.capped[provider.name, channel.value, name] = reason
    if reason not in run.reported:
        run.reported.add(reason)
        names = " ".join(f"-m {name}" for name in run.mappings)
        setting = provider.price_setting(channel)
        change = f"if the price has risen, set {setting} to it; if" if setting else "ask the vendor; if"
        run.attention.append(
            Attention(
                f"{reason}; no more is bought",
                f"compare with the account at {provider.name}: {change} other people have spent the credits, "
                f"continue with: connector sync {names} --all",
            )
        )
    return True


def forget_suspicions(run: Run) -> None:
    """Delete all suspicions, because the operator overrides the guards."""
    for provider in run.services.providers.values():
        for channel in provider.source.prices.by_channel:
            if run.services.ledger.prices.suspicion(provider.source, channel) is not None:
                run.services.ledger.prices.keep(provider.source, channel, None)
    run.suspicions.clear()


def _difference(provider: Provider, channel: Channel, found: Suspicion) -> str:
    kind = channel.replace("_", " ")
    return (
        f"the balance of {provider.name} fell by {found.fell:,} credits, and the purchases ({kind} at {found.price:,} "
        f"credits) explain {found.most:,} at most"
    )
