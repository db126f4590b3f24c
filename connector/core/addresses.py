"""Which web addresses stay on this machine."""

from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """Whether an address stays on this machine; a name that only a resolver could tell does not count."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host in {"localhost", "::1"} or (host.startswith("127.") and host.replace(".", "").isdecimal())


def is_web_address(url: str) -> bool:
    """Whether a text is an http or https address with a host, and a port that can be one where it names a port."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
