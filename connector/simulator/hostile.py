"""Answers that harm a careless client: slow bodies, bodies that unpack to 300 MB, redirects, answers without JSON.

Every site supports these actions, including the token endpoint. The request takes effect first, unless
`params.before_effect` is true; `redirect` never has an effect.

    body        any JSON value in place of the answer: `params.json` (null when absent), or `params.text` with
                `params.content_type` (text/html); `params.status` (200)
    drip        the answer arrives one byte every `params.seconds` (2) of REAL time
    gzip_bomb   a small gzip body that unpacks to `params.megabytes` (300) of valid JSON
    redirect    `params.status` (302) to `params.location` (https://login.example.com/)
"""

import asyncio
import functools
import json
import zlib
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from connector.simulator.faults import Fault

EDGE_ACTIONS = frozenset({"body", "drip", "gzip_bomb", "redirect"})
JSON_TYPE = "application/json;charset=UTF-8"
LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Log in</title></head><body><h1>Log in</h1></body></html>"
_MEGABYTE = 1024 * 1024
_GZIP_WINDOW = 31


def without_effect(fault: Fault) -> bool:
    """Whether this fault answers before the request takes effect."""
    return fault.action == "redirect" or bool(fault.params.get("before_effect"))


def edge_answer(fault: Fault, intended: bytes, status: int) -> Response | None:
    """The answer of a fault of this module; None for any other fault.

    Args:
        fault: the misbehaviour.
        intended: the correct body; `drip` sends it.
        status: the correct status.
    """
    if fault.action == "body":
        return _body(fault)
    if fault.action == "drip":
        return StreamingResponse(_dripping(intended or b"{}", _seconds(fault)), status, media_type=JSON_TYPE)
    if fault.action == "gzip_bomb":
        packed = _bomb(int(str(fault.params.get("megabytes", 300))))
        return Response(packed, status, {"Content-Encoding": "gzip"}, media_type=JSON_TYPE)
    if fault.action == "redirect":
        location = str(fault.params.get("location", "https://login.example.com/"))
        return Response(b"", int(str(fault.params.get("status", 302))), {"Location": location})
    return None


def _body(fault: Fault) -> Response:
    status = int(str(fault.params.get("status", 200)))
    if "text" in fault.params:
        return Response(
            str(fault.params["text"]), status, media_type=str(fault.params.get("content_type", "text/html"))
        )
    return Response(json.dumps(fault.params.get("json")), status, media_type=JSON_TYPE)


async def _dripping(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    for place in range(len(body)):
        yield body[place : place + 1]
        await asyncio.sleep(seconds)


@functools.lru_cache(maxsize=4)
def _bomb(megabytes: int) -> bytes:
    """Gzip a JSON object with one text of that length; about a thousandth of it is transferred."""
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP_WINDOW)
    parts = [packer.compress(b'{"padding": "')]
    parts += [packer.compress(b" " * _MEGABYTE) for _ in range(megabytes)]
    return b"".join([*parts, packer.compress(b'"}'), packer.flush()])


def _seconds(fault: Fault) -> float:
    return float(str(fault.params.get("seconds", 2.0)))
