"""Lensmor, a vendor of work emails and phones of people at events."""

from connector.providers.lensmor.provider import LOOKUP_TIMEOUT_S, NAME, REGISTRATION, Lensmor, LensmorSettings, connect

__all__ = ["LOOKUP_TIMEOUT_S", "NAME", "REGISTRATION", "Lensmor", "LensmorSettings", "connect"]
