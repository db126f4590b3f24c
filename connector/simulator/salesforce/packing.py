"""Encodes answers: gzip for clients that accept it, chunked, with the headers of recorded answers."""

import gzip

from starlette.requests import Request
from starlette.responses import Response

MIN_PACKED_BYTES = 1_000
_FAST = 1


class Chunked(Response):
    """A response without `Content-Length`; the server then sends it in chunks."""

    def init_headers(self, headers: dict[str, str] | None = None) -> None:  # type: ignore[override]  # a dict is enough
        """Omit the length."""
        super().init_headers(headers)
        self.raw_headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]


def packed(response: Response, request: Request) -> Response:
    """Encode a complete JSON or CSV answer like Salesforce's servers; any other response is unchanged."""
    is_data = response.headers.get("content-type", "").startswith(("application/json", "text/csv"))
    if type(response) is not Response or not is_data or "content-encoding" in response.headers:
        return response
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    headers |= {"Vary": "Accept-Encoding", "Cache-Control": "no-cache,must-revalidate,max-age=0,no-store,private"}
    body = bytes(response.body)
    if len(body) >= MIN_PACKED_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, _FAST)
        headers["Content-Encoding"] = "gzip"
        if "etag" in headers:
            headers["etag"] = headers["etag"][:-1] + '--gzip"'
    return Chunked(body, response.status_code, headers)
