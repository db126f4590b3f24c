"""The threads of one provider, and how they end."""

import threading

import pytest

from connector.engine.lanes import Lane


def test_work_that_had_not_begun_when_its_lane_closed_is_dropped_in_silence() -> None:
    """An interrupted run closes its lanes; a cancelled piece hid the interruption behind a fault of its own."""
    lane, may_end, done = Lane("lensmor", 1), threading.Event(), list[str]()

    def first() -> None:
        may_end.wait(10)
        done.append("first")

    lane.start("first", first)
    lane.start("second", lambda: done.append("second"))
    threading.Timer(0.05, may_end.set).start()
    lane.close()
    assert lane.reap()
    assert done == ["first"]
    assert lane.keys == set()


def test_what_a_finished_piece_raised_is_raised_again() -> None:
    def fail() -> None:
        raise ValueError("lost in a thread")

    lane = Lane("lensmor", 1)
    lane.start("one", fail)
    lane.close()
    with pytest.raises(ValueError, match="lost in a thread"):
        lane.reap()
