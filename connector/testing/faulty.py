"""A transport between a client and a simulated site that spoils answers in transit and records the requests."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

FOREVER = 1_000_000
HUGE_BYTES = 16 * 2**20  # more than any answer needs
Matches = Callable[[httpx.Request], bool]
Edit = Callable[[object], object]  # of decoded JSON


@dataclass
class Fault:
    """A fault that spoils requests or their answers.

    Attributes:
        status: the status of an answer instead of the site's, which only receives the request if `after` is set.
        headers: the headers of that answer.
        after: let the site serve the request first.
        drop: end the connection without an answer.
        body: replaces the answer's body.
        edit: changes the answer's JSON.
        times: the number of requests that it spoils.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False
    drop: bool = False
    body: Callable[[bytes], bytes] | None = None
    edit: Edit | None = None
    times: int = FOREVER


def every(_request: httpx.Request) -> bool:
    """Match all requests."""
    return True


def is_post(request: httpx.Request) -> bool:
    """Match POST requests, which may cost credits."""
    return request.method == "POST"


def is_get(request: httpx.Request) -> bool:
    """Reads."""
    return request.method == "GET"


class FaultyTransport(httpx.BaseTransport):
    """Sends requests to a site on this machine, or spoils them.

    Attributes:
        requests: (method, path as sent) of each request, including spoilt ones.
    """

    def __init__(self, site: httpx.BaseTransport | None = None) -> None:
        self._site = site or httpx.HTTPTransport(trust_env=False)
        self._faults: list[tuple[Matches, Fault]] = []
        self.requests: list[tuple[str, str]] = []

    def arm(self, matches: Matches, fault: Fault) -> None:
        """Spoil matching requests; of several faults, the newest applies."""
        self._faults.insert(0, (matches, fault))

    def count(self, method: str = "") -> int:
        """The number of requests, of one method or of all."""
        return sum(method in {"", found} for found, _ in self.requests)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Serve one request, or spoil it."""
        self.requests.append((request.method, request.url.raw_path.decode("ascii")))
        fault = next((fault for matches, fault in self._faults if fault.times and matches(request)), None)
        if fault is None:
            return self._site.handle_request(request)
        fault.times -= 1
        return self._spoilt(request, fault)

    def _spoilt(self, request: httpx.Request, fault: Fault) -> httpx.Response:
        if fault.drop and not fault.after:
            raise httpx.RemoteProtocolError("the connection ended before the answer")
        if fault.status is not None and not fault.after:
            return httpx.Response(fault.status, headers=fault.headers, json={})
        answer = self._site.handle_request(request)
        body = answer.read()
        answer.close()
        if fault.drop:
            raise httpx.RemoteProtocolError("the connection ended before the answer")
        if fault.edit is not None:
            body = json.dumps(fault.edit(json.loads(body))).encode()
        if fault.body is not None:
            body = fault.body(body)
        headers = {"Content-Type": answer.headers.get("Content-Type", "application/json"), **fault.headers}
        return httpx.Response(fault.status or answer.status_code, headers=headers, content=body)

    def close(self) -> None:
        """Close the connections to the site."""
        self._site.close()


def web_page(_body: bytes) -> bytes:
    """A web page of a gateway in place of the answer."""
    return b"<!doctype html><title>Sign in</title>"


def cut_off(body: bytes) -> bytes:
    """The first half of an answer."""
    return body[: len(body) // 2]


def huge(body: bytes) -> bytes:
    """A body that is larger than any answer may be."""
    return b'{"filler": "' + b"x" * HUGE_BYTES + b'"}' + body


def of_wrong_types(value: object) -> object:
    """The same members, each with a value of another type."""
    if isinstance(value, dict):
        return {key: of_wrong_types(member) for key, member in value.items()}
    return {"not": "this"} if isinstance(value, str | int | float | bool) or value is None else "not a list"


def with_members(replaced: object, *names: str) -> Edit:
    """Replace the members with these names at any depth; objects and lists are kept, and edited inside."""

    def edit(value: object) -> object:
        if isinstance(value, dict):
            return {
                key: replaced if key in names and not isinstance(member, dict | list) else edit(member)
                for key, member in value.items()
            }
        return [edit(member) for member in value] if isinstance(value, list) else value

    return edit
