"""The threads of one provider and their end."""

import threading

import pytest

from connector.engine.worker_pool import WorkerPool


def test_unstarted_work_is_dropped_silently_on_close() -> None:
    """An interrupted run closes its pools; a cancelled work item once hid the interruption behind its own error."""
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


def test_an_exception_of_finished_work_is_raised_again() -> None:
    def fail() -> None:
        raise ValueError("lost in a thread")

    pool = WorkerPool("lensmor", 1)
    pool.start("one", fail)
    pool.close()
    with pytest.raises(ValueError, match="lost in a thread"):
        pool.collect_finished()
