"""Addresses in settings: web addresses, and where the ledger is."""

from pathlib import Path

from connector.core.addresses import database_address, is_loopback, web_address
from connector.core.errors import ConfigurationError

DATABASE_URL = "CONNECTOR_DATABASE_URL"
DATABASE_FORMS = "must be sqlite:///path or postgresql://user@host/database"
_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgresql+psycopg://")


def check_url(name: str, url: str) -> str:
    """An address without a slash at the end; https, except on this machine.

    Raises:
        ConfigurationError: naming the setting.
    """
    plain = f"{name} must be a plain address, without user, query or fragment"
    found = web_address(url)
    if found is None and "@" in url:
        raise ConfigurationError(plain)
    if found is None:
        raise ConfigurationError(
            f"{name} must be a web address such as https://example.com, whose host has letters, digits, hyphens and "
            "dots only (an IPv6 address stands in brackets), and whose port, if any, is 1 to 65535"
        )
    if found.scheme == "http" and not is_loopback(url):
        raise ConfigurationError(f"{name} must start with https:// (http is only for this machine's own addresses)")
    if "?" in found.rest or "#" in found.rest:
        raise ConfigurationError(plain)
    return url.rstrip("/")


def database_url(text: str, folder: Path) -> str:
    """The ledger's address with an absolute path.

    Args:
        text: as the setting has it.
        folder: where relative paths begin: beside the settings file in use.

    Raises:
        ConfigurationError: another kind of database, or no address at all; the text itself is never shown, because
            it may hold a password.
    """
    lowered = text.lower()
    if lowered.startswith(_SQLITE):
        path = text[len(_SQLITE) :]
        if not path or path == ":memory:" or "?" in path:
            raise ConfigurationError(f"{DATABASE_URL} {DATABASE_FORMS}; name a file, because the ledger must last")
        return f"{_SQLITE}{(folder / path).absolute()}"
    if lowered.startswith("sqlite:"):
        raise ConfigurationError(
            f"{DATABASE_URL} {DATABASE_FORMS}: three slashes, then the path (four slashes in all for one that begins "
            "at the root)"
        )
    if lowered.startswith("postgres://"):
        raise ConfigurationError(f"{DATABASE_URL} {DATABASE_FORMS}; write postgresql:// instead of postgres://")
    if lowered.startswith(_POSTGRES):
        if database_address(text) is not None:
            return text
        raise ConfigurationError(
            f"{DATABASE_URL} {DATABASE_FORMS}; in a user or a password, write @ : / ? # % and other signs "
            "percent-encoded, such as %40 for @"
        )
    raise ConfigurationError(f"{DATABASE_URL} {DATABASE_FORMS}")
