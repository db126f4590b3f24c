"""Addresses in settings: web addresses, and where the ledger is."""

from pathlib import Path
from urllib.parse import urlsplit

from connector.core.addresses import is_loopback, is_web_address
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
    if not is_web_address(url):
        raise ConfigurationError(f"{name} must be a web address such as https://example.com")
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(url):
        raise ConfigurationError(f"{name} must start with https:// (http is only for this machine's own addresses)")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(f"{name} must be a plain address, without user, query or fragment")
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
    if lowered.startswith(_POSTGRES) and _names_a_database(text):
        return text
    raise ConfigurationError(f"{DATABASE_URL} {DATABASE_FORMS}")


def _names_a_database(text: str) -> bool:
    """Whether host (or a socket folder in the query) and database can be read from a PostgreSQL address."""
    try:
        parts = urlsplit(text)
        return bool(parts.path.strip("/")) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
