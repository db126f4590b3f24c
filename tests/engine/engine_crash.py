"""Kills the connector before or after a call.

`Crash` is not an `Exception`, so the connector does not catch it: uncommitted work is lost, as when a process dies.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class Crash(BaseException):
    """The simulated death of the process."""


@contextmanager
def crash_in(owner: type, name: str, *, after: bool, nth: int = 1) -> Iterator[None]:
    """Raises `Crash` instead of the n-th call of a method, or after that call if `after` is set.

    Raises:
        AssertionError: fewer calls were made, so the test would prove nothing.
    """
    original: Callable[..., Any] = getattr(owner, name)
    calls = [0]

    def dying(*args: object, **kwargs: object) -> object:
        calls[0] += 1
        if calls[0] == nth and not after:
            raise Crash
        returned = original(*args, **kwargs)
        if calls[0] == nth:
            raise Crash
        return returned

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, dying)
        yield
    assert calls[0] >= nth
