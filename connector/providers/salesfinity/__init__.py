"""Salesfinity, a vendor of work and personal emails by LinkedIn address."""

from connector.providers.salesfinity.provider import NAME, REGISTRATION, Salesfinity, SalesfinitySettings, connect

__all__ = ["NAME", "REGISTRATION", "Salesfinity", "SalesfinitySettings", "connect"]
