"""Normalises LinkedIn addresses to the name after `/in/`.

Accepted: any case, any scheme or none, `www.`, `m.` and country hosts, `/in/<name>` with anything after it,
percent-encoding (also double), names in any script; `core/linkedin_cell.py` removes the text around addresses in cells.
Refused with a reason: companies, Sales Navigator, old `/pub/` pages, pages that many people share, cells with two
addresses, addresses with a user or an unusual port, and everything that is not LinkedIn.

Public names are case-insensitive and become lower-case. Member ids (`ACoAA...`) are base64 and keep their case. Because
a normalised public name has no capitals, the two cannot be confused.
"""

import functools
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from connector.core.invisible import has_control, trimmed, visible
from connector.core.linkedin_cell import (
    LINKEDIN_HOST,
    SHARED_NAMES,
    TRAILING,
    holds_other_text,
    holds_two_people,
    is_placeholder,
    is_placeholder_name,
    unwrapped,
    without_scheme,
)

MAX_URL_CHARACTERS = 500
_KEPT = 4096  # addresses; each is read when its record is selected, in the vendor's answer and before the write
MAX_NAME_CHARACTERS = 300  # LinkedIn allows 100; the ledger's column has 300
_MAX_CELL_CHARACTERS = 2000  # a link in HTML has more around the address
_MAX_DEPTH = 3  # addresses within addresses
_REFUSED_PATHS = {
    "company": "a company page, not a person's",
    "school": "a school's page, not a person's",
    "showcase": "a company page, not a person's",
    "sales": "a Sales Navigator address; copy the public profile address instead",
    "pub": "an old /pub/ address; copy the address of the profile page instead",
    "profile": "an old /profile/ address; copy the address of the profile page instead",
    "talent": "a Recruiter address; copy the public profile address instead",
    "recruiter": "a Recruiter address; copy the public profile address instead",
    "cap": "a Recruiter address; copy the public profile address instead",
}
_PREFIX_PATHS = frozenset({"comm", "mwlite"})  # links in LinkedIn's mails, and its old mobile site
_FORBIDDEN = set('/\\?#<>"|^`{}%@:;=*$[]\ufffd')  # U+FFFD: a letter that a conversion has lost
_RAW_ONLY = set(",()'!&+")  # part of a name only if encoded; otherwise they belong to the surrounding text
_HOST = re.compile(r"([a-z0-9-]+\.)*linkedin\.com")
_NESTED = re.compile(rf"https?(:|%3a|$)|{LINKEDIN_HOST}$", re.IGNORECASE)
_ANOTHER_ADDRESS = re.compile(r"linkedin\.com|lnkd\.in", re.IGNORECASE)
_ENCODED = re.compile(r"%[0-9a-f]{2}", re.IGNORECASE)
_CUT_OFF = re.compile(r"(\.{2,}|\u2026)[.\u2026,;)\]'\"]*$")
_MEMBER_ID = re.compile(r"AC[a-z]AA[A-Za-z0-9_-]{5,}")
_SPOILT_MEMBER_ID = re.compile(r"ac[a-z]aa[a-z0-9_-]{34}", re.IGNORECASE)
_RECRUITER_ID = re.compile(r"A[DE][A-Z]AA(?=.*[a-z])(?=.*[A-Z])[A-Za-z0-9_-]{8,}")
_BARE_PARAMETERS = frozenset({"", "trk", "lipi", "locale", "originalsubdomain"})  # known parameters without a value
_PORTS = {None, 80, 443}

_NO_PROFILE = "the LinkedIn address has no /in/<name>"
_TOO_LONG = f"the LinkedIn address is longer than {MAX_URL_CHARACTERS} characters"
_JOINED = (
    "the LinkedIn field holds a tab, a line break or another control character inside; two entries may have been joined"
)
_TWO_PEOPLE = "the LinkedIn field holds the addresses of two people"
_LOST_LETTER = "the LinkedIn address has a ? inside the name, where a letter may have been lost"
_OTHER_SITE = "the address is not on linkedin.com"
_BAD_NAME = "the name in the LinkedIn address has characters that no profile has"


