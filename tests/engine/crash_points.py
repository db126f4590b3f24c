"""Kills the process at a chosen point: before or after any HTTP request, before or after any commit.

The points are counted in the order in which a run reaches them, so a test can crash at point k for every k. The crash
is a BaseException that the connector does not catch: uncommitted work is lost, as after kill -9.
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
    """The simulated death of the process."""


class Points:
    """Counts the points of a run and raises `DeathError` at one of them.

    Args:
        die_at: the number of the point, counted from 1; 0: never.
    """

    def __init__(self, die_at: int = 0) -> None:
        self.die_at = die_at
        self.names: list[str] = []
        self.dead = False

    def pass_by(self, name: str) -> None:
        """Count one more point.

        Raises:
            DeathError: it is the chosen point, or the process is already dead.
        """
        if self.dead:
            raise DeathError(name)
        self.names.append(name)
        if len(self.names) == self.die_at:
            self.dead = True
            raise DeathError(name)


@contextmanager
def watched(points: Points) -> Iterator[None]:
    """Reports every HTTP request and every commit of the connector to `points` while the block runs."""
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
