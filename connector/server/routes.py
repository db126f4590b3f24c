"""The form of a route: method, path and handler."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

Handler = Callable[[Request], Awaitable[Response]]
Routes = list[tuple[str, str, Handler]]
