"""The description of a simulated world; kept apart from the simulator, which the measuring process does not load."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WorldSpec:
    """A world of the benchmark.

    Attributes:
        leads: flagged Leads, each of another person with an email and a phone.
        linkedin_percent: how many of each hundred have a LinkedIn address and no personnel id.
        salesfinity: all Leads have a LinkedIn address as well.
        refuse_values: the org refuses every update that sets an email or a phone.
        requests_per_minute: Lensmor's limit, in simulated time, which its headers name.
        vendor_latency_s: real seconds that every answer of a vendor takes.
        speed: simulated seconds per real second.
        password_login: serve the org at a second address too, which translates logins by password.
    """

    leads: int
    linkedin_percent: int = 0
    salesfinity: bool = False
    refuse_values: bool = False
    requests_per_minute: int = 100_000
    vendor_latency_s: float = 0.0
    speed: float = 1.0
    password_login: bool = False
