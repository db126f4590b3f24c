"""Salesforce ids: 15 characters in the user interface (case-sensitive), 18 in the API (with a checksum of the case)."""

from collections.abc import Sequence

from connector.core.id_file import IdFile
from connector.crm.salesforce.id_file import decode, parse_ids

# The first three characters of an id name its object; those of standard objects are the same in every org (Salesforce
# Help, "Standard Field Record ID Prefix"). Custom objects have their own: the org's describe names them.
STANDARD_PREFIXES = {
    "account": "001",
    "case": "500",
    "campaign": "701",
    "campaignmember": "00v",
    "contact": "003",
    "lead": "00Q",
    "opportunity": "006",
    "user": "005",
}
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_IS_CAPITAL = bytes(b"01"[chr(code).isupper()] for code in range(256))  # a table of translation


def prefix_of(object_name: str) -> str | None:
    """The first characters of an object's ids; None for an object that each org numbers by itself."""
    return STANDARD_PREFIXES.get(object_name.lower())


def to_18(record_id: str) -> str | None:
    """The 18-character form; None when it is not an id, or its checksum is wrong."""
    text = record_id.strip()
    if len(text) not in {15, 18} or not (text.isascii() and text.isalnum()):
        return None
    full = text[:15] + _checksum(text[:15])
    return full if len(text) == 15 or full == text else None


def _checksum(short: str) -> str:
    """Each character holds which letters of one third are capitals, lowest bit first."""
    bits = int(short[::-1].encode("ascii").translate(_IS_CAPITAL), 2)
    return _ALPHABET[bits & 31] + _ALPHABET[bits >> 5 & 31] + _ALPHABET[bits >> 10]


def spellings(record_id: str) -> set[str]:
    """Every form in which an id may be written down; a text that is no id stands for itself."""
    full = to_18(record_id)
    return {record_id} if full is None else {record_id, full, full[:15]}


class SalesforceIds:
    """Salesforce's ids, for everything that has no connection to an org."""

    example = "15 or 18 letters and digits"

    def full(self, text: str) -> str | None:
        """The 18-character form; None for a text that is no id."""
        return to_18(text)

    def prefix_of(self, object_name: str) -> str | None:
        """The first characters of a standard object's ids; None for an object that each org numbers by itself."""
        return prefix_of(object_name)

    def spellings(self, record_id: str) -> set[str]:
        """Every form in which an id may be written down."""
        return spellings(record_id)

    def parse_file(self, raw: bytes, objects: Sequence[str]) -> IdFile:
        """The ids of these objects in a file.

        Raises:
            IdFileError: it has no ids that can be used.
        """
        return parse_ids(decode(raw), to_18, {name: prefix_of(name) for name in objects})


def ids_of_identity(identity: str) -> tuple[str, str]:
    """The org's and the user's id in `https://login.salesforce.com/id/00D.../005...`; empty where there is none."""
    org, _, user = identity.partition("/id/")[2].partition("/")
    found = to_18(org) if org.startswith("00D") else None
    return found or "", (to_18(user.partition("/")[0]) or "") if found else ""
