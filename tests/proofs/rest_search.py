"""Searches raw bytes for people's emails and phones in any spelling or encoding."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from connector.simulator.people import SimPerson
from connector.simulator.server import Simulator

OBJECTS = ("Lead", "Contact")
EMAIL_FIELDS, PHONE_FIELDS = ("Email", "Personal_Email__c"), ("Phone", "MobilePhone", "Fax")


@dataclass(frozen=True)
class Found:
    """A value that was found, and the file that contains it."""

    where: str
    what: str


def spellings(value: str) -> frozenset[bytes]:
    """The spellings of one email or phone, in lower case; the digits also match E.164."""
    plain = value.strip().lower()
    if "@" in plain:
        texts, wide = {plain, quote(plain), plain.replace("@", "\\u0040")}, {plain}
    else:
        digits = re.sub(r"\D", "", plain)
        texts, wide = {plain, quote(plain, safe="").lower(), "-".join(plain.split()), digits}, {plain, digits}
    return frozenset({text.encode() for text in texts} | {text.encode("utf-16-le") for text in wide})


class Needles:
    """The byte sequences of every email and phone of a world.

    Args:
        values: The emails and phones.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self.values = frozenset(values)
        self._needles = {spelt: value for value in self.values for spelt in spellings(value)}

    def in_bytes(self, haystack: bytes) -> set[str]:
        """The values that occur in some bytes, in any case and spelling."""
        small = haystack.lower()
        return {value for needle, value in self._needles.items() if needle in small}

    def in_files(self, folder: Path) -> list[Found]:
        """The values that occur in any file under a folder, or in its name."""
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        assert files
        return [
            Found(path.name, value)
            for path in files
            for value in sorted(self.in_bytes(path.read_bytes() + b"\n" + path.name.encode()))
        ]


def known_to(simulator: Simulator, people: Iterable[SimPerson]) -> frozenset[str]:
    """Every email and phone that a vendor could sell or that the org contains, also in deleted records."""
    sold = [v for p in people for v in (p.email, p.phone, p.work_email, p.personal_email)]
    return frozenset(v for v in [*sold, *_in_org(simulator)] if v)


def _in_org(simulator: Simulator) -> Iterable[str | None]:
    for name in OBJECTS:
        for record in simulator.salesforce.org.records(name):
            yield from _texts(record, (*EMAIL_FIELDS, *PHONE_FIELDS))


def _texts(record: Mapping[str, object], fields: Iterable[str]) -> Iterable[str]:
    return (str(record[name]) for name in fields if record.get(name))
