"""Extracts an email address from a vendor's text.

Removed: `mailto:`, a display name, quotes and brackets, closing punctuation, invisible characters. Rejected:
placeholders, masks (`a***@example.com`), texts with two different addresses, and addresses that no mail system
accepts. A text that can be cut in two ways has no value, because half of an address is another address.
"""

import functools
import html
import re
from urllib.parse import unquote

from pydantic import validate_email

from connector.core.invisible import has_control, trimmed, visible

_MAX_LOCAL_CHARACTERS = 64  # RFC 5321, 4.5.3.1
MAX_EMAIL_CHARACTERS = 320  # 255 more after the @
_MAX_TEXT_CHARACTERS = 1000  # an address with a name and markup around it
_LABEL = re.compile(r"(?:mailto|smtp|e-?mail|work e-?mail|business e-?mail|personal e-?mail)\s*:\s*(?://)?", re.I)
_NAMED = re.compile(r"[^<>@]*<\s*([^<>]+?)\s*>")
_ANCHOR = re.compile(r"<a\s([^>]*)>([^<>]*)</a\s*>", re.I)
_ADDRESS = re.compile(r"[^\s\"'<>:;,=?&/]+@[^\s\"'<>:;,=?&/]+")
_MARKDOWN = re.compile(r"\[([^\]]+)\]\(([^()]+)\)")
_SEPARATOR = re.compile(r"\s*[,;|]\s*|\s+/\s+|\s+or\s+|\s+and\s+", re.I)
_PAIRS = ("<>", "()", "[]", "{}", '""', "''", "``", "\u201c\u201d", "\u2018\u2019", "\u00ab\u00bb")
_CLOSING = ".,;:!"
# Most texts are such an address. Nothing is around it, so only the address itself is examined.
_USUAL = re.compile(r"[a-z0-9]+(?:[._+-][a-z0-9]+)*@[a-z0-9]+(?:[.-][a-z0-9]+)*", re.I | re.A)
_USUAL_LOCAL = re.compile(r"[a-z0-9]+(?:[._+-][a-z0-9]+)*", re.I | re.A)
_MAX_USUAL_CHARACTERS = 254  # RFC 5321, 4.5.3.1.3; a longer one is left to the library
_DOMAINS_KEPT = 4096  # people of one company have the same domain
_TOP_LEVEL = re.compile(r"[^\W\d_]{2,}|xn--[a-z0-9-]+", re.I)
# Characters with which vendors mask a part of an address; `?` and U+FFFD are letters that a conversion has lost.
_MASK = re.compile(
    r"[*?#\u2022\u25cf\u25cb\u2588\u25a0\u25a1\u25aa\u2026\ufffd]|\.{2,}|x{4,}|(?<![a-z0-9])x{2,}(?![a-z0-9])"
    r"|[_-]{3,}.*@|^[a-z0-9]?[_-]{2,}@|@(?:.*\.)?(?!xn--)[^.]*-{3,}"  # `a_____@`, `j--@`; not the hyphens of punycode
)
# Compared by letters only. Initials (`na`), first names (`nil`) and roles (`info`) occur in real addresses.
# fmt: off
_NO_LOCAL = frozenset((
    "noemail", "noemails", "nomail", "noemailaddress", "noemailfound", "noemailavailable", "none", "null",
    "notavailable", "notapplicable", "notfound", "notprovided", "notknown", "undefined", "unknown", "unavailable",
    "missing", "blank", "empty", "hidden", "locked", "masked", "redacted", "removed", "deleted", "private", "invalid",
    "placeholder", "dummy", "fake", "test", "tester", "testing", "testuser", "testemail",
    "noreply", "donotreply", "example", "yourname", "youremail", "username", "email", "emailaddress", "name",
    "firstname", "lastname", "firstnamelastname", "protected", "upgrade", "upgraderequired", "unlock",
))
_NO_DOMAIN = frozenset(("noemail.com", "nomail.com", "none.com", "null.com", "na.com", "unknown.com", "notfound.com"))
# fmt: on


