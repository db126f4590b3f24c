"""How many connections may wait on the server, by address: one address cannot lock out the others.

A connection waits while no whole request of it has arrived: it is idle, or slow. Where too many wait, the server closes
the one that has waited longest, never the newest. A caller that sends its request at once is therefore always served.
"""

import ipaddress
from collections import defaultdict
from typing import Protocol

MOST_WAITING_PER_ADDRESS = 50  # Salesfinity and Salesforce open a few at a time
MOST_WAITING_ON_LOOPBACK = 200  # a reverse proxy on this machine, behind which all callers have its address
MOST_WAITING = 400  # of all addresses; the rest of what the server takes is for requests that are being answered
IPV6_SITE_BITS = 64  # one customer of a provider has at least so many addresses


class Waiting(Protocol):
    """A connection that can be closed."""

    def hang_up(self) -> None:
        """Close it."""


class Crowd:
    """The connections that wait, by address, the longest wait first."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[Waiting, None]] = defaultdict(dict)
        self._count = 0

    def waits(self, one: Waiting, address: str) -> None:
        """A connection waits from now on, or still; where too many do, the longest wait ends."""
        mine = self._waiting[address]
        if one in mine:
            return
        mine[one] = None
        self._count += 1
        if len(mine) > _most_of(address):
            self._end_longest(address)
        elif self._count > MOST_WAITING:
            self._end_longest(max(self._waiting, key=lambda found: len(self._waiting[found])))

    def waits_no_more(self, one: Waiting, address: str) -> None:
        """Its request has arrived, or it is closed."""
        mine = self._waiting.get(address, {})
        if one in mine:
            del mine[one]
            self._count -= 1
        if not mine:
            self._waiting.pop(address, None)

    def _end_longest(self, address: str) -> None:
        longest = next(iter(self._waiting[address]))
        self.waits_no_more(longest, address)
        longest.hang_up()


def address_of(peer: object) -> str:
    """What counts as one address: an IPv4 address, or a site's IPv6 network; empty where there is none."""
    host = str(peer[0]) if isinstance(peer, tuple) and peer else ""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    if found.is_loopback:
        return str(found)
    return str(ipaddress.ip_network((found, IPV6_SITE_BITS), strict=False))


def _most_of(address: str) -> int:
    try:
        is_loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        is_loopback = False
    return MOST_WAITING_ON_LOOPBACK if is_loopback else MOST_WAITING_PER_ADDRESS
