"""A test plugin: Python looks for garbage less often, which takes a seventh of the tests' time otherwise."""

import gc

import pytest


def pytest_collection_finish(session: pytest.Session) -> None:
    """The modules and the collected tests stay until the end: no later pass has to visit them."""
    from connector.cli.entry import GARBAGE_THRESHOLDS  # not before a plugin that measures the package

    del session
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