def email_of(raw: object) -> str | None:
    """The one email address in a vendor's value; None if there is none, or it is ambiguous.

    >>> email_of("Ada Sample <mailto:ada@example.com>."), email_of("a***@example.com")
    ('ada@example.com', None)
    """
    if not isinstance(raw, str) or len(raw) > _MAX_TEXT_CHARACTERS:
        return None
    if _USUAL.fullmatch(raw):
        return _accepted(raw)
    text = trimmed(raw)
    if has_control(text):  # two entries, or one that was split
        return None
    parts = [part for part in _SEPARATOR.split(_without_display_name(visible(text))) if part]
    found = set(map(_address, parts))
    if len({address and address.lower() for address in found}) != 1:
        return None
    return found.pop()


def _without_display_name(text: str) -> str:
    """Remove a display name, which may contain separators: `Sample, Ada <ada@example.com>` is one address."""
    named = _NAMED.fullmatch(text.rstrip(_CLOSING + " "))
    return named[1] if named is not None else text


def _address(text: str) -> str | None:
    return _accepted(_bare(text))


def _accepted(address: str) -> str | None:
    """The address, if mail systems accept it and it is no placeholder."""
    local, _, domain = address.rpartition("@")
    if not local or len(local) > _MAX_LOCAL_CHARACTERS or len(address) > MAX_EMAIL_CHARACTERS:
        return None
    if _is_placeholder(local.lower(), domain.lower()):
        return None
    is_usual = len(address) <= _MAX_USUAL_CHARACTERS and _USUAL_LOCAL.fullmatch(local) is not None
    is_valid = _is_domain(domain) if is_usual else _is_valid(address)
    return address if is_valid and _TOP_LEVEL.fullmatch(domain.rpartition(".")[2]) else None


@functools.lru_cache(_DOMAINS_KEPT)
def _is_domain(domain: str) -> bool:
    """Whether mail can have this domain."""
    return _is_valid(f"a@{domain}")


def _is_valid(address: str) -> bool:
    try:
        validate_email(address)
    except ValueError:
        return False
    return True


def _bare(text: str) -> str:
    """Remove everything that people and programs put around an address."""
    for _ in range(6):
        before = text
        text = text.strip().rstrip(_CLOSING).strip().lstrip(",;")
        label = _LABEL.match(text)
        if label is not None:
            text = text[label.end() :]
            text = unquote(text.partition("?")[0]) if label[0].lower().startswith("mailto") else text
        anchor, link = _ANCHOR.fullmatch(text), _MARKDOWN.fullmatch(text)
        if anchor is not None and _shows_its_target(anchor[1], anchor[2]):
            text = anchor[2]
        elif link is not None and _LABEL.sub("", link[2]).lower() == link[1].lower():
            text = link[1]
        elif len(text) > 1 and any(text[0] == pair[0] and text[-1] == pair[1] for pair in _PAIRS):
            text = text[1:-1]
        if text == before:
            break
    return text


def _shows_its_target(attributes: str, shown: str) -> bool:
    """Whether a link contains no address but the one that it shows."""
    targets = _ADDRESS.findall(unquote(html.unescape(attributes)))
    return {target.lower() for target in targets} <= {_bare(shown).lower()}


def _is_placeholder(local: str, domain: str) -> bool:
    if local.strip("/-_.") in {"n/a", "n\\a"}:
        return True
    plain = re.sub(r"[\W\d_]+", "", local)
    says_nothing = not plain and not any(map(str.isdigit, local))
    starts = plain.startswith(("noemail", "emailnot", "notunlocked", "notfound", "donotreply"))
    masked = _MASK.search(f"{local}@{domain}") is not None
    words = {plain, plain.removeprefix("email"), plain.removesuffix("email")}  # `locked_email`, `email-hidden`
    return says_nothing or starts or masked or bool(words & _NO_LOCAL) or _is_filler(local, domain)


def _is_filler(local: str, domain: str) -> bool:
    """Whether the address only fills a field: a domain named for that, zeros, or the same number on both sides."""
    name = domain.partition(".")[0]
    return domain in _NO_DOMAIN or {"0"} in (set(local), set(name)) or (name.isdigit() and local == name)
