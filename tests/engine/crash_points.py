"""A process that dies at a chosen point: before or after any HTTP request, before or after any commit.

The points are counted in the order in which a run meets them, so that "die at point k" can be tried for every k. Death
is a BaseException that no code of the product catches: whatever it had not committed is gone, as after kill -9.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import requests
import sqlalchemy as sa

from connector.crm.salesforce.transport import Adapter
from connector.store.database import Database


class DeathError(BaseException):
    """The process is gone."""


class Points:
    """Counts the points of a run, and dies at one of them.

    Args:
        die_at: the number of the point, from 1; 0 never dies.
    """

    def __init__(self, die_at: int = 0) -> None:
        self.die_at = die_at
        self.names: list[str] = []
        self.dead = False

    def pass_by(self, name: str) -> None:
        """One more point; the last one for this process if it is the chosen one."""
        if self.dead:
            raise DeathError(name)
        self.names.append(name)
        if len(self.names) == self.die_at:
            self.dead = True
            raise DeathError(name)


@contextmanager
def watched(points: Points) -> Iterator[None]:
    """Every effect of the connector passes its point while the block runs."""
    send_vendor, send_crm, write = httpx.Client.send, Adapter.send, Database.write

    def vendor(self: httpx.Client, request: httpx.Request, **more: object) -> httpx.Response:
        name = f"{request.method} {request.url.path}"
        points.pass_by(f"before {name}")
        answer: httpx.Response = send_vendor(self, request, **more)  # type: ignore[arg-type]
        points.pass_by(f"after {name}")
        return answer

    def crm(self: Adapter, request: requests.PreparedRequest, **more: object) -> requests.Response:
        name = f"{request.method} {str(request.path_url).partition('?')[0]}"
        points.pass_by(f"before {name}")
        answer = send_crm(self, request, **more)
        points.pass_by(f"after {name}")
        return answer

    @contextmanager
    def commit(self: Database, *, exclusive: bool = True) -> Iterator[sa.Connection]:
        with write(self, exclusive=exclusive) as connection:
            yield connection
            points.pass_by("before commit")
        points.pass_by("after commit")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.Client, "send", vendor)
        patch.setattr(Adapter, "send", crm)
        patch.setattr(Database, "write", commit)
        yield
