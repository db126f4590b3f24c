"""How many CRM requests a number of records needs, and how many records a number of requests allows.

Each record is read twice, when it is selected and right before it is written, and written once. A job replaces the
writes of its rows by a few requests of its own.
"""

import math
from dataclasses import dataclass

FIXED = 12  # logins, the quota, descriptions, the check of a condition, and the page that shows that there are no more
REPEATED = 1.1  # locks, partial updates and lost answers cost a tenth more
REQUESTS_OF_A_JOB = 8  # created, sent, closed, and looked at a few times


@dataclass(frozen=True, slots=True)
class CallSizes:
    """The records of one request of each kind.

    Attributes:
        read: in one read.
        write: in one update.
        job: in one job of updates; None if the run uses no jobs.
    """

    read: int
    write: int
    job: int | None = None

    @property
    def block(self) -> int:
        """The number of records whose requests are counted together."""
        return self.job or self.read

    @property
    def calls_of_block(self) -> int:
        """The requests for a full block."""
        writes = REQUESTS_OF_A_JOB if self.job else math.ceil(self.read / self.write)
        return math.ceil((2 * math.ceil(self.block / self.read) + writes) * REPEATED)


def calls_for(records: int, sizes: CallSizes) -> int:
    """The requests that a run over so many records needs at most, if all of them change."""
    whole, rest = divmod(records, sizes.block)
    reads = 2 * math.ceil(rest / sizes.read)
    writes = min(math.ceil(rest / sizes.write), REQUESTS_OF_A_JOB if sizes.job else rest)
    return FIXED + whole * sizes.calls_of_block + math.ceil((reads + writes) * REPEATED)


def records_for(calls: int, sizes: CallSizes) -> int:
    """The most records that a run can take with so many requests."""
    low, high = 0, max(0, calls) * sizes.block
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if calls_for(middle, sizes) <= calls else (low, middle - 1)
    return low
