"""What a field gets back: told as (what the run wrote, with what was there before) and what is there now."""

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
        ([Step("h:new", "old")], "old", {}, ()),  # it never landed, or is back already
        ([Step("h:new", "old")], "theirs", {}, ("F",)),
        ([Step("h:new", "old")], None, {}, ("F",)),  # somebody emptied it
        ([PROGRESS, DONE], "Unlocked", {"F": None}, ()),
        ([PROGRESS, DONE], "In progress", {"F": None}, ()),  # the second write never landed
        ([PROGRESS, DONE], None, {}, ()),
        ([PROGRESS, Step("h:Unlocked", "theirs")], "Unlocked", {"F": "theirs"}, ()),  # edited between the two writes
        ([PROGRESS, Step("h:Unlocked", "theirs")], "theirs", {}, ()),
        ([Step("h:new", None), Step("h:new", None)], "new", {"F": None}, ()),  # intended twice, landed once
    ],
)
def test_a_field_goes_back_to_what_was_there_before_the_run(
    steps: list[Step], now: FieldValue, back: dict[str, FieldValue], kept: tuple[str, ...]
) -> None:
    assert put_back({"F": steps}, {"F": now}, _ours) == PutBack(back, kept)


def test_fields_are_decided_one_by_one() -> None:
    steps = {"A": [Step("h:1", None)], "B": [Step("h:2", "b")], "C": [Step("h:3", None)]}
    assert put_back(steps, {"A": "1", "B": "theirs", "C": None}, _ours) == PutBack({"A": None}, ("B",))


def test_a_status_that_a_person_has_set_back_already_is_not_reported_as_kept() -> None:
    earlier = {"S": [Step("h:In progress", "Asked")]}
    found = put_back({"S": [Step("h:Unlocked", "In progress")]}, {"S": "Asked"}, _ours, earlier)
    assert found == PutBack({}, ())
