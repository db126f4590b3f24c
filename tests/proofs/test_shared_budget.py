"""Three processes with one vendor key keep the vendor's rate limit and use all of it, whatever database they share."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from connector.simulator.clock import SimClock
from connector.simulator.seed import seed_bulk
from connector.simulator.server import Simulator
from connector.store.database import Database

LIMIT = 120  # requests per minute, as in the vendor's headers
SETTING = 60  # the operator's setting; the headers override it
SPEED = 10  # so a minute takes six seconds
LONG_S = 30.0
ASKING = """
import json, sys, time
from connector.core.errors import RefusedError
from connector.providers.http import VendorHttp
from connector.providers.connection import Connection
from connector.jobs.clock import SystemClock
from connector.store.database import Database
from connector.store.limiter import Limiter
url, address, person, setting, speed, begin, end = sys.argv[1:]
clock = SystemClock(1 / float(speed))
database = Database(url)
pace = Limiter(database, "lensmor/default", int(setting), clock)
headers = {"Authorization": "Bearer sim-lensmor-key", "x-call-source": "api"}
http = VendorHttp("lensmor", address, headers, Connection(pace, clock.sleep))
time.sleep(max(0.0, float(begin) - time.time()))
count = 0
while time.time() < float(end):
    http.read("/external/personnel/profile", {"personnel_id": person})
    count += 1
http.close()
database.close()
print(json.dumps(count))
"""


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    url = f"sqlite:///{tmp_path / 'connector.db'}"
    database = Database(url)
    database.migrate()
    database.close()
    return url


@pytest.mark.long
def test_the_rate_limit_is_kept_and_nearly_used_up(ledger_url: str, figures: Callable[[str, str], None]) -> None:
    simulator = Simulator(SimClock(SPEED))
    seed_bulk(simulator, 1)
    simulator.lensmor.rate_limit = LIMIT
    urls = simulator.start()
    person = next(iter(simulator.lensmor.people))
    begin = time.time() + 3
    args = [ledger_url, urls.lensmor, str(person), str(SETTING), str(SPEED), str(begin), str(begin + LONG_S)]
    try:
        asking = [
            subprocess.Popen([sys.executable, "-c", ASKING, *args], stdout=subprocess.PIPE, text=True)  # noqa: S603
            for _ in range(3)
        ]
        counts = [json.loads(process.communicate(timeout=120)[0]) for process in asking]
    finally:
        simulator.stop()
    allowed = LIMIT * LONG_S * SPEED / 60
    refused = simulator.lensmor.requests.count(status=429)
    used = sum(counts) / allowed
    assert refused == 0
    assert used >= 0.9
    assert min(counts) > 0
    figures(
        f"shared request budget: {ledger_url.partition(':')[0]}",
        f"3 processes, {LIMIT} requests a minute: {sum(counts)} of {allowed:.0f} used ({used:.0%}), {refused} refused",
    )
