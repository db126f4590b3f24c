"""The least requests that a job needs; the connector is compared with them."""

import math

PAGE = 2_000  # records per page of a query, and per retrieve request
COLLECTION = 200  # records per update request
BATCH = 100  # people per submission to Lensmor


def read_calls(records: int, passes: int = 1) -> int:
    """Requests that read so many records so many times."""
    return passes * math.ceil(records / PAGE)


def write_calls(changed: int) -> int:
    """Requests that update so many records."""
    return math.ceil(changed / COLLECTION)


def submissions(people: int, channels: int) -> int:
    """Paid requests that buy these channels for all these people."""
    return channels * math.ceil(people / BATCH)


def allowed_requests(per_minute: int, seconds: float) -> float:
    """The requests that a limit permits in so many seconds."""
    return per_minute * seconds / 60


def share_used(times: list[float], per_minute: int) -> float:
    """The share of a limit that requests used, from the first to the last of them.

    Args:
        times: seconds of each request, in order.
        per_minute: the limit.

    Raises:
        ValueError: fewer than two requests, or all at the same moment.
    """
    if len(times) < 2 or times[-1] <= times[0]:
        raise ValueError("a share needs requests at different times")
    return (len(times) - 1) / allowed_requests(per_minute, times[-1] - times[0])
