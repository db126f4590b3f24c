"""`connector doctor`: checks everything that a run needs; a failed check does not hide the others."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from connector.app import surroundings
from connector.app.belonging import bind
from connector.app.configuring import DEFAULT_CRM, Survey, folder_of, survey
from connector.app.findings import Finding
from connector.app.limits_view import no_daily_cap_lines
from connector.app.mappings import GivenMappings, load_mappings
from connector.app.older_copy import older_copy_warning
from connector.app.private_files import open_to_others, why_nothing_can_be_bought
from connector.app.wiring import connect_crm, connect_providers, ledger_in_memory, open_ledger, still_at_work
from connector.config import env_file_here
from connector.config.mapping_file import LoadedMapping
from connector.config.schedule import next_time
from connector.core.errors import ConfigurationError, ConnectorError
from connector.core.mapping import MappingFile
from connector.core.model import Channel
from connector.crm.interface import Crm, Problem
from connector.crm.registry import CRMS
from connector.engine.context import AccountLimits
from connector.engine.overdue import attention_of
from connector.engine.select import flagged
from connector.jobs.clock import SystemClock
from connector.providers.interface import Provider
from connector.store.database import sqlite_path
from connector.store.ledger import Ledger

NOT_CHECKED = "not checked, because its settings are wrong or missing (see above)"


def doctor(mapping_names: Sequence[str], env_file: Path | None = None, *, alert_test: bool = False) -> list[Finding]:
    """Check mapping files, settings, the CRM and the vendors; buys and writes nothing.

    Args:
        mapping_names: the values of `-m`.
        env_file: the settings file; by default `.env` in the working directory, if any.
        alert_test: send a test message to every destination of alerts.
    """
    env_file = env_file or env_file_here()
    mappings = load_mappings(mapping_names, folder_of(env_file))
    found = survey(env_file)
    findings = [*_files(mappings), *_settings(found, mappings)]
    ledger = _ledger(found, findings)
    try:
        findings += surroundings.public_address(found.configured)
        findings += surroundings.alerts(found.configured, test=alert_test)
        findings += _own_files(found, ledger)
        providers = _providers(found, mappings, ledger, findings)
        now = datetime.now(UTC)
        for one in mappings.loaded:
            findings += _plans(one.file.mapping, now)
        findings += _accounts(found, mappings)
        findings += _no_daily_caps(found, mappings)
        findings += _small_caps(mappings, found.configured.limits(), providers)
        crm = _crm(found, findings)
        try:
            findings += _belonging(found, mappings, ledger, crm)
            findings += _older_copy(ledger)
            findings += _overdue(ledger, ledger.database.clock())
            findings += _org(crm, mappings)
            findings += _remarks(crm, mappings)
        finally:
            if crm is not None:
                crm.close()
        balances = _balances(providers, findings)
        findings += surroundings.balances_below_caps(mappings, balances)
    finally:
        ledger.close()
    return findings


# -- files and settings -----------------------------------------------------------------------------------------


def _files(mappings: GivenMappings) -> Iterator[Finding]:
    for one in mappings.loaded:
        yield Finding(f"mapping {one.file.path}", ok=True, message="valid")
    for problem in mappings.problems:
        yield Finding("mapping files", ok=False, message=problem)


def _settings(found: Survey, mappings: GivenMappings) -> Iterator[Finding]:
    problems = found.needed(mappings.providers)
    for problem in problems:
        yield Finding("settings", ok=False, message=str(problem))
    for name in found.unused:
        yield Finding("settings", ok=True, message=f"{name} has no effect in this version", warning=True)
    if not problems:
        place = found.configured.env_file
        yield Finding("settings", ok=True, message=f"read from {place}" if place else "read from the environment")


def _ledger(found: Survey, findings: list[Finding]) -> Ledger:
    """The ledger, or one in memory: requests need its rate limiter."""
    if found.about("CONNECTOR_DATABASE_URL", "CONNECTOR_SECRET_KEY"):
        findings.append(Finding("ledger", ok=False, message=NOT_CHECKED))
        return ledger_in_memory()
    try:
        ledger = open_ledger(found.configured, throwaway=True)
    except ConfigurationError as error:
        findings.append(Finding("ledger", ok=False, message=str(error)))
        return ledger_in_memory()
    path = sqlite_path(found.configured.ledger_url())
    findings += surroundings.database(found.configured, ledger, exists=path is None or path.exists())
    return ledger


def _own_files(found: Survey, ledger: Ledger) -> Iterator[Finding]:
    if not found.about("CONNECTOR_DATABASE_URL"):
        for advice in open_to_others(found.configured, ledger):
            yield Finding("file mode", ok=True, message=advice, warning=True)
    problem = why_nothing_can_be_bought(ledger)
    if problem:
        yield Finding("recovery journal", ok=False, message=problem)


def _belonging(found: Survey, mappings: GivenMappings, ledger: Ledger, crm: Crm | None) -> Iterator[Finding]:
    """An error if the ledger belongs to another org, vendor account or mapping."""
    used = mappings.providers | still_at_work(found.configured, ledger)
    vendors = [name for name in sorted(used) if not found.about(f"{name.upper()}_")]
    flags = {one.file.mapping.name: one.file.mapping for one in mappings.loaded}
    try:
        bind(found.configured, ledger, crm, vendors, flags, record=False)
    except ConfigurationError as error:
        for problem in str(error).splitlines():
            yield Finding("ledger", ok=False, message=problem)


def _older_copy(ledger: Ledger) -> Iterator[Finding]:
    """A warning if the ledger was restored from a backup."""
    warning = older_copy_warning(ledger)
    if warning:
        yield Finding("ledger", ok=True, message=warning, warning=True)


def _overdue(ledger: Ledger, now: datetime) -> Iterator[Finding]:
    """A warning for each kind of work that has waited too long."""
    for one in ledger.overdue.all(now):
        words = attention_of(one)
        yield Finding(one.what.value, ok=True, message=f"{words.reason}; next: {words.next}", warning=True)


# -- budgets and schedules --------------------------------------------------------------------------------------


def _plans(mapping: MappingFile, now: datetime) -> Iterator[Finding]:
    """A mapping's caps and its schedule."""
    limits = mapping.limits
    caps = [
        f"{name}: {_cap(limits.max_credits.get(name), 'a run')}, {_cap(limits.max_credits_per_day.get(name), 'a day')}"
        for name in sorted(mapping.providers())
    ]
    yield Finding(f"caps of {mapping.name}", ok=True, message="; ".join(caps))
    if mapping.schedule is None:
        yield Finding(f"schedule of {mapping.name}", ok=True, message="none: it runs only by command or request")
    else:
        due = next_time(mapping.schedule, now)
        words = f"{mapping.schedule} (UTC), next at {due:%Y-%m-%d %H:%M} UTC under serve or worker"
        yield Finding(f"schedule of {mapping.name}", ok=True, message=words)


