"""Lost answers: the request takes effect at the site, and the client never receives the answer."""

import random
from collections import Counter

from connector.simulator.faults import Fault
from connector.simulator.server import Simulator

EMAIL, PHONE, LOOKUP, PATCH = "submitEmailUnlock", "submitPhoneUnlock", "requestEmailEnrichment", "update_many"
LOSING_POSTS = ("drop_after", "drop_after", "error_after", "html", "truncated", "wrong_types", "drop_before")
LOSING_PATCHES = ("drop_after", "drop_after", "status", "html", "truncated", "cut_body")
PAID = (("lensmor", EMAIL), ("lensmor", PHONE), ("salesfinity", LOOKUP))
READS = (
    ("lensmor", "getEmailUnlockTask"),
    ("lensmor", "getPhoneUnlockTask"),
    ("lensmor", "getPersonnelProfile"),
    ("salesfinity", "getEmailEnrichment"),
)
SLOW = {EMAIL: 0.25, PHONE: 0.25, LOOKUP: 0.06, PATCH: 0.2}  # real seconds, long enough for a kill to meet them
SITE_OF = {EMAIL: "lensmor", PHONE: "lensmor", LOOKUP: "salesfinity", PATCH: "salesforce"}


class Disturbance:
    """Arms faults, and counts the answers that they lost.

    Args:
        simulator: The world.
        chance: The source of every choice.
        reach: The most paid requests that may pass before one loses its answer.

    Attributes:
        fired: Site and operation -> number of lost answers.
    """

    def __init__(self, simulator: Simulator, chance: random.Random, reach: int) -> None:
        self.fired: Counter[str] = Counter()
        self._simulator, self._chance = simulator, chance
        self._reach = reach
        self._losing: list[Fault] = []

    def rearm(self) -> None:
        """Arm different faults for the next process."""
        self.end()
        for _ in range(self._chance.randint(1, 3)):
            self._lose(self._answer())
        if self._chance.random() < 0.5:
            site, operation = self._chance.choice(READS)
            self._simulator.arm(Fault(site, operation, "drop_after", after=self._chance.randint(0, 5)))
        if self._chance.random() < 0.3:
            site, operation = self._chance.choice(PAID)
            self._simulator.arm(Fault(site, operation, "status", params={"status": 429, "retry_after": 5}))
        if self._chance.random() < 0.15:
            self._simulator.arm(Fault("salesforce", PATCH, "expire_token"))
        for operation, seconds in SLOW.items():
            times = 3 if operation != LOOKUP else 12
            params = {"seconds": self._chance.uniform(0, seconds)}
            self._simulator.arm(Fault(SITE_OF[operation], operation, "delay", times=times, params=params))

    def end(self) -> None:
        """Clear the faults, and count the answers that they lost."""
        for fault in self._losing:
            if fault.times <= 0:
                self.fired[f"{fault.site}.{fault.operation}"] += 1
        self._losing.clear()
        self._simulator.faults.clear()

    def _answer(self) -> Fault:
        if self._chance.random() < 0.3:
            action, params = self._chance.choice(LOSING_PATCHES), {"after_effect": True, "status": 500}
            return Fault("salesforce", PATCH, action, after=self._chance.randint(0, 2), params=params)
        (site, operation), action = self._chance.choice(PAID), self._chance.choice(LOSING_POSTS)
        after = self._chance.randint(0, self._reach if operation == LOOKUP else 1)
        params = {"status": self._chance.choice([500, 502, 504])} if action == "error_after" else {}
        return Fault(site, operation, action, after=after, params=params)

    def _lose(self, fault: Fault) -> None:
        self._simulator.arm(fault)
        self._losing.append(fault)
