"""Counts the site's requests, so that a benchmark can count reads and writes."""

from collections import Counter

DROPPED = 0


class RequestCounts(Counter[str]):
    """The number of requests by operation, including spoiled ones.

    Attributes:
        log: (operation, HTTP status or 0 for a cut connection, rows) of each request in the order of the answers; rows
            are the rows read, or the rows sent to be saved.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[str, int, int]] = []

    def counters(self) -> dict[str, dict[str, int]]:
        """By operation: `requests`, `rows`, and the number of answers by status, such as `"200"`."""
        found = {operation: Counter({"requests": count}) for operation, count in sorted(self.items())}
        for operation, status, rows in list(self.log):
            found.setdefault(operation, Counter()).update({"rows": rows, str(status): 1})
        return {operation: dict(counter) for operation, counter in found.items()}

    def clear(self) -> None:
        """Reset all counts, for example before the measured part of a run."""
        super().clear()
        self.log.clear()
