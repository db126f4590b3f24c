"""An answer that stops in the middle, and what it needs to close a connection under the client."""

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from connector.simulator.dropping import HANG_UP


def ensure_hang_up(scope: Scope, send: Send) -> None:
    """Put the way to cut this connection into the scope, unless the server did so.

    The servers of `hosting` do; a plain uvicorn server does not, but `send` is then bound to its request cycle, which
    knows the transport. It works only when the server calls the site's app directly, not mounted into another app.
    """
    if HANG_UP not in scope:
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        scope[HANG_UP] = getattr(transport, "abort", _cannot)


class CutBody(Response):
    """Sends the head and the first half of an answer, then cuts the connection.

    Args:
        whole: the answer as it should have been.
    """

    def __init__(self, whole: Response) -> None:
        super().__init__()
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half, cut the connection, wait until the server has noticed."""
        body = bytes(self._whole.body)
        await send(
            {"type": "http.response.start", "status": self._whole.status_code, "headers": self._whole.raw_headers}
        )
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        scope[HANG_UP]()
        while (await receive())["type"] != "http.disconnect":
            pass


def _cannot() -> None:
    raise RuntimeError("connections can only be cut when uvicorn serves the Salesforce site directly")