def _cap(credits_: int | None, period: str) -> str:
    return f"no cap {period}" if credits_ is None else f"{credits_:,} credits {period}"


def _accounts(found: Survey, mappings: GivenMappings) -> Iterator[Finding]:
    limits = found.configured.limits()
    for name in sorted(mappings.providers):
        caps = limits[name]
        words = f"{_cap(caps.day, 'a day')}, {_cap(caps.month, 'a month')}, reserve {caps.reserve:,} credits"
        yield Finding(f"caps of the {name} account", ok=True, message=words)


def _no_daily_caps(found: Survey, mappings: GivenMappings) -> Iterator[Finding]:
    """A warning for each provider where `serve` and workers have no daily cap."""
    files = {one.file.mapping.name: one.file.mapping for one in mappings.loaded}
    for line in no_daily_cap_lines(files, found.configured.limits()):
        yield Finding("daily caps", ok=True, message=line, warning=True)


def _small_caps(
    mappings: GivenMappings, limits: dict[str, AccountLimits], providers: dict[str, Provider]
) -> Iterator[Finding]:
    """A warning for each cap that is below the price of a single purchase."""
    for one in mappings.loaded:
        mapping = one.file.mapping
        for channel, rules in mapping.channels.items():
            for name in rules.sources:
                if name in providers:
                    price = providers[name].source.prices.of(channel)
                    yield from _below(one.file, name, channel, price, limits[name])


def _below(file: LoadedMapping, name: str, channel: Channel, price: int, account: AccountLimits) -> Iterator[Finding]:
    own = file.mapping.limits
    caps = {
        file.place(("limits", "max_credits", name)): own.max_credits.get(name),
        file.place(("limits", "max_credits_per_day", name)): own.max_credits_per_day.get(name),
        f"CONNECTOR_MAX_CREDITS_PER_DAY_{name.upper()}": account.day,
        f"CONNECTOR_MAX_CREDITS_PER_MONTH_{name.upper()}": account.month,
    }
    for place, cap in caps.items():
        if cap is not None and cap < price:
            words = (
                f"{cap:,} credits are less than the price of one {channel} at {name} ({price:,} credits): none is "
                f"bought for {file.mapping.name}; raise the cap, or leave {name} out of that channel"
            )
            yield Finding(
                place, ok=True, message=words, warning=True
            )  # a run can start: a cap of 0 means to buy nothing


# -- the CRM ----------------------------------------------------------------------------------------------------


