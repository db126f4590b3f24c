"""Lensmor, a vendor of work emails and phones of people at events."""

from connector.providers.lensmor.settings import NAME, REGISTRATION, LensmorSettings

__all__ = ["NAME", "REGISTRATION", "LensmorSettings"]
