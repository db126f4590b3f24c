"""The documented exit codes in words."""

from collections.abc import Mapping

MEANINGS: Mapping[int, str] = {
    0: "every selected record reached a final outcome, or waits for its vendor task as planned",
    1: "a fault of the connector",
    2: "wrong usage, mapping or configuration; nothing was bought",
    3: "finished, but records need attention",
    4: "stopped early, or left records unbought; the queue is intact, run again later",
    5: "another run holds the lock",
}
