"""The threads of one provider, and how they end."""

import threading

import pytest

from connector.engine.worker_pool import WorkerPool


def test_work_that_had_not_begun_when_its_lane_closed_is_dropped_in_silence() -> None:
    """An interrupted run closes its lanes; a cancelled piece hid the interruption behind a fault of its own."""
    pool, may_end, done = WorkerPool("lensmor", 1), threading.Event(), list[str]()

    def first() -> None:
        may_end.wait(10)
        done.append("first")

    pool.start("first", first)
    pool.start("second", lambda: done.append("second"))
    threading.Timer(0.05, may_end.set).start()
    pool.close()
    assert pool.collect_finished()
    assert done == ["first"]
    assert pool.keys == set()


def test_what_a_finished_piece_raised_is_raised_again() -> None:
    def fail() -> None:
        raise ValueError("lost in a thread")

    pool = WorkerPool("lensmor", 1)
    pool.start("one", fail)
    pool.close()
    with pytest.raises(ValueError, match="lost in a thread"):
        pool.collect_finished()
