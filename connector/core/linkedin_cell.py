"""Cleans the text of a LinkedIn field before it is parsed as an address: HTML, quotes, doubled schemes, placeholders.

CRM fields contain links from formulas and rich text, copied from mails, and joined in lists. Text that certainly only
surrounds one address is removed here; a cell that names two people is recognised.
"""

import html
import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import unquote

_CLOSING = ")]}>'\"`\u2019\u201d\u00bb"
_SEPARATORS = ",.;:!"
TRAILING = _SEPARATORS + _CLOSING
_OPENING = "<([{\"'`\u201c\u2018\u00ab\u201e"
_PAIRS = ("<>", "()", "[]", "{}", '""', "''", "``", "\u201c\u201d", "\u2018\u2019", "\u00ab\u00bb", "\u201e\u201c")
_ANCHOR = re.compile(r"<a\s[^>]*?\bhref\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"']+))[^>]*>(.*?)</a\s*>", re.I)
_MARKDOWN = re.compile(r"\[[^\]]*\]\(\s*<?([^\s()<>]+)>?\s*\)")
_FORMULA = re.compile(r"=\s*HYPERLINK\(\s*\"([^\"]+)\"\s*[,;)].*", re.I)
_TAGS = re.compile(r"</?(?:p|div|span|b|i|u|br)\b[^>]*>", re.I)
_EDGE_TAGS = re.compile(rf"^(?:{_TAGS.pattern})+|(?:{_TAGS.pattern})+$", re.I)
_WEB = re.compile(r"(?:https?(?:[:;]/*|/{2,}))+|/{2,}", re.I)
_APP = re.compile(r"linkedin:/+(?=in/)", re.I)
_OTHER_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:(?!\d)(?![^/]*@)", re.I)
_PERSON = re.compile(r"linkedin\.com(?::\d+)?/+(?:(?:comm|mwlite)/+)?(?:in/+)+([^/?#&\s,;|\"'<>()]+)", re.I)
# The hosts of profiles. Any other label may be the end of a name: `annawww.linkedin.com` is two joined addresses.
LINKEDIN_HOST = r"(?:(?:www|m|touch|mobile|[a-z]{2})\.)*linkedin\.com"
_LINK = re.compile(rf"https?$|{LINKEDIN_HOST}$|https?:|https?%3a", re.I)

_LOGGED_IN = "the page of the user who is logged in, not of one person"
_A_ROUTE = "a page of LinkedIn's own, not a person's"
# fmt: off
_ROUTES = (
    "login", "signup", "signin", "feed", "home", "search", "public-profile", "profile", "404", "error", "redirect",
    "authwall", "uas", "checkpoint", "pub", "sales", "talent", "recruiter", "cap", "hiring", "jobs", "job", "dir",
    "directory", "people", "posts", "post", "pulse", "groups", "events", "details", "overlay", "contact-info",
    "recent-activity", "add", "messaging", "notifications", "mynetwork", "learning", "premium", "help", "legal",
    "newsletters", "services", "showcase", "comm", "mwlite",
)
# fmt: on
SHARED_NAMES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("me", "self", "my-profile", "myprofile", "edit", "settings", "view", "new"), _LOGGED_IN),
        "unavailable": "LinkedIn's page for profiles that cannot be shown",
        **dict.fromkeys(_ROUTES, _A_ROUTE),
        **dict.fromkeys(("company", "school"), "a company's or a school's page, not a person's"),
    }
)
# fmt: off
_PLACEHOLDER_NAMES = frozenset((
    "na", "none", "null", "nil", "undefined", "unknown", "unavailable", "notavailable", "notfound", "notapplicable",
    "nolinkedin", "noprofile", "test", "testuser", "dummy", "placeholder", "example", "username", "yourname",
    "yourprofile", "profilename", "firstnamelastname", "linkedin", "linkedinurl", "yourprofilename", "yourusername",
    "yourlinkedin", "yourlinkedinname", "yourlinkedinprofile", "yourlinkedinurl", "mylinkedin",
    "linkedinmember", "linkedinuser", "linkedinprofile", "linkedinname", "linkedinid", "profilenotfound",
    "pagenotfound", "usernotfound", "membernotfound", "profileunavailable", "profilenotavailable", "profileurl",
    "privateprofile", "deletedprofile", "deleteduser",
))
_PLACEHOLDER_TEXTS = _PLACEHOLDER_NAMES | frozenset((
    "nan", "nourl", "missing", "empty", "blank", "tbd", "tbc", "todo", "tester", "xyz", "abc", "asdf", "sample",
    "pending", "false", "true", "no", "yes", "error", "ref", "value", "name", "url", "http", "https", "www",
    "deleted", "removed", "redacted", "hidden", "private", "nolongeravailable",
))
# fmt: on