def _crm(found: Survey, findings: list[Finding]) -> Crm | None:
    """The CRM, logged in; None if that fails, with a finding that names the cause."""
    subject, settings = f"{CRMS[DEFAULT_CRM].label} login", found.configured.crms[DEFAULT_CRM]
    if found.about(settings.prefix) or settings.missing():
        findings.append(Finding(subject, ok=False, message=NOT_CHECKED))
        return None
    try:
        crm = connect_crm(found.configured, SystemClock(found.configured.settings.connector_time_scale))
    except ConnectorError as error:
        findings.append(Finding(subject, ok=False, message=str(error)))
        return None
    try:
        crm.login()
    except ConnectorError as error:
        crm.close()
        findings.append(Finding(subject, ok=False, message=str(error)))
        return None
    findings.append(Finding(subject, ok=True, message="accepted"))
    return crm


def _org(crm: Crm | None, mappings: GivenMappings) -> Iterator[Finding]:
    """The org's quota, and each mapping's object."""
    if crm is None:
        for one in mappings.loaded:
            subject = f"object {one.file.mapping.object}"
            yield Finding(subject, ok=False, message="not checked, because there is no login (see above)")
        return
    usage = crm.usage()
    if usage.daily_limit:
        words = f"{usage.daily_used:,} of {usage.daily_limit:,} daily requests used"
    else:
        words = "unknown, because the user may not read /limits (permission View Setup and Configuration)"
    yield Finding(f"{crm.label} quota", ok=True, message=words)
    for one in mappings.loaded:
        yield from _object(crm, one.file)


def _remarks(crm: Crm | None, mappings: GivenMappings) -> Iterator[Finding]:
    """What the CRM's folder says about login, rights and loops; a remark that cannot be made is left out."""
    if crm is None:
        return
    try:
        found = crm.remarks([one.file.mapping for one in mappings.loaded])
    except ConnectorError as error:
        yield Finding(crm.label, ok=True, message=f"not all is known about the login: {error}", warning=True)
        return
    for one in found:
        yield Finding(f"{crm.label} {one.subject}", ok=True, message=one.message, warning=one.is_odd)


def _object(crm: Crm, file: LoadedMapping) -> Iterator[Finding]:
    subject = f"object {file.mapping.object}"
    try:
        problems = crm.check(file.mapping)
    except ConnectorError as error:
        yield Finding(subject, ok=False, message=str(error))
        return
    for problem in problems:
        place = file.place(problem.path)
        yield Finding(place, ok=not problem.fatal, message=problem.message, warning=not problem.fatal)
    if not any(problem.fatal for problem in problems):
        yield Finding(subject, ok=True, message=f"{len(file.mapping.read_fields())} fields visible and suitable")
    yield _flagged(crm, file, problems)


def _flagged(crm: Crm, file: LoadedMapping, problems: Sequence[Problem]) -> Finding:
    subject = f"flagged for {file.mapping.name}"
    if any(problem.fatal and problem.path[0] in {"object", "select"} for problem in problems):
        return Finding(subject, ok=False, message="not counted, because object, flag or condition is wrong (see above)")
    try:
        count = crm.count(flagged(file.mapping))
    except ConnectorError as error:
        return Finding(subject, ok=False, message=f"not counted: {error}")
    return Finding(subject, ok=True, message=f"{count:,} {'record' if count == 1 else 'records'}")


# -- the vendors ------------------------------------------------------------------------------------------------


def _providers(found: Survey, mappings: GivenMappings, ledger: Ledger, findings: list[Finding]) -> dict[str, Provider]:
    """The providers of the mappings whose settings are complete."""
    connected: dict[str, Provider] = {}
    missing = {problem.name for problem in found.configured.missing(mappings.providers)}
    clock = SystemClock(found.configured.settings.connector_time_scale)
    for name in sorted(mappings.providers):
        start = f"{name.upper()}_"
        if found.about(start) or f"{start}API_KEY" in missing:
            findings.append(Finding(name, ok=False, message=NOT_CHECKED))
            continue
        try:
            connected |= connect_providers(found.configured, [name], ledger, clock)
        except ConnectorError as error:
            findings.append(Finding(name, ok=False, message=str(error)))
    return connected


def _balances(providers: dict[str, Provider], findings: list[Finding]) -> dict[str, int]:
    """Read the balance of each provider; returns those that could be read."""
    found: dict[str, int] = {}
    for name, provider in providers.items():
        try:
            found[name] = provider.balance()
            findings.append(Finding(name, found[name] > 0, f"{found[name]:,} credits on the account"))
        except ConnectorError as error:
            findings.append(Finding(name, ok=False, message=str(error)))
        finally:
            provider.close()
    return found
