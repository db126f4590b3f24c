"""Findwell's simulated site: what the vendor would answer, made from its contract and not from the client's requests.

    POST /v2/searches       {find, reference, people: [{ref, linkedin | name, domain}], notify?}   202, 402, 422
    GET  /v2/searches/{id}  {search: {id, reference, state}, results: [{ref, state, value}]}       200, 404
    GET  /v2/account        {account: {credits}}
    callback                {event: "search.finished", data: {search, reference}}

A search takes ten seconds. An email costs 2 credits and a phone 9, charged when the search ends, for what was found. A
person who was found once is sold to the same account again at the same price.
"""

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Self
from urllib.request import Request as Call
from urllib.request import urlopen

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY = "sim-findwell-key"
PRICES = {"email": 2, "phone": 9}
MOST_PEOPLE = 50
SEARCH_S = 10.0


@dataclass
class _Person:
    ref: str
    known_as: str
    outcome: str


@dataclass
class _Search:
    id: str
    find: str
    reference: str
    notify: str
    people: list[_Person]
    ends_at_s: float
    ended: bool = False


@dataclass
class FindwellSite:
    """One account at Findwell.

    Attributes:
        now_s: the site's clock.
        knows: whether it has a value for a person, by LinkedIn address or `name, domain`.
        balance: credits of the account.
        sold: credits charged so far.
        orders: (kind of value, LinkedIn address or `name, domain`) of each person that was charged.
    """

    now_s: Callable[[], float]
    knows: Callable[[str], bool] = lambda _known_as: True
    balance: int = 100_000
    sold: int = 0
    orders: list[tuple[str, str]] = field(default_factory=list)
    _scripts: dict[tuple[str, str], str] = field(default_factory=dict)
    _searches: dict[str, _Search] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def script(self, known_as: str, find: str, outcome: str) -> None:
        """Decide how the next search for a person ends: found, none or error."""
        self._scripts[known_as, find] = outcome

    def application(self) -> Starlette:
        """The site as a server runs it."""
        return Starlette(
            routes=[
                Route("/v2/searches", self._start, methods=["POST"]),
                Route("/v2/searches/{id}", self._show),
                Route("/v2/account", self._account),
            ]
        )

    async def _start(self, request: Request) -> Response:
        if not _may(request):
            return JSONResponse({"problem": "unknown key"}, 401)
        body = await request.json()
        people, find = body.get("people"), body.get("find")
        if find not in PRICES or not isinstance(people, list) or not 1 <= len(people) <= MOST_PEOPLE:
            return JSONResponse({"problem": "find and 1 to 50 people are needed"}, 422)
        if self.balance < PRICES[find] * len(people):
            return JSONResponse({"problem": "not enough credits"}, 402)
        rows = [_Person(str(one["ref"]), known_as, self._outcome(known_as, find)) for one, known_as in _known(people)]
        made = _Search(f"fw-{next(self._numbers)}", find, str(body.get("reference", "")),
                       str(body.get("notify", "")), rows, self.now_s() + SEARCH_S)  # fmt: skip
        self._searches[made.id] = made
        return JSONResponse({"search": {"id": made.id, "reference": made.reference}, "accepted": len(rows)}, 202)

    def _outcome(self, known_as: str, find: str) -> str:
        return self._scripts.pop((known_as, find), "found" if self.knows(known_as) else "none")

    async def _show(self, request: Request) -> Response:
        if not _may(request):
            return JSONResponse({"problem": "unknown key"}, 401)
        search = self._searches.get(request.path_params["id"])
        if search is None:
            return JSONResponse({"problem": "no such search"}, 404)
        self._settle()
        facts = {"id": search.id, "reference": search.reference, "state": "done" if search.ended else "open"}
        return JSONResponse({"search": facts, "results": [self._row(search, person) for person in search.people]})

    def _row(self, search: _Search, person: _Person) -> dict[str, object]:
        state = person.outcome if search.ended else "open"
        return {"ref": person.ref, "state": state, "value": _value(search, person) if state == "found" else None}

    async def _account(self, request: Request) -> Response:
        self._settle()
        return JSONResponse({"account": {"credits": self.balance}}) if _may(request) else JSONResponse({}, 401)

    def _settle(self) -> None:
        """End the searches whose time has come, and charge what they found."""
        for search in self._searches.values():
            if search.ended or self.now_s() < search.ends_at_s:
                continue
            search.ended = True
            found = [person for person in search.people if person.outcome == "found"]
            self.orders += [(search.find, person.known_as) for person in found]
            self.balance -= PRICES[search.find] * len(found)
            self.sold += PRICES[search.find] * len(found)

    def settle(self) -> None:
        """End what is due, and call back."""
        self._settle()
        for search in self._searches.values():
            if search.ended and search.notify:
                address, search.notify = search.notify, ""
                _call_back(
                    address, {"event": "search.finished", "data": {"search": search.id, "reference": search.reference}}
                )


def _may(request: Request) -> bool:
    return request.headers.get("authorization") == f"Token {KEY}"


def _known(people: list[Any]) -> list[tuple[dict[str, Any], str]]:
    return [(one, str(one.get("linkedin") or f"{one.get('name')}, {one.get('domain')}")) for one in people]


def _value(search: _Search, person: _Person) -> str:
    number = int(person.ref[:8], 16)
    return f"p{number}@example.com" if search.find == "email" else f"+1415555{number % 10_000:04d}"


def _call_back(address: str, body: dict[str, object]) -> None:
    call = Call(address, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310 our own address
    with urlopen(call, timeout=10):  # noqa: S310
        pass


class Running:
    """The site on a free port of this machine, while the block runs."""

    def __init__(self, site: FindwellSite) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(site.application(), log_level="error", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
