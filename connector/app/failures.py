"""Translates unexpected errors into errors for an admin."""

from connector.core.errors import ConnectorError
from connector.store.failures import outage

__all__ = ["explained"]


def explained(error: BaseException) -> ConnectorError | None:
    """The error as a `ConnectorError` if something outside has failed; None for a fault of the connector."""
    return error if isinstance(error, ConnectorError) else outage(error)
