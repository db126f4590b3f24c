"""An answer that stops in the middle, and the means to cut its connection."""

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from connector.simulator.dropping import HANG_UP


def ensure_hang_up(scope: Scope, send: Send) -> None:
    """Add a function to the scope that cuts the connection, unless the server has added one.

    The servers of `hosting` do. A plain uvicorn server does not, but its `send` is bound to the request cycle, which
    has the transport. That works only if the server calls the site's app directly, not mounted in another app.
    """
    if HANG_UP not in scope:
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        scope[HANG_UP] = getattr(transport, "abort", _cannot)


class CutBody(Response):
    """Sends the head and the first half of an answer, then cuts the connection.

    Args:
        whole: the complete answer.
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
