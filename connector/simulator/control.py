"""Inspects and controls the simulation from another process: routes under `/_control` on the Lensmor port.

They are not part of any vendor's contract, need no key, are never counted as a vendor's request, and answer only
requests from this machine.

    GET    /_control/health             {"ok": true, "now": simulated Unix seconds}
    GET    /_control/charges            {"charges": [...], "totals": {vendor: credits}, "doubles": [[vendor, id, kind]]}
    GET    /_control/requests           {site: {operationId: {"requests": n, "people": n, "<status>": n}}}
    DELETE /_control/requests           reset the counts
    GET    /_control/faults             {"faults": [...]} that are still armed
    POST   /_control/faults             one fault, or a list of them: the attributes of `Fault`
    DELETE /_control/faults             disarm all
    GET    /_control/records?object=X   {"records": [...]} of one Salesforce object
    POST   /_control/records            {"object": "Lead", "values": {...}, "ids": [...] or "limit": n}: a person edits
                                        these records, or the first n, in the browser
    POST   /_control/advance            {"seconds": n}: move the simulated time
"""

import dataclasses
import ipaddress
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.simulator.faults import Fault
from connector.simulator.salesforce.errors import RecordError

if TYPE_CHECKING:
    from connector.simulator.server import Simulator

PREFIX = "/_control"
FAULT_FIELDS = {
    "site": str,
    "operation": str,
    "action": str,
    "times": int,
    "after": int,
    "subject": str,
    "params": dict,
}
VENDORS = ("lensmor", "salesfinity")


def with_control(app: ASGIApp, simulator: "Simulator") -> ASGIApp:
    """Put the control routes in front of an application."""
    control = _application(simulator)

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        is_control = scope["type"] == "http" and scope["path"].startswith(PREFIX + "/")
        if not is_control:
            await app(scope, receive, send)
        elif _is_local(scope):
            await control(scope, receive, send)
        else:
            await PlainTextResponse("Not Found", 404)(scope, receive, send)

    return dispatch


def fault_from(given: object) -> Fault:
    """A fault from its JSON form.

    Raises:
        ValueError: a name is unknown or missing, or a value has the wrong type.
    """
    fault = given if isinstance(given, dict) else {}
    unknown = set(fault) - set(FAULT_FIELDS)
    missing = {"site", "operation", "action"} - set(fault)
    if unknown or missing:
        raise ValueError(f"a fault is an object; unknown: {sorted(unknown)}, missing: {sorted(missing)}")
    wrong = [name for name, value in fault.items() if not isinstance(value, FAULT_FIELDS[name])]
    if wrong:
        raise ValueError(f"values of the wrong type: {sorted(wrong)}")
    return Fault(**fault)


def _application(simulator: "Simulator") -> Starlette:
    control = _Control(simulator)
    routes: list[tuple[str, str, Callable[[Request], object]]] = [
        ("GET", "health", control.health),
        ("GET", "charges", control.charges),
        ("GET", "requests", control.requests),
        ("DELETE", "requests", control.forget_requests),
        ("GET", "faults", control.faults),
        ("DELETE", "faults", control.disarm),
        ("GET", "records", control.records),
    ]
    plain = [Route(f"{PREFIX}/{name}", _answering(act), methods=[method]) for method, name, act in routes]
    with_body = [
        Route(f"{PREFIX}/faults", control.arm, methods=["POST"]),
        Route(f"{PREFIX}/advance", control.advance, methods=["POST"]),
        Route(f"{PREFIX}/records", control.edit, methods=["POST"]),
    ]
    return Starlette(routes=[*plain, *with_body])


def _answering(act: Callable[[Request], object]) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        try:
            return JSONResponse(act(request))
        except KeyError as error:
            return JSONResponse({"error": f"unknown: {error}"}, 404)

    return answer


class _Control:
    """The handlers of the control routes."""

    def __init__(self, simulator: "Simulator") -> None:
        self.simulator = simulator

    def health(self, _request: Request) -> object:
        return {"ok": True, "now": self.simulator.clock.now()}

    def charges(self, _request: Request) -> object:
        ledger = self.simulator.charges
        entries = [dataclasses.asdict(entry) for entry in ledger.entries]
        totals = {vendor: ledger.total(vendor) for vendor in VENDORS}
        return {"charges": entries, "totals": totals, "doubles": ledger.doubles()}

    def requests(self, _request: Request) -> object:
        sim = self.simulator
        return {
            "lensmor": sim.lensmor.requests.counters(),
            "salesfinity": sim.salesfinity.requests.counters(),
            "salesforce": sim.salesforce.requests.counters(),
        }

    def forget_requests(self, _request: Request) -> object:
        sim = self.simulator
        for log in (sim.lensmor.requests, sim.salesfinity.requests, sim.salesforce.requests):
            log.clear()
        return {"ok": True}

    def faults(self, _request: Request) -> object:
        return {"faults": [_shown(fault) for fault in self.simulator.faults.armed()]}

    def disarm(self, _request: Request) -> object:
        self.simulator.faults.clear()
        return {"ok": True}

    def records(self, request: Request) -> object:
        return {"records": self.simulator.salesforce.org.records(request.query_params.get("object", "Lead"))}

    async def arm(self, request: Request) -> Response:
        try:
            given = await request.json()
            faults = [fault_from(one) for one in (given if isinstance(given, list) else [given])]
            for fault in faults:
                self.simulator.arm(fault)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"armed": len(faults)})

    async def edit(self, request: Request) -> Response:
        try:
            given = await request.json()
            org, name, values = self.simulator.salesforce.org, given["object"], dict(given["values"])
            ids = [str(row["Id"]) for row in org.records(name) if not row.get("IsDeleted")][: given.get("limit", 0)]
            edited = list(given.get("ids", ids))
            for record_id in edited:
                org.edit(name, record_id, values)
        except (ValueError, TypeError, KeyError, RecordError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)
        return JSONResponse({"edited": len(edited)})

    async def advance(self, request: Request) -> Response:
        try:
            given = await request.json()
        except ValueError:
            given = None
        seconds = given.get("seconds") if isinstance(given, dict) else None
        if not isinstance(seconds, int | float):
            return JSONResponse({"error": "seconds must be a number"}, 400)
        self.simulator.clock.advance(float(seconds))
        return JSONResponse({"ok": True, "now": self.simulator.clock.now()})


def _shown(fault: Fault) -> dict[str, object]:
    return {**dataclasses.asdict(dataclasses.replace(fault, params={})), "params": dict(fault.params)}


def _is_local(scope: Scope) -> bool:
    client = scope.get("client")
    return client is not None and ipaddress.ip_address(client[0]).is_loopback
