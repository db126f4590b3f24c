"""Limits the waiting connections of each address, so that one address cannot lock out the others.

A connection waits while it is idle or its request is incomplete. If too many wait, the server closes the one that has
waited longest, never the newest. A caller that sends its request at once is therefore always served.
"""

import ipaddress
from collections import defaultdict
from typing import Protocol

MOST_WAITING_PER_ADDRESS = 50  # Salesfinity and Salesforce open a few at a time
MOST_WAITING_ON_LOOPBACK = 200  # all callers behind a reverse proxy on this machine share its address
MOST_WAITING = 400  # of all addresses; the remaining connections are for requests in progress
IPV6_SITE_BITS = 64  # a customer of a network provider has at least a network of this size


class Waiting(Protocol):
    """A connection that can be closed."""

    def hang_up(self) -> None:
        """Close the connection."""


class Crowd:
    """The waiting connections, by address, the longest wait first."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[Waiting, None]] = defaultdict(dict)
        self._count = 0

    def waits(self, one: Waiting, address: str) -> None:
        """Note that a connection waits; if too many do, close the one with the longest wait."""
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
        """Note that a connection's request has arrived, or that it is closed."""
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
    """The address to count by: an IPv4 address, or a site's IPv6 network; empty if there is none."""
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
