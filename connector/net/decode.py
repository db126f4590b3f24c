"""Decodes the bytes of an answer to a JSON value: unpacks within a limit, and tolerates a wrong charset."""

import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator

from connector.net.errors import UnreadableError

PIECE_BYTES = 64 * 1024
MAX_MEMBERS = 100  # of a gzip body; servers send one
_PLAIN = frozenset({"", "identity"})
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # bytes decode to none, but JSON can name them
_GZIP_MAGIC = b"\x1f\x8b"


def read_body(chunks: Iterable[bytes], encoding: str, max_bytes: int) -> bytes:
    """Unpack a body; memory holds at most the limit and one piece.

    Args:
        chunks: the bytes as they arrive; nothing is read past the end of a compressed body.
        encoding: the Content-Encoding header.
        max_bytes: limit for the body, both compressed and unpacked.

    Raises:
        UnreadableError: the body exceeds the limit, or its compression is unknown or broken.
    """
    name = encoding.strip().lower()
    if name not in _PLAIN and name not in _WINDOWS:
        raise UnreadableError("answered in a compression that was not requested")
    within = _limited(chunks, max_bytes)
    pieces = within if name in _PLAIN else _limited(_unpack(within, _WINDOWS[name]), max_bytes)
    body = bytearray()
    for piece in pieces:
        body += piece
    return bytes(body)


def _limited(pieces: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    count = 0
    for piece in pieces:
        count += len(piece)
        if count > max_bytes:
            raise UnreadableError(f"sent an answer of more than {max_bytes // 2**20 or 1} MB")
        yield piece


def _unpack(chunks: Iterable[bytes], window: int) -> Iterator[bytes]:
    decoder, began, members, data = zlib.decompressobj(window), False, 1, b""
    try:
        for chunk in chunks:
            if not began and window == zlib.MAX_WBITS and not _has_zlib_header(chunk):
                decoder = zlib.decompressobj(-zlib.MAX_WBITS)  # some servers call raw deflate "deflate"
            began = began or bool(chunk)
            data += chunk
            is_full = False
            while data or is_full:
                if decoder.eof and len(data) < len(_GZIP_MAGIC):
                    break  # the next chunk shows whether a member follows
                if decoder.eof:
                    if not data.startswith(_GZIP_MAGIC):
                        return  # bytes after the end are padding
                    decoder, members = zlib.decompressobj(window), members + 1
                    if members > MAX_MEMBERS:
                        raise UnreadableError("sent an answer in too many compressed parts")
                piece = decoder.decompress(data, PIECE_BYTES)
                yield piece
                is_full = len(piece) == PIECE_BYTES and not decoder.eof
                data = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    except zlib.error as error:
        raise UnreadableError("sent an answer whose compression is broken") from error
    if began and not decoder.eof:
        raise UnreadableError("sent a truncated answer")


def _has_zlib_header(chunk: bytes) -> bool:
    return len(chunk) < 2 or (chunk[0] & 0x0F == 8 and int.from_bytes(chunk[:2], "big") % 31 == 0)


def json_of(body: bytes, charset: Callable[[], str | None] = lambda: None) -> object:
    """Parse a body as JSON. Lone surrogates, which no database stores, become U+FFFD.

    Args:
        body: the unpacked bytes.
        charset: finds the charset that the answer names; used only if the body is not Unicode.

    Raises:
        UnreadableError: the body is not JSON.
    """
    text = _text(body, charset)
    try:
        found: object = json.loads(text)
        if _SURROGATE.search(text) is None:
            return found
        kept = json.dumps(found, ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"answered with {_kind(text, error)}") from error
    without: object = json.loads(kept.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return without


def _text(body: bytes, charset: Callable[[], str | None]) -> str:
    for name in (lambda: json.detect_encoding(body), charset):
        try:
            return body.decode(name() or "utf-8").removeprefix("\ufeff")
        except (UnicodeDecodeError, LookupError):
            continue
    return body.decode("utf-8", "replace")


def _kind(text: str, error: Exception) -> str:
    if not text.strip():
        return "an empty body instead of JSON"
    if text.lstrip().startswith("<"):
        return "a web page instead of JSON"
    if isinstance(error, json.JSONDecodeError):
        return "text that is not JSON"
    return "JSON that is nested too deeply or holds a number that is too long"
