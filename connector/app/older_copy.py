"""A ledger that was restored from an older copy: its view in `status`, and how an operator trusts it again."""

from collections.abc import Mapping
from datetime import datetime

from connector.app.views import OlderCopy
from connector.core.errors import ConfigurationError
from connector.core.mapping import MappingFile
from connector.core.report import iso
from connector.engine.context import Progress, Run, Services
from connector.engine.older_copy import BY_MARK, TRUST, detect, restrict_forecast
from connector.providers.registry import REGISTRY
from connector.store.ledger import Ledger


def check_trust(ledger: Ledger, provider: str | None) -> None:
    """Check that `connector ledger trust` has something to do.

    Raises:
        ConfigurationError: the ledger is not an older copy, or there is no such provider.
    """
    if provider is not None and provider not in REGISTRY:
        raise ConfigurationError(f"there is no provider {provider}; choose one of {', '.join(sorted(REGISTRY))}")
    if older_copy_view(ledger) is None:
        raise ConfigurationError("no purchases are held back: this ledger is not known to be an older copy")


def trust_ledger(ledger: Ledger, provider: str | None, progress: Progress) -> str:
    """Let runs buy without reading people first, from one provider or all; returns a sentence for the operator.

    Raises:
        ConfigurationError: the ledger is not an older copy, or there is no such provider.
    """
    from connector.app.delegation import turn

    check_trust(ledger, provider)
    with turn(ledger, progress):
        detect(ledger, ledger.database.clock())
        ledger.restored.trust(provider)
    return f"The next run buys from {provider or 'every vendor'} without reading people first."


def older_copy_warning(ledger: Ledger) -> str:
    """The warning about an older copy, whether or not a run has noticed it; empty if the ledger is not one."""
    found = older_copy_view(ledger)
    if found is None:
        return ""
    return (
        f"it is an older copy, such as a restored backup: {found.sign}. Runs read each person at the vendor before "
        f"a purchase, and buy nothing where a vendor keeps no record of people; to buy without reading: {TRUST}"
    )


def forecast_run(services: Services, mappings: Mapping[str, MappingFile], now: datetime, progress: Progress) -> Run:
    """A run that only forecasts; if the ledger is an older copy, a note precedes the figures."""
    run = Run(services, "plan", mappings, now)
    restrict_forecast(run)
    warning = older_copy_warning(services.ledger)
    if warning:
        progress.note(f"The ledger: {warning}")
    return run


def older_copy_view(ledger: Ledger) -> OlderCopy | None:
    """The older copy: when it was noticed, by which sign, and the next step; None if the ledger is not one."""
    found = ledger.restored.state()
    if found is not None:
        return OlderCopy(since=iso(found.at), sign=found.sign, trusted=sorted(found.trusted), next=TRUST)
    if ledger.mark.is_missing_in(ledger.database):
        return OlderCopy(since=None, sign=BY_MARK, trusted=[], next=TRUST)
    return None
