"""Decides which value each field gets back when a run is undone.

A run may write a field more than once ("In progress", then "Unlocked"). The undo follows the run's writes back to the
first one, as long as each write replaced the value of the one before; a person's edit in between ends the search. A
status goes back further, over earlier runs of the same enrichment, to its value before the connector's first write.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from connector.core.model import FieldValue

IsOurs = Callable[[str, FieldValue], bool]  # whether a keyed hash matches a value


@dataclass(frozen=True, slots=True)
class Step:
    """One write of one field: the keyed hash of the written value, and the value before."""

    hash: str
    before: FieldValue


@dataclass(frozen=True, slots=True)
class PutBack:
    """The decision about a record's fields.

    Attributes:
        back: the values to restore, by field.
        kept: the fields that a person has changed: they hold neither the run's value nor the one before it.
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
        steps: the run's writes by field, oldest first.
        now: the present values, in the form that the CRM stores.
        is_ours: recognises a value by its hash.
        earlier: the writes of earlier runs for the same enrichment by status field, oldest first; their statuses are
            not restored.
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
        if is_ours(step.hash, value):  # else it did not succeed, or a person changed the value
            value = step.before
    return value
