"""Proxies and trusted certificates from the usual environment variables, for addresses outside this machine."""

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from connector.core.addresses import is_loopback, is_proxy_address
from connector.core.errors import ConfigurationError
from connector.net.tls import FILE_SETTINGS, FOLDER_SETTING, trusted

if TYPE_CHECKING:  # imported when a transport is made: start-up time
    from connector.net.transport import BoundedTransport

PROXY_SETTINGS = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
NETWORK_SETTINGS = (*PROXY_SETTINGS, *FILE_SETTINGS, FOLDER_SETTING)


@dataclass(frozen=True)
class NetworkSettings:
    """The network settings of this machine.

    Attributes:
        environment: values by name; for proxies the lower-case name takes precedence, as in curl.
    """

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)  # a proxy's address may hold a password

    def transport(self, url: str, connect_retries: int = 0, *, reuse: bool = True) -> "BoundedTransport":
        """A transport to the site at an address; it keeps connections open unless `reuse` is false.

        Raises:
            ConfigurationError: the proxy or the certificates for the address cannot be used.
        """
        from connector.net.transport import BoundedTransport

        setting, proxy = self.proxy_for(url)
        tls = self.tls if url.startswith("https") else None
        return BoundedTransport(tls, proxy, setting, connect_retries, reuse=reuse)

    def proxy_for(self, url: str) -> tuple[str, str]:
        """The proxy for an address: the name of its setting, and its address; both empty if there is none.

        Raises:
            ConfigurationError: the setting does not name an HTTP proxy.
        """
        parts = urlsplit(url)
        if is_loopback(url) or self._is_direct(parts.hostname or "", parts.port):
            return "", ""
        for name in (f"{parts.scheme.upper()}_PROXY", "ALL_PROXY"):
            found = self._get(name).strip()
            if found:
                return name, _checked(name, found)
        return "", ""

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """The TLS context with the certificates to trust; loaded once.

        Raises:
            ConfigurationError: a setting names a file or folder without certificates.
        """
        return trusted(self.environment)

    def _get(self, name: str) -> str:
        return self.environment.get(name.lower()) or self.environment.get(name) or ""

    def _is_direct(self, host: str, port: int | None) -> bool:
        entries = self._get("NO_PROXY").replace(",", " ").split()
        return any(_covers(entry.lower(), host.lower(), port) for entry in entries)


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of `NO_PROXY` covers a host: `*`, a domain with its subdomains, an address, or a network."""
    name, _, of_port = entry.rpartition(":")
    if of_port.isdecimal() and ":" not in name:  # not an IPv6 address
        return int(of_port) == (port or 443) and _covers(name, host, None)
    suffix = entry.removeprefix("*").removeprefix(".")
    if entry == "*" or (suffix and (host == suffix or host.endswith(f".{suffix}"))):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _checked(name: str, proxy: str) -> str:
    address = proxy if "://" in proxy else f"http://{proxy}"
    if not is_proxy_address(address):
        raise ConfigurationError(f"{name} must be the address of an HTTP proxy, such as http://proxy.example.com:3128")
    return address