@dataclass(frozen=True, slots=True)
class NotAPerson:
    """The address is not a person's profile, with the reason."""

    reason: str


class _NoProfileError(Exception):
    """Carries the reason for a refusal to `normalise`."""


@functools.lru_cache(_KEPT)
def normalise(address: str) -> str | NotAPerson:
    """The profile name, decoded, in NFC and lower case (a member id keeps its case), or the reason for a refusal.

    >>> normalise("HTTPS://nl.LinkedIn.com/in/Ada-Sample/en?x=1")
    'ada-sample'
    """
    try:
        return _name(_segment(_address_in(address), _MAX_DEPTH))
    except _NoProfileError as error:
        return NotAPerson(str(error))


def is_of_another(address: object, name: str) -> bool:
    """Whether a vendor's answer contains the address of another profile than the requested one.

    False without a usable address, and for a public name in place of a member id or the reverse, because both may name
    the same profile. LinkedIn lets people rename their profiles. A former public name counts as another person's: a
    lost value can be found again, but a stranger's value cannot be taken back.
    """
    found = normalise(address) if isinstance(address, str) else None
    return isinstance(found, str) and found != name and _is_member_id(found) == _is_member_id(name)


def _is_member_id(name: str) -> bool:
    return _MEMBER_ID.fullmatch(name) is not None


def profile_url(name: str) -> str:
    """The canonical address of a normalised name; vendors receive only this form."""
    return f"https://www.linkedin.com/in/{quote(name, safe='-._~')}"


def _address_in(field: str) -> str:
    """The one address in the text of a field."""
    text = trimmed(field)
    if len(text) > _MAX_CELL_CHARACTERS:
        raise _NoProfileError(_TOO_LONG)
    if has_control(text):  # a URL parser drops these, which can join two texts to another person's address
        raise _NoProfileError(_JOINED)
    text = unwrapped(visible(text))
    if len(text) > MAX_URL_CHARACTERS:
        raise _NoProfileError(_TOO_LONG)
    if is_placeholder(text):
        raise _NoProfileError("the LinkedIn field holds a placeholder, which is not on linkedin.com")
    if holds_two_people(text):
        raise _NoProfileError(_TWO_PEOPLE)
    has_blank = any(map(str.isspace, text))
    if holds_other_text(text) or (has_blank and "linkedin.com/" in text.lower()):
        raise _NoProfileError("the LinkedIn field holds other text beside the address")
    if has_blank:
        raise _NoProfileError(_OTHER_SITE)
    return text


def _segment(text: str, depth: int) -> str:
    """The part of a profile address's path after `/in/`."""
    rest = without_scheme(text)
    if rest is None:
        raise _NoProfileError("the LinkedIn field does not hold a web address (http or https)")
    path = _path_on_linkedin(rest)
    while path and path[0].lower() in _PREFIX_PATHS:
        path.pop(0)
    kind = path[0].lower() if path else ""
    if kind in _REFUSED_PATHS:
        raise _NoProfileError(f"the LinkedIn address is {_REFUSED_PATHS[kind]}")
    while kind == "in" and len(path) > 1 and path[1].lower() == "in":
        path.pop(0)
    if kind != "in" or len(path) < 2:
        raise _NoProfileError(_NO_PROFILE)
    if not _NESTED.match(path[1]):
        # `/in/anna/in/bob`, `/in/annawww.linkedin.com/in/bob`
        if "in" in map(str.lower, path[2:-1]) or _ANOTHER_ADDRESS.search(unquote("/".join(path[1:]))):
            raise _NoProfileError(_TWO_PEOPLE)
        if len(path) == 2 and _has_lost_a_letter(rest):
            raise _NoProfileError(_LOST_LETTER)
        return path[1]
    if not depth:
        raise _NoProfileError(_NO_PROFILE)
    inner = "/".join(path[1:])  # an address pasted after `/in/`
    query = urlsplit(f"//{rest}").query
    return _segment((inner if "/" in inner else unquote(inner)) + (f"?{query}" if query else ""), depth - 1)


