"""Checks in front of the routes: the caller's secret, and the size and duration of a body."""

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
NOT_FOUND = 404  # also for an unknown secret, so that the answer does not reveal the route


def same(given: str, right: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(given.encode(), right.encode())


def has_token(request: Request, token: str | None) -> bool:
    """Whether the request has the bearer token."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return token is not None and scheme.lower() == "bearer" and same(given.strip(), token)


def require_token(request: Request, token: str | None) -> None:
    """Require the bearer token.

    Raises:
        HTTPException: 401 if it is missing or wrong.
    """
    if not has_token(request, token):
        raise HTTPException(401, "a valid bearer token is required", {"WWW-Authenticate": "Bearer"})


def require_secret(request: Request, secret: str | None) -> None:
    """Require the secret in the path.

    Raises:
        HTTPException: 404 if it is wrong, or none is set.
    """
    if secret is None or not same(str(request.path_params["secret"]), secret):
        raise HTTPException(NOT_FOUND)


def is_own_name(host_header: str, public_url: str = "") -> bool:
    """Whether the Host header of a request to loopback is an IP address, localhost, or the public host name.

    A web page can resolve its own host name to 127.0.0.1 (DNS rebinding) and then read the answers. Its requests still
    have that name in the Host header, and no web page can have an IP address of this machine as its host.
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
    """Read the whole body and count its bytes.

    Raises:
        HTTPException: 413 if it has, or announces, more than `most` bytes; 408 if it takes too long; 400 if the sender
            disconnects.
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
        raise HTTPException(400, "the body is incomplete") from None
    return bytes(found)


async def json_of(request: Request, most: int) -> Mapping[str, Any]:
    """Read the body as a JSON object.

    Raises:
        HTTPException: 415 for another content type, 400 if it is not a JSON object, 413 and 408 as for `body_of`.
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
