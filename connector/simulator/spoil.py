"""Spoils one request by an armed fault: before its work is done, or its answer afterwards.

Actions that both vendors support: `drop_before`, `drop_after` (the connection ends without an answer), `error_before`,
`error_after` (an HTML page of a gateway, `params`: `status`, default 500), `status` and `not_found` (the vendor's own
refusal, no effect), `html`, `truncated`, `wrong_types` (effect, but an unreadable answer), `delay` (`params`: `seconds`
of real time between effect and answer), `unknown_word` (effect, and an answer with an unknown state; `params`: `word`,
`fields`). `error_in_2xx` (`params`: `error_key`; no effect) is only for Lensmor. Both also support the actions of
`hostile` and `rewriting`.
"""

import json

from starlette.responses import HTMLResponse, JSONResponse, Response

from connector.simulator.dropping import Dropped
from connector.simulator.faults import Fault
from connector.simulator.hostile import EDGE_ACTIONS, edge_answer, without_effect
from connector.simulator.rewriting import REWRITING_ACTIONS, rewritten

COMMON_ACTIONS = (
    EDGE_ACTIONS
    | REWRITING_ACTIONS
    | frozenset(
        {
            "delay",
            "drop_after",
            "drop_before",
            "error_after",
            "error_before",
            "html",
            "not_found",
            "status",
            "truncated",
            "unknown_word",
            "wrong_types",
        }
    )
)


def before(fault: Fault, request_id: str, success: int) -> Response | None:
    """The answer of a fault that prevents the work; None if the work is to be done."""
    if fault.action == "drop_before":
        return Dropped()
    if fault.action == "error_before":
        return gateway_page(int(number(fault, "status", 500)))
    if fault.action == "error_in_2xx":
        key = str(fault.params.get("error_key", "USER_CONCURRENCY_LIMIT_EXCEEDED"))
        body = {"code": success, "message": "Request could not be served", "errorKey": key, "traceId": request_id}
        return JSONResponse(body, success, {"X-Request-ID": request_id})
    return edge_answer(fault, b"", success) if without_effect(fault) else None


def after(fault: Fault, status: int, body: object) -> Response | None:
    """The unreadable answer to a request that took effect, or None if the answer stays readable."""
    if fault.action == "drop_after":
        return Dropped()
    if fault.action == "error_after":
        return gateway_page(int(number(fault, "status", 500)))
    if fault.action == "html":
        return gateway_page(status)
    if fault.action == "truncated":
        text = json.dumps(body)
        return Response(text[: len(text) // 2], status, media_type="application/json")
    return edge_answer(fault, json.dumps(body).encode(), status)


def changed(fault: Fault, body: object, state_words: tuple[str, ...]) -> object:
    """Change a body by a fault of this module; any other fault leaves it unchanged.

    Args:
        fault: the misbehaviour.
        body: the correct answer.
        state_words: the fields in which `unknown_word` puts its word unless its parameters name others.
    """
    if fault.action == "wrong_types" and isinstance(body, dict):
        return {key: wrong_type(value) for key, value in body.items()}
    if fault.action == "unknown_word":
        fields = fault.params.get("fields", state_words)
        names = frozenset(str(name) for name in fields) if isinstance(fields, list | tuple) else frozenset()
        return with_word(body, names, str(fault.params.get("word", "under_review")))
    return rewritten(fault, body, state_words)


def wrong_type(value: object) -> object:
    """A valid JSON value of another type."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, bool | int | float):
        return {"value": value}
    return "unexpected"


def with_word(value: object, names: frozenset[str], word: str) -> object:
    """A copy in which every text under one of these names is replaced by `word`."""
    if isinstance(value, list):
        return [with_word(item, names, word) for item in value]
    if isinstance(value, dict):
        return {
            key: word if key in names and isinstance(item, str) else with_word(item, names, word)
            for key, item in value.items()
        }
    return value


def gateway_page(status: int) -> Response:
    """An HTML page as from a proxy in front of the vendor, without the vendor's headers."""
    return HTMLResponse(f"<html><body><h1>{status}</h1><p>The server could not complete it.</p></body></html>", status)


def number(fault: Fault, name: str, default: float) -> float:
    """A number among a fault's parameters."""
    return float(str(fault.params.get(name, default)))
