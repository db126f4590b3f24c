"""The simulated sites of the benchmark, in a process of their own.

    python -m benchmarks.serve '{"leads": 10000}'

The first line of output has the settings that lead to the sites; the last line, written at SIGTERM, has the figures of
the process: its CPU and memory, and the time of each request to a vendor.
"""

import gc
import json
import resource
import sys
from dataclasses import replace
from operator import itemgetter
from urllib.parse import urlencode

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks.world_spec import WorldSpec
from connector.app.rehearsal import CLIENT_ID, CLIENT_SECRET, environment
from connector.simulator.clock import SimClock
from connector.simulator.faults import FOREVER, Fault
from connector.simulator.hosting import Hosting
from connector.simulator.seed import BulkFacts, seed_bulk
from connector.simulator.server import Simulator, Urls

CREDITS = 1_000_000_000  # enough: a balance that is just large enough makes a run wait for its answers
API_REQUESTS = 10_000_000  # per day
KIB_PER_UNIT = 1 / 1024 if sys.platform == "darwin" else 1  # macOS reports the peak in bytes, Linux in KiB


def build(spec: WorldSpec) -> Simulator:
    """A world as the spec describes it."""
    simulator = Simulator(SimClock(spec.speed))
    gc.disable()  # building a large world makes no garbage worth a search
    facts = seed_bulk(simulator, spec.leads)
    gc.enable()
    gc.freeze()
    _adapt_leads(simulator, facts, spec)
    lensmor, salesfinity = simulator.lensmor, simulator.salesfinity
    lensmor.rate_limit = spec.requests_per_minute
    lensmor.balance = salesfinity.balance = CREDITS
    lensmor.task_seconds = salesfinity.lookup_seconds = 0.0
    simulator.salesforce.org.daily_limit = API_REQUESTS
    if spec.vendor_latency_s:
        for site in ("lensmor", "salesfinity"):
            simulator.arm(Fault(site, "*", "delay", FOREVER, params={"seconds": spec.vendor_latency_s}))
    return simulator


def _adapt_leads(simulator: Simulator, facts: BulkFacts, spec: WorldSpec) -> None:
    org = simulator.salesforce.org
    people = list(simulator.lensmor.people.values())
    for number, (lead_id, person) in enumerate(zip(facts.lead_ids, people, strict=True)):
        by_linkedin = number % 100 < spec.linkedin_percent
        if by_linkedin or spec.salesfinity:
            address = f"https://www.linkedin.com/in/{person.linkedin_name}"
            values: dict[str, object] = {"LinkedIn_URL__c": address}
            if by_linkedin:
                values["Lensmor_Personnel_Id__c"] = None
            org.edit("Lead", lead_id, values)
    if spec.refuse_values:
        org.add_validation("Lead", lambda record: bool(record["Email"] or record["MobilePhone"]))


def password_login(app: ASGIApp) -> ASGIApp:
    """The org's application, for a client that logs in by password: its login becomes one by client credentials."""
    form = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}

    async def translated(scope: Scope, receive: Receive, send: Send) -> None:
        async def login() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                message["body"] = urlencode(form).encode()
            return message

        is_login = scope["type"] == "http" and scope["path"].endswith("/oauth2/token")
        await app(scope, login if is_login else receive, send)

    return translated


def figures(simulator: Simulator) -> dict[str, object]:
    """The figures of this process, as a JSON object."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    vendors = (simulator.lensmor.requests, simulator.salesfinity.requests)
    return {
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss * KIB_PER_UNIT / 1024,
        "vendor_requests": sorted(
            ((one.operation, one.at) for log in vendors for one in log.entries), key=itemgetter(1)
        ),
        "doubles": len(simulator.charges.doubles()),
    }


def main() -> None:
    """Serve until told to stop."""
    spec = replace(WorldSpec(0), **json.loads(sys.argv[1]))
    simulator = build(spec)

    second = Hosting({"org": password_login(simulator.salesforce.app)})

    def tell(urls: Urls) -> None:
        more = {"PASSWORD_LOGIN_URL": second.start()["org"]} if spec.password_login else {}
        sys.stdout.write(json.dumps(environment(urls) | {"CONTROL": urls.control} | more) + "\n")
        sys.stdout.flush()

    simulator.serve_until_stopped(tell)
    second.stop()
    sys.stdout.write(json.dumps(figures(simulator)) + "\n")


if __name__ == "__main__":
    main()