def _path_on_linkedin(rest: str) -> list[str]:
    try:
        parts = urlsplit(f"https://{rest}")
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError as error:
        raise _NoProfileError("the LinkedIn address cannot be read as a web address") from error
    if host == "lnkd.in":
        raise _NoProfileError("the address is a short link; open it and copy the address of the profile page")
    if not _HOST.fullmatch(host):
        raise _NoProfileError(_OTHER_SITE)
    if "@" in parts.netloc or port not in _PORTS:
        raise _NoProfileError("the LinkedIn address names a user or a port, which no profile's address has")
    path = [part for part in parts.path.split("/") if part]
    if any(unquote(part) in {".", ".."} for part in path[:-1]):  # it is uncertain which part of the path counts
        raise _NoProfileError("the LinkedIn address cannot be read as a web address")
    return path


def _has_lost_a_letter(address: str) -> bool:
    """Whether the `?` after a name replaces a letter and begins no query: `ren?-dupont` is not the person `ren`."""
    path, _, query = address.partition("#")[0].partition("?")
    first = re.split(r"[&?]", query)[0]
    is_query = "=" in first or first.lower() in _BARE_PARAMETERS
    return not path.endswith("/") and (query.startswith("?") or not is_query)


def _name(segment: str) -> str:
    """The name in one part of a path, decoded but not yet canonical."""
    raw = re.split(r"&(?=[\w.~-]+=)", segment)[0]  # removes `&trk=...` without its leading `?`
    try:
        decoded = _decoded(raw)
    except UnicodeDecodeError as error:
        raise _NoProfileError("the LinkedIn address has a broken percent-encoding") from error
    if _is_cut_off(raw) or _is_cut_off(decoded):
        raise _NoProfileError("the LinkedIn address is cut off")
    name = _canonical(decoded)
    if len(name) > MAX_NAME_CHARACTERS:
        raise _NoProfileError(f"the name in the LinkedIn address is longer than {MAX_NAME_CHARACTERS} characters")
    if not name or _RAW_ONLY & set(raw.rstrip(TRAILING)) or not all(_may_stand_in_a_name(c) for c in name):
        raise _NoProfileError(_BAD_NAME)
    if not _MEMBER_ID.fullmatch(name) and _SPOILT_MEMBER_ID.fullmatch(name):
        raise _NoProfileError("the LinkedIn address holds a member id that has lost its capital letters")
    if _RECRUITER_ID.fullmatch(visible(decoded)):
        raise _NoProfileError(f"the LinkedIn address is {_REFUSED_PATHS['recruiter']}")
    if name in SHARED_NAMES:
        raise _NoProfileError(f"the LinkedIn address is {SHARED_NAMES[name]}")
    if is_placeholder_name(name) or not any(unicodedata.category(c)[0] in "LNS" for c in name):
        raise _NoProfileError("the name in the LinkedIn address is a placeholder")
    return name


def _is_cut_off(name: str) -> bool:
    """Whether dots show that the end is missing: a truncated name can be another person's name."""
    return _CUT_OFF.search(name) is not None and name.strip(".\u2026" + TRAILING) != ""


def _decoded(raw: str) -> str:
    name = unquote(raw, errors="strict")
    for _ in range(2):  # two programs may have encoded it in turn
        if not _ENCODED.search(name):
            break
        name = unquote(name, errors="strict")
    return name


def _canonical(name: str) -> str:
    """The common form of spellings that look the same; a fixed point, although lower-casing can decompose (U+0130)."""
    for _ in range(4):
        text = visible(unicodedata.normalize("NFC", name)).rstrip(TRAILING)
        text = text if _MEMBER_ID.fullmatch(text) else unicodedata.normalize("NFC", text.lower())
        if text == name:
            break
        name = text
    return name


def _may_stand_in_a_name(character: str) -> bool:
    if character in "\u200c\u200d":  # `visible` has kept only the meaningful ones
        return True
    return character.isprintable() and not character.isspace() and character not in _FORBIDDEN
