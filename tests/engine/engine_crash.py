"""Killing the connector before or after a call.

`Crash` is no `Exception`, so nothing in the connector may catch it; what is not committed by then is lost, as it would
be with the process.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class Crash(BaseException):
    """The process is gone."""


@contextmanager
def crash_in(owner: type, name: str, *, after: bool, nth: int = 1) -> Iterator[None]:
    """The n-th call of a method does not return: before it does anything, or after it has done all.

    Raises:
        AssertionError: there were fewer calls: the test would prove nothing.
    """
    original: Callable[..., Any] = getattr(owner, name)
    calls = [0]

    def dying(*args: object, **kwargs: object) -> object:
        calls[0] += 1
        if calls[0] == nth and not after:
            raise Crash
        found = original(*args, **kwargs)
        if calls[0] == nth:
            raise Crash
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, dying)
        yield
    assert calls[0] >= nth