def unwrapped(text: str) -> str:
    """Remove HTML, Markdown, quotes, brackets and closing punctuation around the one address in the text."""
    for _ in range(12):
        before = text
        text = _EDGE_TAGS.sub("", text)
        text = _without_one_wrapping(_link_of(text).strip())
        if text == before:
            break
    text = text.replace("&amp;", "&")
    if "/" not in text and "%2f" in text.lower():  # a whole address, percent-encoded
        text = unquote(text)
    # If all slashes are backslashes, a program converted them. A single one may be half of `\\t` or `\\n`.
    return text if "/" in text else text.replace("\\", "/")


def holds_other_text(text: str) -> bool:
    """Whether the field has other text before or after an address."""
    return (
        re.search(r"[;,|]\s*(?:https?:|www\.|([a-z0-9-]+\.)*linkedin\.com)", text.partition("?")[0], re.I) is not None
    )


def without_scheme(text: str) -> str | None:
    """The address without its scheme, even if that is repeated or misspelt; None for addresses with another scheme."""
    app = _APP.match(text)
    if app is not None:
        return f"linkedin.com/{text[app.end() :]}"
    web = _WEB.match(text)
    rest = text[web.end() :] if web is not None else text
    if re.match(r"/in/", rest, re.I):  # only a path, as in lists of profiles
        rest = f"linkedin.com{rest}"
    return None if _OTHER_SCHEME.match(rest) and "." not in rest.partition(":")[0] else rest.lstrip("/")


def holds_two_people(text: str) -> bool:
    """Whether the text, including a query, has two different names after `/in/`."""
    names = {name.rstrip(TRAILING).lower() for name in _PERSON.findall(text)}
    return len({name for name in names if not _LINK.match(name)}) > 1


def is_placeholder(text: str) -> bool:
    """Whether people and programs write this text into a field when they have no address."""
    return _plain(text) in _PLACEHOLDER_TEXTS or _says_nothing(text)


def is_placeholder_name(name: str) -> bool:
    """Whether people and programs write this name after `/in/` when they have none."""
    return _plain(name) in _PLACEHOLDER_NAMES or _says_nothing(name)


def _says_nothing(text: str) -> bool:
    return bool(text) and set(_plain(text)) in (set(), {"0"}, {"x"})


def _plain(text: str) -> str:
    return re.sub(r"[\s\-_./\\#()<>\[\]'\"?!*:,;]+", "", text.lower())


def _link_of(text: str) -> str:
    """The target of a link in HTML, Markdown or a spreadsheet formula; the text itself if it is not a link."""
    anchors = _ANCHOR.findall(text) if text.lower().count("<a") == 1 else []  # many would take seconds to match
    around = _TAGS.sub("", _ANCHOR.sub("", text)).strip() if anchors else text
    if anchors and not around:
        double, single, bare, shown = anchors[0]
        target = html.unescape(double or single or bare)
        both = f"{target} {html.unescape(shown)}"
        return both if holds_two_people(both) else target
    for pattern in (_MARKDOWN, _FORMULA):
        found = pattern.fullmatch(text)
        if found is not None:
            return text if holds_two_people(text) else found[1]
    return text


def _without_one_wrapping(text: str) -> str:
    """Remove one layer: separators at the ends, then a pair of quotes or brackets, then an unpaired one."""
    text = text.lstrip(",;").strip()
    cut = text.rstrip(_SEPARATORS)
    if ".." not in text[len(cut) :] and not cut.endswith("\u2026"):  # dots show that the end is missing
        text = cut
    if len(text) < 2:
        return text
    if any(text[0] == pair[0] and text[-1] == pair[1] for pair in _PAIRS):
        return text[1:-1].strip()
    if text[-1] in _CLOSING:
        return text if text[-1] == ")" and "(" in text else text[:-1].strip()
    return text[1:].strip() if text[0] in _OPENING else text
