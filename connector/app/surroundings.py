"""`doctor`'s checks of what surrounds a run: the database and its clock, the public address, balances, alerts."""

import ipaddress
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from connector.app.alerts import channels, send_test
from connector.app.configuring import Configured
from connector.app.findings import Finding
from connector.app.mappings import GivenMappings
from connector.core.addresses import is_loopback
from connector.net import Budget, ExchangeError, NetworkSettings
from connector.store.ledger import Ledger

MOST_SKEW = timedelta(seconds=60)
HEALTH_PATH = "/healthz"
_REACH_S, _REACH_BYTES = 10.0, 64 * 1024


def database(configured: Configured, ledger: Ledger, *, exists: bool) -> Iterator[Finding]:
    """The ledger in use, and its clock beside this machine's."""
    if not exists:
        yield Finding("ledger", ok=True, message=f"none yet; the first run creates {configured.ledger_place()}")
        return
    yield Finding("ledger", ok=True, message=f"{configured.ledger_place()}, reachable and up to date")
    skew = datetime.now(UTC) - ledger.database.clock()
    if abs(skew) > MOST_SKEW:
        words = (
            f"this machine's clock differs by {abs(skew).total_seconds():,.0f} s from the database's: set both by NTP"
        )
        yield Finding("clock", ok=True, message=words, warning=True)


def public_address(configured: Configured) -> Iterator[Finding]:
    """Whether vendors and the CRM can reach `serve`, as far as this machine can tell."""
    url, subject = configured.settings.connector_public_url, "public address"
    if not url:
        return
    host = urlsplit(url).hostname or ""
    if is_loopback(url) or _is_private(host):
        words = f"{url} is an address of this machine or network: no vendor and no CRM outside can reach it"
        yield Finding(subject, ok=True, message=words, warning=True)
        return
    why = _unreachable(url, configured.network)
    if why:
        words = (
            f"{url} {why}, as seen from here: start 'connector serve', and let the proxy forward /v1/ and {HEALTH_PATH}"
        )
        yield Finding(subject, ok=True, message=words, warning=True)
        return
    yield Finding(subject, ok=True, message=f"{url} answers, as seen from here; from outside it cannot be checked")


def _is_private(host: str) -> bool:
    try:
        found = {ipaddress.ip_address(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except (OSError, ValueError):
        return False  # the request says why
    return bool(found) and all(one.is_private for one in found)


def _unreachable(url: str, network: NetworkSettings) -> str:
    """Why an address gives no answer; empty if it gives one. Any HTTP answer counts, because a proxy may hide paths."""
    from connector.net.exchange import exchange
    from connector.net.library import httpx

    transport = network.transport(url, reuse=False)
    try:
        exchange(transport, httpx.Request("GET", f"{url}{HEALTH_PATH}"), Budget(_REACH_S, _REACH_BYTES))
    except ExchangeError as error:
        return error.why
    finally:
        transport.close()
    return ""


def balances_below_caps(mappings: GivenMappings, balances: Mapping[str, int]) -> Iterator[Finding]:
    """A warning for each provider whose balance is less than one run of the mappings may spend."""
    for name, balance in balances.items():
        caps = [one.file.mapping.limits.max_credits.get(name) for one in mappings.loaded]
        most = sum(cap for cap in caps if cap is not None)
        if 0 < balance < most:
            words = (
                f"{balance:,} credits are less than the {most:,} that one run of each mapping may spend: a large run "
                "stops early (exit 4); add credits, or lower the caps"
            )
            yield Finding(f"balance of {name}", ok=True, message=words, warning=True)


def alerts(configured: Configured, *, test: bool) -> Iterator[Finding]:
    """The destinations of alerts, each with a test message if one is asked for."""
    names = [one.name for one in channels(configured)]
    if not names:
        words = (
            "no destination: nobody is told if scheduled runs fail. Set CONNECTOR_ALERT_WEBHOOK_URL, or "
            "CONNECTOR_ALERT_EMAIL with CONNECTOR_SMTP_URL"
        )
        yield Finding("alerts", ok=not test, message=words, warning=not test)
        return
    if not test:
        words = f"{' and '.join(names)}; 'connector doctor --alert-test' sends a test"
        yield Finding("alerts", ok=True, message=words)
        return
    for name, problem in send_test(configured):
        yield Finding(f"alerts by {name}", ok=not problem, message=problem or "the test was sent: see that it arrived")
