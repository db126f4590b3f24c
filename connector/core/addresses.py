"""Parses web addresses, recognises loopback addresses, and shows the ledger's address without its password.

Settings, redirects, Host headers and proxies share one strict parser. Programs read odd addresses differently (some
take a backslash for a slash, some for a letter), so an ambiguous text is not accepted as an address.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

LONGEST_ADDRESS = 2000
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_NUMBER = re.compile(r"(?:[0-9]+|0[xX][0-9A-Fa-f]*)")
_HOST = r"(?P<host>\[[^\[\]/?#@\\]*\]|[^\[\]/?#@\\:]*)(?::(?P<port>[0-9]{1,5}))?"
_WEB = re.compile(rf"(?P<scheme>https?)://{_HOST}(?P<rest>[/?#].*)?", re.IGNORECASE)
_PROXY_USER = re.compile(r"^(https?://)[^/?#@\\\[\]]*@", re.IGNORECASE)
# As in libpq: several hosts are allowed; these characters are percent-encoded in a user and a password.
_DATABASE = re.compile(
    r"[A-Za-z0-9+]+://(?:(?P<user>[^:/?#@\\\[\]\s]*)(?::(?P<password>[^/?#@\\\[\]\s]*))?@)?"
    rf"{_HOST}(?P<path>/[^/?#@\\\[\]]*)(?:\?(?P<query>[^#]*))?"
)
_PARAMETER = re.compile(
    r"(?P<name>\b\w*(?:password|passwd|pwd))(?P<sign>\s*=\s*|%3d)(?:'(?:[^'\\]|\\.)*'|[^\s&'\"]+)", re.IGNORECASE
)
_USER_AND_PASSWORD = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s'\"<>@]*:[^\s'\"<>]*@", re.IGNORECASE)
_HIDDEN = "…"


@dataclass(frozen=True, slots=True)
class WebAddress:
    """An http or https address.

    Attributes:
        scheme: in lower case.
        host: a name or an address in lower case; an IPv6 address without brackets.
        port: None if the text has none.
        rest: path, query and fragment, as given.
    """

    scheme: str
    host: str
    port: int | None
    rest: str


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """The parts of a PostgreSQL address that may be shown; the host may be the folder of the server's socket."""

    host: str
    port: int | None
    database: str

    def __str__(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"{shown}{f':{self.port}' if self.port else ''}/{self.database}"


def web_address(text: str) -> WebAddress | None:
    """Parse a web address; None if the text is not one, or is ambiguous.

    A host is letters, digits, hyphens and dots, an IPv4 address in four parts, or an IPv6 address in brackets. User
    information, a backslash, a bracket elsewhere, blanks and control characters are refused.
    """
    if len(text) > LONGEST_ADDRESS or not text.isprintable() or any(sign in text for sign in " \\"):
        return None
    found = _WEB.fullmatch(text)
    if found is None or not is_host(found["host"]) or "[" in (found["rest"] or "") or "]" in (found["rest"] or ""):
        return None
    port = None if found["port"] is None else int(found["port"])
    if port is not None and not 0 < port < 2**16:
        return None
    return WebAddress(found["scheme"].lower(), found["host"].lower().strip("[]"), port, found["rest"] or "")


def is_host(text: str) -> bool:
    """Whether a text is a host's name, an IPv4 address in four parts, or an IPv6 address in brackets."""
    if text.startswith("["):
        try:
            ipaddress.IPv6Address(text.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return text.endswith("]") and "%" not in text
    if len(text) > 253 or _NAME.fullmatch(text) is None:
        return False
    if _NUMBER.fullmatch(text.rstrip(".").rpartition(".")[2]) is None:
        return True
    try:  # 127.1 and 0x7f000001 are addresses to some programs
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def is_web_address(url: str) -> bool:
    """Whether a text is an http or https address without user information; see `web_address`."""
    return web_address(url) is not None


def is_proxy_address(url: str) -> bool:
    """Whether a text is a web address; a user and a password before the host are allowed."""
    return is_web_address(_PROXY_USER.sub(r"\1", url)) if url.isprintable() else False


def is_loopback(url: str) -> bool:
    """Whether an address stays on this machine; of names, only `localhost` counts, because none is resolved."""
    found = web_address(url)
    if found is None:
        return False
    try:
        return found.host == "localhost" or ipaddress.ip_address(found.host).is_loopback
    except ValueError:
        return False


def database_address(text: str) -> DatabaseAddress | None:
    """The parts of a PostgreSQL address that may be shown; None if the password cannot be separated with certainty."""
    found = _DATABASE.fullmatch(text) if text.isprintable() and len(text) <= LONGEST_ADDRESS else None
    if found is None:
        return None
    query = dict(parse_qsl(found["query"] or "", keep_blank_values=True))
    database = unquote(found["path"].removeprefix("/")) or query.get("dbname", "")
    port = found["port"] or query.get("port") or "0"
    host = found["host"] or query.get("host", "")
    is_folder = not found["host"] and host.startswith("/") and "@" not in host
    hosts = [] if is_folder or not host else host.split(",")
    if not database or re.fullmatch("[0-9]{1,5}", port) is None or int(port) >= 2**16 or not all(map(is_host, hosts)):
        return None
    return DatabaseAddress(host.strip("[]"), int(port) or None, database)


def hide_passwords(text: str) -> str:
    """Remove the user and password of every address in a library's text, and every `password=...`."""
    shown = _USER_AND_PASSWORD.sub(rf"\g<scheme>{_HIDDEN}@", text)
    return _PARAMETER.sub(rf"\g<name>\g<sign>{_HIDDEN}", shown)
