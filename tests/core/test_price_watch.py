"""Falls of the balance that purchases at the known price do not explain."""

from dataclasses import dataclass

import pytest

from connector.core.price_watch import Fall, Interval, Suspicion, judge

EMAIL = "work_email"


@dataclass(frozen=True)
class Emails:
    """The emails bought in one interval, all charged at its end, and the fall of the balance."""

    count: int
    fell: int
    price: int = 15
    open: int = 0


def after(*intervals: Emails) -> Suspicion | None:
    found: Suspicion | None = None
    for number, one in enumerate(intervals):
        fall = Fall(number, one.fell, one.count * one.price)
        whole = fall
        if found is not None:
            since = intervals[found.since : number + 1]
            whole = Fall(found.since, sum(i.fell for i in since), sum(i.count * i.price for i in since))
        interval = Interval(fall, one.open, {EMAIL: one.count}, one.count * one.price)
        found = judge(found, interval, whole, EMAIL, 15)
    return found


def is_proved(*intervals: Emails) -> bool:
    found = after(*intervals)
    return found is not None and found.is_proved


@pytest.mark.parametrize(
    ("intervals", "proved"),
    [
        ((Emails(10, 300),), False),  # one proves nothing
        ((Emails(10, 300), Emails(10, 300)), True),
        ((Emails(100, 3000), Emails(1, 30)), True),
        ((Emails(10, 600), Emails(10, 300)), False),  # 45 and 15 credits each above the price: they do not agree
        ((Emails(10, 240), Emails(10, 300)), True),  # 24 and 30 credits each: two of the first ten were not charged
        ((Emails(10, 160), Emails(10, 160)), True),  # one credit more
        ((Emails(10, 159), Emails(10, 159)), False),  # less than one credit each
        ((Emails(1, 30), Emails(1, 30)), False),  # few purchases
        (tuple(Emails(1, 30) for _ in range(10)), True),
        ((Emails(10, 300), Emails(10, 150), Emails(10, 300)), False),  # explained in between
        ((Emails(10, 2150), Emails(10, 180)), False),  # a colleague bought an event, and two emails
        ((Emails(10, 300), Emails(10, 0, open=150), Emails(10, 600)), True),  # the charge was seen one interval later
        ((Emails(10, 300), Emails(10, -5000), Emails(10, 300)), False),  # credits were bought
        ((Emails(10, 300), Emails(10, -5000), Emails(10, 300), Emails(10, 300)), True),
        ((Emails(10, 150), Emails(10, 150)), False),
        ((Emails(10, 120), Emails(10, 150)), False),  # failed ones were not charged
    ],
)
def test_two_intervals_that_agree_prove_a_higher_price(intervals: tuple[Emails, ...], proved: bool) -> None:
    assert is_proved(*intervals) is proved


def test_an_interval_without_a_purchase_of_the_kind_changes_nothing() -> None:
    fall = Fall(1, 5000, 150)
    first = after(Emails(10, 300))
    assert judge(first, Interval(fall, 0, {"phone": 1}, 150), fall, EMAIL, 15) == first
    assert judge(None, Interval(fall, 0, {}, 0), fall, EMAIL, 15) is None


def test_a_proof_is_permanent() -> None:
    assert is_proved(Emails(10, 300), Emails(10, 300), Emails(10, 150))


def test_purchases_in_flight_hide_nothing() -> None:
    """A hundred were charged at submission and are still held; ten more have been sent since."""
    first = judge(None, Interval(Fall(1, 3000, 1500), 1500, {EMAIL: 100}, 1500), Fall(1, 3000, 1500), EMAIL, 15)
    second = judge(first, Interval(Fall(2, 300, 1650), 1650, {EMAIL: 10}, 150), Fall(1, 3300, 1650), EMAIL, 15)
    assert second is not None
    assert second.is_proved


def test_a_suspicion_survives_storage() -> None:
    found = after(Emails(10, 300))
    assert found is not None
    assert Suspicion(**found.to_json()) == found
