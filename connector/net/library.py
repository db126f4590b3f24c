"""httpx, imported without its command line.

httpx loads the program `httpx` with the library if its parts are installed, and rich, which the live view needs, brings
them: with pygments, a tenth of a second at each start (httpx 0.28, November 2026). The library itself then says that
the program is not installed, as it does without those parts.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PROGRAM = "httpx._main"


@contextmanager
def _without_program() -> Iterator[None]:
    if "httpx" in sys.modules:  # imported before, with all its parts
        yield
        return
    sys.modules[_PROGRAM] = None  # type: ignore[assignment]  # Python's sign that a module cannot be imported
    try:
        yield
    finally:
        del sys.modules[_PROGRAM]


with _without_program():
    import httpx

__all__ = ["httpx"]
