"""The form of secrets that callers of `connector serve` must show."""

import re

from connector.core.errors import ConfigurationError

SHORTEST_SECRET = 16
_FORM = re.compile(r"[A-Za-z0-9._~+/=-]+")


def check_shared_secret(name: str, secret: str) -> None:
    """Refuse a secret that could be guessed, or that a header or a path cannot carry.

    Args:
        name: of its setting, for the message.
        secret: as it is set.

    Raises:
        ConfigurationError: without the secret.
    """
    if len(secret) < SHORTEST_SECRET:
        raise ConfigurationError(f"{name} must have at least {SHORTEST_SECRET} characters")
    if not _FORM.fullmatch(secret):
        raise ConfigurationError(f"{name} may hold letters, digits and . _ ~ + / = - only")
