"""Salesfinity, a vendor of work and personal emails by LinkedIn address."""

from connector.providers.salesfinity.settings import NAME, REGISTRATION, SalesfinitySettings

__all__ = ["NAME", "REGISTRATION", "SalesfinitySettings"]
