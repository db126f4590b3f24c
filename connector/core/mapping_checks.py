"""Checks of a mapping file beyond its schema; each finding has the path of its key and the remedy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from connector.core.mapping import MappingFile, PicklistFlag, written_keys
from connector.core.mapping_base import KeyPath
from connector.core.model import Channel
from connector.core.spelling import did_you_mean


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem with one key of a mapping file, and its remedy."""

    path: KeyPath
    message: str


def check(mapping: MappingFile, offers: Mapping[str, frozenset[Channel]]) -> list[Finding]:
    """Check the rules that involve several keys or the installed providers.

    Args:
        mapping: a mapping that is valid by the schema.
        offers: the channels that each installed provider sells.
    """
    return [
        *_check_person(mapping),
        *_check_flag(mapping),
        *_check_sources(mapping, offers),
        *_check_region(mapping),
        *_check_fields(mapping),
        *_check_conditions(mapping),
    ]


def _check_person(mapping: MappingFile) -> Iterator[Finding]:
    if not any(not kind.groups for kind, _ in mapping.person.mapped_kinds):
        keys = [key for kind in mapping.person.kinds if not kind.groups for key in kind.keys]
        yield Finding(("person",), f"name at least one of {_listed(keys)}, or no person can be found")
    if not any(True for _ in mapping.channels.items()):
        yield Finding(("channels",), "name at least one channel: work_email, personal_email or phone")


def _check_flag(mapping: MappingFile) -> Iterator[Finding]:
    flag = mapping.select.flag
    if isinstance(flag, PicklistFlag) and flag.asks.strip().lower() == flag.done.strip().lower():
        words = "asks and done have the same value, so that a finished record would be enriched again; use two values"
        yield Finding(("select", "flag", "done"), words)


def _check_sources(mapping: MappingFile, offers: Mapping[str, frozenset[Channel]]) -> Iterator[Finding]:
    for channel, found in mapping.channels.items():
        able = sorted(name for name, channels in offers.items() if channel in channels)
        for index, name in enumerate(found.sources):
            path: KeyPath = ("channels", channel.value, "from", index)
            if name not in offers:
                yield Finding(path, f"there is no provider {name!r}; {_hint(name, able)}use {', '.join(able)}")
            elif channel not in offers[name]:
                yield Finding(path, f"{name} does not sell {channel}; use {', '.join(able)}")
            elif name in found.sources[:index]:
                yield Finding(path, f"{name} is named twice; name each provider once")
    for key in ("max_credits", "max_credits_per_day"):
        for name in getattr(mapping.limits, key):
            if name not in offers:
                known = sorted(offers)
                words = f"there is no provider {name!r}; {_hint(name, known)}use {', '.join(known)}"
                yield Finding(("limits", key, name), words)


def _hint(name: str, known: list[str]) -> str:
    found = did_you_mean(name, known)
    return f"{found} " if found else ""


def _check_region(mapping: MappingFile) -> Iterator[Finding]:
    region = mapping.channels.phone.default_region if mapping.channels.phone else None
    if region is None:
        return
    import phonenumbers  # large, and few mappings name a region: start-up time

    if region not in phonenumbers.SUPPORTED_REGIONS:
        yield Finding(
            ("channels", "phone", "default_region"),
            f"{region} is not a country with known phone numbers; use an ISO code, such as US or GB",
        )


def _check_fields(mapping: MappingFile) -> Iterator[Finding]:
    seen: dict[str, KeyPath] = {}
    for name, path in written_keys(mapping):
        first = seen.setdefault(name.lower(), path)
        if first != path:
            yield Finding(path, f"{name} is already written by {'.'.join(map(str, first))}; map each field once")
    for key, read in mapping.person.mapped():
        by = seen.get(read.lower()) if isinstance(read, str) else None
        if by and by != ("stamp", key):
            yield Finding(("person", key), f"{read} identifies the person and is written by {'.'.join(map(str, by))}")


def _check_conditions(mapping: MappingFile) -> Iterator[Finding]:
    """Refuse conditions on fields that the mapping writes: the connector itself would change them."""
    written = {name.lower(): path for name, path in written_keys(mapping)}
    for channel, found in mapping.channels.items():
        for key in ("empty_when", "opt_out"):
            name: str | None = getattr(found, key)
            by = written.get(name.lower()) if name else None
            if by is not None:
                yield Finding(
                    ("channels", channel.value, key),
                    f"{name} is written by {'.'.join(map(str, by))}; name a field that the mapping does not write",
                )


def _listed(keys: Sequence[str]) -> str:
    """Join names to a text such as `a, b and c`."""
    return " and ".join([", ".join(keys[:-1]), keys[-1]] if len(keys) > 1 else keys)
