"""The simulated sites of the benchmark, in a process of their own: no latency, no rate limit to speak of."""

import json
import sys

from connector.app.rehearsal import environment
from connector.simulator.clock import SimClock
from connector.simulator.seed import seed_bulk
from connector.simulator.server import Simulator, Urls

CREDITS = 10_000_000  # enough: a balance that is just large enough makes a run wait for its answers
REQUESTS_PER_MINUTE = 100_000  # told in the rate headers; the connector believes no higher number


def main() -> None:
    """Serve until told to stop; the first line of output leads there."""
    leads = int(sys.argv[1])
    simulator = Simulator(SimClock(), lambda made: seed_bulk(made, leads))
    simulator.lensmor.rate_limit = REQUESTS_PER_MINUTE
    simulator.lensmor.balance = CREDITS
    simulator.lensmor.task_seconds = 0.0

    def tell(urls: Urls) -> None:
        sys.stdout.write(json.dumps(environment(urls) | {"CONTROL": urls.control}) + "\n")
        sys.stdout.flush()

    simulator.serve_until_stopped(tell)


if __name__ == "__main__":
    main()
