"""The value that a field gets back: cases of (the run's writes, each with the value before) and the present value."""

import pytest

from connector.core.model import FieldValue
from connector.core.restore import PutBack, Step, put_back

PROGRESS, DONE = Step("h:In progress", None), Step("h:Unlocked", "In progress")


def _ours(hashed: str, value: FieldValue) -> bool:
    return hashed == f"h:{value}"


@pytest.mark.parametrize(
    ("steps", "now", "back", "kept"),
    [
        ([Step("h:new", "old")], "new", {"F": "old"}, ()),
        ([Step("h:new", None)], "new", {"F": None}, ()),
        ([Step("h:new", "old")], "old", {}, ()),  # it did not succeed, or is restored already
        ([Step("h:new", "old")], "theirs", {}, ("F",)),
        ([Step("h:new", "old")], None, {}, ("F",)),  # a person emptied it
        ([PROGRESS, DONE], "Unlocked", {"F": None}, ()),
        ([PROGRESS, DONE], "In progress", {"F": None}, ()),  # the second write did not succeed
        ([PROGRESS, DONE], None, {}, ()),
        ([PROGRESS, Step("h:Unlocked", "theirs")], "Unlocked", {"F": "theirs"}, ()),  # edited between the two writes
        ([PROGRESS, Step("h:Unlocked", "theirs")], "theirs", {}, ()),
        ([Step("h:new", None), Step("h:new", None)], "new", {"F": None}, ()),  # intended twice, succeeded once
    ],
)
def test_a_field_gets_its_value_before_the_run(
    steps: list[Step], now: FieldValue, back: dict[str, FieldValue], kept: tuple[str, ...]
) -> None:
    assert put_back({"F": steps}, {"F": now}, _ours) == PutBack(back, kept)


def test_fields_are_decided_one_by_one() -> None:
    steps = {"A": [Step("h:1", None)], "B": [Step("h:2", "b")], "C": [Step("h:3", None)]}
    assert put_back(steps, {"A": "1", "B": "theirs", "C": None}, _ours) == PutBack({"A": None}, ("B",))


def test_a_status_that_a_person_has_restored_is_not_reported() -> None:
    earlier = {"S": [Step("h:In progress", "Asked")]}
    found = put_back({"S": [Step("h:Unlocked", "In progress")]}, {"S": "Asked"}, _ours, earlier)
    assert found == PutBack({}, ())
