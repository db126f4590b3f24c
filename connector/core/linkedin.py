"""LinkedIn addresses as people type them, brought to the one name behind `/in/`.

Accepted: any case, scheme or none, `www.`, `m.` and country hosts, `/in/<name>` with anything behind it,
percent-encoding, names in any script. Refused with a reason: companies, Sales Navigator, old `/pub/` pages, addresses
with a user or an odd port, and everything that is not LinkedIn.
"""

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

MAX_URL_CHARACTERS = 500
MAX_NAME_CHARACTERS = 300  # LinkedIn allows 100; the ledger keeps this many
_REFUSED_PATHS = {
    "company": "a company page, not a person's",
    "school": "a school's page, not a person's",
    "showcase": "a company page, not a person's",
    "sales": "a Sales Navigator address; copy the public profile address instead",
    "pub": "an old /pub/ address; copy the address of the profile page instead",
    "talent": "a Recruiter address; copy the public profile address instead",
}
_FORBIDDEN = set('/\\?#<>"|^`{}%@')
_HOST = re.compile(r"([a-z0-9-]+\.)*linkedin\.com")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PORTS = {None, 80, 443}
_JOINERS = {"\u200c", "\u200d"}  # part of names in Persian and Indic scripts


@dataclass(frozen=True, slots=True)
class NotAPerson:
    """The address cannot be a person's profile."""

    reason: str


def normalise(address: str) -> str | NotAPerson:
    """The profile name, decoded, NFC and lower-case, or why there is none.

    >>> normalise("HTTPS://nl.LinkedIn.com/in/Ada-Sample/en?x=1")
    'ada-sample'
    """
    text = address.strip()
    if len(text) > MAX_URL_CHARACTERS:
        return NotAPerson(f"the LinkedIn address is longer than {MAX_URL_CHARACTERS} characters")
    try:
        parts = urlsplit(text if _SCHEME.match(text) else f"https://{text.lstrip('/')}")
        host, plain = parts.hostname or "", "@" not in parts.netloc and parts.port in _PORTS
    except ValueError:
        return NotAPerson("the LinkedIn address cannot be read as a web address")
    if parts.scheme not in {"http", "https"} or not plain or not _HOST.fullmatch(host):
        return NotAPerson("the address is not on linkedin.com")
    path = [part for part in parts.path.split("/") if part]
    kind = path[0].lower() if path else ""
    if kind in _REFUSED_PATHS:
        return NotAPerson(f"the LinkedIn address is {_REFUSED_PATHS[kind]}")
    if kind != "in" or len(path) < 2:
        return NotAPerson("the LinkedIn address has no /in/<name>")
    return _name(path[1])


def _name(raw: str) -> str | NotAPerson:
    try:
        name = unicodedata.normalize("NFC", unquote(raw, errors="strict")).strip().lower()
    except UnicodeDecodeError:
        return NotAPerson("the LinkedIn address has a broken percent-encoding")
    # Lower-casing can decompose (İ becomes i + dot): compose once more, so that the result is a fixed point.
    name = unicodedata.normalize("NFC", name)
    if len(name) > MAX_NAME_CHARACTERS:
        return NotAPerson(f"the name in the LinkedIn address is longer than {MAX_NAME_CHARACTERS} characters")
    if not name or name in {".", ".."} or not all(_may_stand_in_a_name(c) for c in name):
        return NotAPerson("the name in the LinkedIn address has characters that no profile has")
    return name


def _may_stand_in_a_name(character: str) -> bool:
    if character in _JOINERS:
        return True
    return character.isprintable() and not character.isspace() and character not in _FORBIDDEN


def profile_url(name: str) -> str:
    """The canonical address of a normalised name, the only form that is sent to vendors."""
    return f"https://www.linkedin.com/in/{quote(name, safe='-._~')}"
