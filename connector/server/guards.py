"""What stands between the network and the routes: who may ask, how much may be sent, and how long it may take."""

import asyncio
import hmac
import ipaddress
import json
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from connector.core.addresses import web_address

BODY_TIMEOUT_S = 10.0
NOT_FOUND = 404  # of an unknown secret too: nobody learns whether there is such a route


def same(given: str, right: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode(), right.encode())


def require_token(request: Request, token: str | None) -> None:
    """Only callers with the bearer token pass.

    Raises:
        HTTPException: 401.
    """
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if token is None or scheme.lower() != "bearer" or not same(given.strip(), token):
        raise HTTPException(401, "a valid bearer token is needed", {"WWW-Authenticate": "Bearer"})


def require_secret(request: Request, secret: str | None) -> None:
    """Only addresses with the secret part exist.

    Raises:
        HTTPException: 404.
    """
    if secret is None or not same(str(request.path_params["secret"]), secret):
        raise HTTPException(NOT_FOUND)


def is_own_name(host_header: str, public_url: str = "") -> bool:
    """Whether a request to a loopback address names this machine: an address, localhost, or the public address.

    A web page can give its own host name the address 127.0.0.1 (DNS rebinding) and then reads answers as its own. Its
    requests still carry that name, and a page cannot be served from a bare address of this machine.
    """
    if not host_header:
        return True
    found, public = web_address(f"http://{host_header}"), web_address(public_url)
    if found is None or found.rest:
        return False
    host = found.host
    if host == "localhost" or host.endswith(".localhost") or (public is not None and host == public.host):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def body_of(request: Request, most: int) -> bytes:
    """The whole body, counted as it comes.

    Raises:
        HTTPException: 413 above `most` bytes, by what was announced or by what came; 408 when it takes too long;
            400 when its sender went away, who does not read it.
    """
    announced = request.headers.get("content-length", "0")
    if not announced.isascii() or not announced.isdecimal() or len(announced) > 15 or int(announced) > most:
        raise HTTPException(413, "the body is too large")
    found = bytearray()

    async def read() -> None:
        async for chunk in request.stream():
            found.extend(chunk)
            if len(found) > most:
                raise HTTPException(413, "the body is too large")

    try:
        await asyncio.wait_for(read(), BODY_TIMEOUT_S)
    except TimeoutError:
        raise HTTPException(408, "the body took too long") from None
    except ClientDisconnect:
        raise HTTPException(400, "the body did not come to its end") from None
    return bytes(found)


async def json_of(request: Request, most: int) -> Mapping[str, Any]:
    """The body as a JSON object.

    Raises:
        HTTPException: 415 for another content type, 400 for another content, 413 and 408 as for `body_of`.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "the body must be application/json")
    raw = await body_of(request, most)
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not valid JSON") from None
    if not isinstance(found, dict):
        raise HTTPException(400, "the body must be a JSON object")
    return found
