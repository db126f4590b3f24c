"""A transport between a client and a simulated site that spoils answers on their way, and remembers the requests."""

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
    """What happens to requests.

    Attributes:
        status: answered instead of the site, which never sees the request; with `after`, once the site has served it.
        headers: of that answer.
        after: the site serves the request first.
        drop: the connection ends without an answer.
        body: replaces the answer's body.
        edit: changes the answer's JSON.
        times: how many requests it spoils.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False
    drop: bool = False
    body: Callable[[bytes], bytes] | None = None
    edit: Edit | None = None
    times: int = FOREVER


def every(_request: httpx.Request) -> bool:
    """All requests."""
    return True


def is_post(request: httpx.Request) -> bool:
    """Requests that may cost something."""
    return request.method == "POST"


def is_get(request: httpx.Request) -> bool:
    """Reads."""
    return request.method == "GET"


class FaultyTransport(httpx.BaseTransport):
    """Sends requests to a site of this machine.

    Attributes:
        requests: (method, path as sent) of each request that a client sent, spoilt ones too.
    """

    def __init__(self, site: httpx.BaseTransport | None = None) -> None:
        self._site = site or httpx.HTTPTransport(trust_env=False)
        self._faults: list[tuple[Matches, Fault]] = []
        self.requests: list[tuple[str, str]] = []

    def arm(self, matches: Matches, fault: Fault) -> None:
        """Spoil requests of a kind; of several faults the newest counts."""
        self._faults.insert(0, (matches, fault))

    def count(self, method: str = "") -> int:
        """How many requests were sent, of one method or of all."""
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
    """A page of something on the way, instead of the answer."""
    return b"<!doctype html><title>Sign in</title>"


def cut_off(body: bytes) -> bytes:
    """The first half of an answer."""
    return body[: len(body) // 2]


def huge(body: bytes) -> bytes:
    """More than any answer needs."""
    return b'{"filler": "' + b"x" * HUGE_BYTES + b'"}' + body


def of_wrong_types(value: object) -> object:
    """The same members, each of another type."""
    if isinstance(value, dict):
        return {key: of_wrong_types(member) for key, member in value.items()}
    return {"not": "this"} if isinstance(value, str | int | float | bool) or value is None else "not a list"


def with_members(replaced: object, *names: str) -> Edit:
    """Replace every member of these names, however deep; one that is an object or a list stays, but for its members."""

    def edit(value: object) -> object:
        if isinstance(value, dict):
            return {
                key: replaced if key in names and not isinstance(member, dict | list) else edit(member)
                for key, member in value.items()
            }
        return [edit(member) for member in value] if isinstance(value, list) else value

    return edit
