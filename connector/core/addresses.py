"""Which web addresses stay on this machine."""

from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """Whether an address stays on this machine; a name that only a resolver could tell does not count."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host in {"localhost", "::1"} or (host.startswith("127.") and host.replace(".", "").isdecimal())
