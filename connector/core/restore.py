"""Which value a field gets back when a run is undone.

A run may write a field more than once ("In progress", then "Unlocked"). What it wrote first is found by following its
own writes back, as long as each began with what the one before had left; a person's edit in between ends the way there.
A status goes back further, over earlier runs of the same enrichment, to what it was before the connector's first write.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from connector.core.model import FieldValue

IsOurs = Callable[[str, FieldValue], bool]  # whether a keyed hash is that of a value


@dataclass(frozen=True, slots=True)
class Step:
    """One write of one field: the keyed hash of what was written, and the value before."""

    hash: str
    before: FieldValue


@dataclass(frozen=True, slots=True)
class PutBack:
    """What becomes of a record's fields.

    Attributes:
        back: fields to write, with their values.
        kept: fields that hold neither what the run wrote nor what was there before it: somebody has changed them.
    """

    back: Mapping[str, FieldValue]
    kept: tuple[str, ...]


def put_back(
    steps: Mapping[str, Sequence[Step]],
    now: Mapping[str, FieldValue],
    is_ours: IsOurs,
    earlier: Mapping[str, Sequence[Step]] | None = None,
) -> PutBack:
    """Decide for every field that the run wrote.

    Args:
        steps: by field, the run's writes, oldest first.
        now: the present values, as the CRM stores them.
        is_ours: recognises a value by its hash.
        earlier: by status field, what earlier runs wrote for the same enrichment, oldest first: such a word is no
            value that anybody would want back.
    """
    back: dict[str, FieldValue] = {}
    kept: list[str] = []
    before = earlier or {}
    for name, written in steps.items():
        last = next((i for i in reversed(range(len(written))) if is_ours(written[i].hash, now.get(name))), None)
        if last is not None:
            back[name] = _first_value([*before.get(name, ()), *written[: last + 1]], is_ours)
        elif now.get(name) != _first_value([*before.get(name, ()), *written], is_ours):
            kept.append(name)
    return PutBack(back, tuple(kept))


def _first_value(written: Sequence[Step], is_ours: IsOurs) -> FieldValue:
    value = written[-1].before
    for step in reversed(written[:-1]):
        if is_ours(step.hash, value):  # else it never landed, or somebody changed what it wrote
            value = step.before
    return value
