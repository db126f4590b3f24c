"""Removes secrets and personal data from cassettes.

Only headers in a list of allowed ones are kept. Emails are kept only at example.com, phones only in the range reserved
for fiction; org ids, tokens and signatures never. Other values to replace (hosts, the operator's ids and names) are
given to the scrubber. The same real value always becomes the same invented one, so that values from an answer still
match the next request.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

REQUEST_HEADERS = frozenset({"content-type", "x-call-source", "sforce-auto-assign", "sforce-call-options"})
RESPONSE_HEADERS = frozenset(
    {"content-type", "retry-after", "sforce-limit-info", "x-ratelimit-limit", "x-ratelimit-remaining", "location"}
)
EMAIL = re.compile(r"[\w.+-]+@(?:[\w-]+\.)+[A-Za-z]{2,}")
PHONE = re.compile(r"\+\d[\d ().-]{6,}\d")
FICTION = re.compile(r"\+1 415 555 \d{4}")
TOKEN = re.compile(r"00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]+")
ORG_ID = re.compile(r"\b00D[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?\b")
LOOKUP_ID = re.compile(r"\b[0-9a-f]{24}\b")
TRACE_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
NAMES = frozenset({"fullName", "FirstName", "LastName", "Name", "personName"})
COMPANIES = frozenset({"companyName", "Company"})
FACTS = frozenset({"title", "department", "seniorityLevel", "Title"})
PHONES = frozenset({"phone", "Phone", "MobilePhone", "Fax"})
EMAILS = frozenset({"email", "Email", "Personal_Email__c"})
CREDENTIALS = frozenset({"access_token", "refresh_token", "signature", "client_id", "client_secret"})
QUOTED = re.compile(r'"(\w+)":\s*"((?:[^"\\]|\\.)+)')
PROFILE = re.compile(r"(linkedin\.com(?:/|%2F)in(?:/|%2F))([^\"&?/\s\\]+)", re.IGNORECASE)


class Scrubber:
    """Replaces sensitive values; one per recording.

    Args:
        known: real values and their replacements.
        keep: LinkedIn names that are invented already.
    """

    def __init__(self, known: Mapping[str, str], keep: frozenset[str] = frozenset()) -> None:
        self._known = dict(known)
        self._keep = keep
        self._invented: dict[str, int] = {}

    def request(self, request: Any) -> Any:  # noqa: ANN401 vcr has no types
        """For `before_record_request`; also applied to requests that are compared with a cassette."""
        request.headers = {name: value for name, value in request.headers.items() if name.lower() in REQUEST_HEADERS}
        request.uri = self.text(request.uri)
        if request.body:
            body = request.body if isinstance(request.body, bytes) else str(request.body).encode()
            request.body = self.text(body.decode()).encode()
        return request

    def response(self, response: dict[str, Any]) -> dict[str, Any]:
        """For `before_record_response`."""
        headers = response["headers"].items()
        response["headers"] = {name: values for name, values in headers if name.lower() in RESPONSE_HEADERS}
        response["body"] = {"string": self.body(response["body"]["string"])}
        return response

    def body(self, raw: bytes) -> bytes:
        """Scrub an answer's body: by its keys if it is JSON, then as text."""
        text = raw.decode("utf-8", "replace")
        try:
            text = json.dumps(self._by_keys(json.loads(text)), ensure_ascii=False)
        except ValueError:  # a web page, or truncated JSON
            text = QUOTED.sub(lambda found: f'"{found[1]}": "{self._by_key(found[2], found[1])}', text)
        return self.text(text).encode()

    def text(self, text: str) -> str:
        """Scrub any text, such as an address or a body."""
        for real in sorted(self._known, key=len, reverse=True):
            text = text.replace(real, self._known[real])
        text = TOKEN.sub("scrubbed-token", text)
        text = ORG_ID.sub("scrubbed-org-id", text)
        text = TRACE_ID.sub("00000000-0000-4000-8000-000000000000", text)
        text = LOOKUP_ID.sub(lambda found: self._lookup_id(found[0]), text)
        text = PROFILE.sub(lambda found: found[1] + self._profile(found[2]), text)
        text = PHONE.sub(lambda found: self._phone(found[0]), text)
        return EMAIL.sub(lambda found: self._email(found[0]), text)

    def _by_keys(self, value: Any, key: str = "") -> Any:  # noqa: ANN401 JSON
        if isinstance(value, dict):
            return {name: self._by_keys(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self._by_keys(item, key) for item in value]
        return self._by_key(value, key) if isinstance(value, str) and value else value

    def _by_key(self, value: str, key: str) -> str:
        if key in CREDENTIALS:
            return "scrubbed-token"
        if key in PHONES:
            return self._phone(value)
        if key in EMAILS:
            return self._email(value)
        for keys, stand_in in ((NAMES, "Example Person"), (COMPANIES, "Example Works"), (FACTS, "Example")):
            if key in keys:
                return stand_in
        return value

    def _phone(self, phone: str) -> str:
        if FICTION.fullmatch(phone):
            return phone
        return self._learn(phone, f"+1 415 555 {1000 + self._number(phone):04d}")

    def _email(self, email: str) -> str:
        if email.endswith("@example.com"):
            return email
        return self._learn(email, f"person-{self._number(email)}@example.com")

    def _profile(self, name: str) -> str:
        if name in self._keep or re.fullmatch(r"example-person-\d+", name):
            return name
        return self._learn(name, f"example-person-{self._number(name)}")

    def _lookup_id(self, lookup_id: str) -> str:
        if lookup_id.startswith("5f0000"):
            return lookup_id
        return self._learn(lookup_id, f"5f{self._number(lookup_id):022d}")

    def _number(self, real: str) -> int:
        return self._invented.setdefault(real, len(self._invented) + 1)

    def _learn(self, real: str, invented: str) -> str:
        """Remember a replacement for every later occurrence, in all forms of text."""
        self._known[real] = invented
        return invented


FORBIDDEN = {
    "an authorization": re.compile(r"authorization|\bbearer |\bbasic [A-Za-z0-9+/]{8}", re.IGNORECASE),
    "a cookie": re.compile(r"cookie", re.IGNORECASE),
    "a key header": re.compile(r"x-api-key", re.IGNORECASE),
    "an API key": re.compile(r"\b(?:sk|uak)_\w+|sim-\w+-key"),
    "a client's secret": re.compile(r'sim-client-(?:id|secret)|client_(?:id|secret)"?\s*[:=]\s*"?(?!scrubbed)\w'),
    "a signed assertion": re.compile(r"\beyJ[A-Za-z0-9_-]{10,}|assertion="),
    "a token": TOKEN,
    "an org id": ORG_ID,
    "an address of this machine": re.compile(r"127\.0\.0\.1|localhost|\[::1\]|loopback"),
    "a port": re.compile(r"https?://[^/\s\"']+:\d+"),
}


def secrets_in(text: str) -> list[str]:
    """Descriptions of the sensitive values in a text, without the values."""
    found = [what for what, pattern in FORBIDDEN.items() if pattern.search(text)]
    if any(not email.endswith("@example.com") for email in EMAIL.findall(text)):
        found.append("an email that is not at example.com")
    if any(not FICTION.fullmatch(phone) for phone in PHONE.findall(text)):
        found.append("a phone outside of the range for fiction")
    return found
