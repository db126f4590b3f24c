"""The choices of a random history: variants of the mappings, faults of the sites, spellings of one address."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from harness import mapping

from connector.core.mapping import MappingFile

Row = tuple[str, str, str, Mapping[str, object]]  # site, operation, action and its parameters

ORDERS = (("lensmor", "salesfinity"), ("salesfinity", "lensmor"), ("lensmor",), ("salesfinity",))
NO_CAP: Mapping[str, int] = {}
CAPS: tuple[tuple[Mapping[str, int], Mapping[str, int]], ...] = (
    (NO_CAP, NO_CAP),
    ({"lensmor": 15, "salesfinity": 1}, NO_CAP),
    ({"lensmor": 165, "salesfinity": 2}, {"lensmor": 330, "salesfinity": 3}),
    (NO_CAP, {"lensmor": 180, "salesfinity": 1}),
)


@dataclass(frozen=True)
class Variant:
    """One way to write both mapping files.

    Attributes:
        order: the sources of the work email.
        write: the write policy of every channel.
        caps: index in `CAPS`.
        soon: a person may be bought again after 2 hours instead of 180 days.
    """

    order: tuple[str, ...] = ORDERS[0]
    write: str = "if_empty"
    caps: int = 0
    soon: bool = False

    @property
    def refresh_s(self) -> float:
        """The seconds after which a delivered value may be bought again."""
        return 2 * 3600.0 if self.soon else 180 * 86_400.0

    def cap(self, vendor: str, *, day: bool) -> int | None:
        """The credits that both mappings together may spend in a run or a day; None: no limit."""
        cap = CAPS[self.caps][1 if day else 0].get(vendor)
        return None if cap is None else 2 * cap

    def uncapped(self) -> "Variant":
        """The same variant without caps."""
        return Variant(self.order, self.write, 0, self.soon)


@functools.cache
def mappings_of(variant: Variant) -> tuple[MappingFile, MappingFile]:
    """The Lead and the Contact mapping of this variant."""
    return _mapping("lead", variant), _mapping("contact", variant)


def _mapping(name: str, variant: Variant) -> MappingFile:
    default = mapping(name).channels.model_dump(by_alias=True, exclude_none=True)
    channels = {channel: {**rules, "write": variant.write} for channel, rules in default.items()}
    channels["work_email"]["from"] = list(variant.order)
    run, day = CAPS[variant.caps]
    limits: dict[str, object] = {"max_credits": dict(run), "max_credits_per_day": dict(day)}
    if variant.soon:
        limits |= {"refresh_after": "2h", "retry_not_found_after": "1h"}
    return mapping(name, channels=channels, limits=limits)


_LOST_FAULTS: tuple[tuple[str, Mapping[str, object]], ...] = (
    ("drop_before", {}),
    ("drop_after", {}),
    ("error_before", {"status": 500}),
    ("error_after", {"status": 500}),
    ("html", {}),
    ("truncated", {}),
    ("wrong_types", {}),
)
_REFUSED_FAULTS: tuple[tuple[str, Mapping[str, object]], ...] = tuple(
    ("status", {"status": status}) for status in (400, 402, 409, 422, 429)
)
_READ_FAULTS: tuple[tuple[str, Mapping[str, object]], ...] = (
    ("drop_before", {}),
    ("error_before", {"status": 503}),
    ("truncated", {}),
    ("status", {"status": 429, "retry_after": 7}),
    ("unknown_word", {}),
    ("not_found", {}),
)
_CRM_FAULTS: tuple[tuple[str, Mapping[str, object]], ...] = (
    ("drop_before", {}),
    ("drop_after", {}),
    ("status", {"status": 503, "errorCode": "SERVER_UNAVAILABLE"}),
    ("truncated", {}),
    ("expire_token", {}),
)
PAID = {
    "lensmor": ("submitEmailUnlock", "submitPhoneUnlock"),
    "salesfinity": ("requestEmailEnrichment",),
}
_READS = {
    "lensmor": (
        "getCreditsBalance",
        "getEmailUnlockTask",
        "getPhoneUnlockTask",
        "getPersonnelProfile",
        "findPersonByLinkedin",
        "listPersonnelEvents",
    ),
    "salesfinity": ("getEmailEnrichment", "getEnrichmentCredits"),
}
LOST_ROWS: tuple[Row, ...] = tuple(
    (s, o, a, p) for s, operations in PAID.items() for o in operations for a, p in _LOST_FAULTS
)
REFUSED_ROWS: tuple[Row, ...] = tuple(
    (s, o, a, p) for s, operations in PAID.items() for o in operations for a, p in _REFUSED_FAULTS
)
READ_ROWS: tuple[Row, ...] = tuple(
    (s, o, a, p) for s, operations in _READS.items() for o in operations for a, p in _READ_FAULTS
)
CRM_ROWS: tuple[Row, ...] = tuple(
    ("salesforce", o, a, p) for o in ("query", "retrieve_many", "update_many") for a, p in _CRM_FAULTS
)
ROW_ERRORS = ("UNABLE_TO_LOCK_ROW", "FIELD_CUSTOM_VALIDATION_EXCEPTION", "STRING_TOO_LONG")

SPELLINGS = (
    "https://www.linkedin.com/in/{}",
    "HTTP://NL.LinkedIn.com/in/{}/en?trk=x",
    "linkedin.com/in/{}/",
    "m.linkedin.com/in/{}#about",
)
FAR_FROM_A_PERSON = ("https://www.linkedin.com/company/sample", "linkedin.com/sales/lead/1", "ask Jo")
