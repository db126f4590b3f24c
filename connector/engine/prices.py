"""Watches the vendors' prices: compares balances with purchases, and stops what costs more than the settings say.

`connector.core.price_watch` states the rule. The balance is read when a run begins and ends; in between only when the
next request of a kind is about to leave: once after its first request, then after every twentieth, and after each one
while there is a suspicion. A small run reads nothing more.
"""

from contextlib import nullcontext

from connector.core.errors import ConfigurationError, NotThereError, RefusedError, StopError
from connector.core.model import Attention, Channel
from connector.core.price_watch import Suspicion, judge
from connector.engine import older_copy
from connector.engine.context import Run
from connector.providers.interface import Provider

EVERY = 20  # requests of a provider between two reads of its balance
CONFIRM_SIZE = 10  # people in a request while there is a suspicion


def observe(run: Run, provider: Provider, when: str, *, alone: bool = True) -> None:
    """Read a balance, keep it, and judge what was bought since the one before.

    Raises:
        ConfigurationError, StopError, RefusedError, NotThereError: it cannot be read.
    """
    credits_ = run.services.ledger.credits
    began_at, last_entry = run.now(), credits_.newest_entry()
    with run.alone(provider) if alone else nullcontext():
        balance = provider.observed_balance()
    if when:
        run.balances.setdefault(provider.name, {})[when] = balance
    source = provider.source
    unseen = older_copy.count_unseen_charges(run.services.ledger, source, run.id, balance, run.now())
    if unseen:
        text = f"{unseen:,} credits that {provider.name} charged since the copy count against today's caps"
        run.services.progress.note(text)
        last_entry = credits_.newest_entry()  # the balance shows these charges already
    seen = credits_.observe(source.name, source.account, run.id, balance, began_at, last_entry)
    for key in [key for key in run.sent_since_look if key[0] == provider.name]:
        del run.sent_since_look[key]
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
        if after is not None and after != before:
            run.services.progress.note(_difference(provider, channel, after))


def look_between(run: Run, provider: Provider, channel: Channel) -> None:
    """Before a further request of a kind leaves: read the balance where it is time to."""
    sent = sum(count for (name, _), count in list(run.sent_since_look.items()) if name == provider.name)
    if not sent or (sent < EVERY and not _is_doubtful(run, provider, channel)):
        return
    run.price_seen.add((provider.name, channel))
    try:
        observe(run, provider, "", alone=False)  # the purchase that follows has the vendor for itself already
    except (ConfigurationError, StopError, RefusedError, NotThereError) as error:
        run.services.progress.note(f"the balance of {provider.name} cannot be read between two purchases: {error}")


def _is_doubtful(run: Run, provider: Provider, channel: Channel) -> bool:
    """Whether one request of many people is a risk: after the first of the run, and while there is a suspicion."""
    if provider.batch_size(channel) <= 1:
        return False
    again = run.sent_since_look[provider.name, channel] > 0  # else the run's last look may be the next one
    if again and (provider.name, channel) not in run.price_seen:
        return True
    return run.services.ledger.prices.suspicion(provider.source, channel) is not None


def most_people(run: Run, provider: Provider, channel: Channel) -> int:
    """How many people a request may carry: few while the price is to be confirmed."""
    full = provider.batch_size(channel)
    suspected = run.services.ledger.prices.suspicion(provider.source, channel) is not None
    return min(full, CONFIRM_SIZE) if suspected else full


def why_too_dear(run: Run, provider: Provider, channel: Channel) -> str:
    """Why no more of a channel is bought at its present price; empty where nothing is proved."""
    found = run.services.ledger.prices.suspicion(provider.source, channel)
    return _difference(provider, channel, found) if found is not None and found.is_proved else ""


def stop_too_dear(run: Run, provider: Provider, channel: Channel) -> bool:
    """Buy no more of a channel that costs more than the settings say; whether it was stopped."""
    reason = why_too_dear(run, provider, channel)
    if not reason:
        return False
    for name in run.mappings:
        run.full[provider.name, channel.value, name] = reason
    if reason not in run.reported:
        run.reported.add(reason)
        names = " ".join(f"-m {name}" for name in run.mappings)
        setting = provider.price_setting(channel)
        change = f"if the price has risen, set {setting} to it; if" if setting else "ask the vendor; if"
        run.attention.append(
            Attention(
                f"{reason}; no more is bought",
                f"compare with the account at {provider.name}: {change} other people have spent the credits, go on "
                f"with: connector sync {names} --all",
            )
        )
    return True


def forgive(run: Run) -> None:
    """The operator lets the run go on: whatever spoke for another price is forgotten, and watched from here on."""
    for provider in run.services.providers.values():
        for channel in provider.source.prices.by_channel:
            if run.services.ledger.prices.suspicion(provider.source, channel) is not None:
                run.services.ledger.prices.keep(provider.source, channel, None)


def _difference(provider: Provider, channel: Channel, found: Suspicion) -> str:
    kind = channel.replace("_", " ")
    return (
        f"the balance of {provider.name} fell by {found.fell:,} credits, and the purchases ({kind} at {found.price:,} "
        f"credits) explain {found.most:,} at most"
    )
