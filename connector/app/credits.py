"""The view of `connector credits`: balances, holds, and the spend by month, mapping and channel."""

from contextlib import closing

from connector.app.views import CreditsView, MonthSpend, ProviderBalance, ValueCost
from connector.app.wiring import Configured, connect_providers
from connector.core.clock import Clock
from connector.core.errors import ConfigurationError, ConnectorError
from connector.core.spend import Totals
from connector.providers.interface import Provider
from connector.providers.registry import REGISTRY
from connector.store.ledger import Ledger


def credits_of(configured: Configured, ledger: Ledger, clock: Clock) -> CreditsView:
    """Read the vendors' current balances, the ledger's holds and charges, and the spend of each month.

    Raises:
        ConfigurationError: no vendor has a key.
    """
    names = [name for name, settings in configured.providers.items() if settings.api_key is not None]
    if not names:
        keys = " or ".join(f"{name.upper()}_API_KEY" for name in REGISTRY)
        raise ConfigurationError(f"no vendor is set up: put {keys} into .env")
    totals = ledger.credits.totals()
    connected = connect_providers(configured, names, ledger, clock)
    return CreditsView(
        providers={name: _balance(one, totals.get(name, Totals())) for name, one in connected.items()},
        months=[
            MonthSpend(month=month, provider=name, mapping=mapping, charged=found.charged, held=found.open)
            for month, name, mapping, found in ledger.credits.by_month()
        ],
        values=[
            ValueCost(
                provider=name,
                channel=channel,
                delivered=delivered,
                credits=credits_,
                credits_per_value=round(credits_ / delivered, 2) if delivered else None,
            )
            for name, channel, delivered, credits_ in ledger.credits.cost_of_values()
        ],
    )


def _balance(provider: Provider, totals: Totals) -> ProviderBalance:
    balance, trouble = None, ""
    with closing(provider):
        try:
            balance = provider.balance()
        except ConnectorError as error:
            trouble = str(error)
    return ProviderBalance(balance=balance, trouble=trouble, held=totals.open, charged=totals.charged)
