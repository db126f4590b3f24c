"""Addresses in settings: web addresses, and the address of the ledger."""

from pathlib import Path

from connector.core.addresses import database_address, is_loopback, web_address
from connector.core.errors import ConfigurationError

DATABASE_URL = "CONNECTOR_DATABASE_URL"
DATABASE_FORMS = "must be sqlite:///path or postgresql://user@host/database"
_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgresql+psycopg://")


def check_url(name: str, url: str) -> str:
    """Check a web address and remove the slash at its end; only this machine's own addresses may use http.

    Raises:
        ConfigurationError: the address cannot be used; the message names the setting.
    """
    plain = f"{name} must be a plain address, without user, query or fragment"
    found = web_address(url)
    if found is None and "@" in url:
        raise ConfigurationError(plain)
    if found is None:
        raise ConfigurationError(
            f"{name} must be a web address such as https://example.com, whose host has letters, digits, hyphens and "
            "dots only (an IPv6 address goes in brackets), and whose port, if any, is 1 to 65535"
        )
    if found.scheme == "http" and not is_loopback(url):
        raise ConfigurationError(f"{name} must start with https:// (http is only for this machine's own addresses)")
    if "?" in found.rest or "#" in found.rest:
        raise ConfigurationError(plain)
    return url.rstrip("/")


def database_url(text: str, folder: Path) -> str:
    """The ledger's address with an absolute path.

    Args:
        text: the value of the setting.
        folder: the base of relative paths: the folder of the settings file in use.

    Raises:
        ConfigurationError: the text is not the address of a supported database. The message never shows it, because
            it may contain a password.
    """
    lowered = text.lower()
    if lowered.startswith(_SQLITE):
        path = text[len(_SQLITE) :]
        if not path or path == ":memory:" or "?" in path:
            raise ConfigurationError(f"{DATABASE_URL} {DATABASE_FORMS}; name a file, because the ledger must last")
        return f"{_SQLITE}{(folder / path).absolute()}"
    if lowered.startswith("sqlite:"):
        raise ConfigurationError(
            f"{DATABASE_URL} {DATABASE_FORMS}: three slashes, then the path (four slashes in total for an absolute "
            "path)"
        )
    if lowered.startswith("postgres://"):
        raise ConfigurationError(f"{DATABASE_URL} {DATABASE_FORMS}; write postgresql:// instead of postgres://")
    if lowered.startswith(_POSTGRES):
        if database_address(text) is not None:
            return text
        raise ConfigurationError(
            f"{DATABASE_URL} {DATABASE_FORMS}; in a user or a password, write @ : / ? # % and other special characters "
            "percent-encoded, such as %40 for @"
        )
    raise ConfigurationError(f"{DATABASE_URL} {DATABASE_FORMS}")
