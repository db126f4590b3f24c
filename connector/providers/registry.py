"""The registry of installed providers: those of this package, and those of other packages by entry point."""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points

from connector.core.errors import ConfigurationError
from connector.core.identifiers import IdentifierKind
from connector.providers import lensmor, salesfinity
from connector.providers.registration import Registration

GROUP = "connector.providers"
BUILT_IN: Mapping[str, Registration] = {found.name: found for found in (lensmor.REGISTRATION, salesfinity.REGISTRATION)}
_NAME = re.compile(r"[a-z][a-z0-9]{0,39}")


def _installed() -> dict[str, Registration]:
    return {**BUILT_IN, **{found.name: found for found in added()}}


def added(points: Iterator[EntryPoint] | None = None) -> Iterator[Registration]:
    """Load the providers of other packages, in the order of their names.

    Args:
        points: replaces the entry points of this environment.

    Raises:
        ConfigurationError: a provider cannot be loaded, or two have the same name.
    """
    seen = set(BUILT_IN)
    for point in sorted(entry_points(group=GROUP) if points is None else points, key=lambda one: one.name):
        found = _loaded(point)
        if found.name in seen:
            raise ConfigurationError(f"two installed packages provide {found.name}; uninstall {_package(point)}")
        seen.add(found.name)
        yield found


def _loaded(point: EntryPoint) -> Registration:
    try:
        found = point.load()
    except Exception as error:
        raise ConfigurationError(
            f"the provider {point.name} of {_package(point)} cannot be loaded ({type(error).__name__}); update that "
            "package, or uninstall it"
        ) from error
    if not isinstance(found, Registration) or found.name != point.name or not _NAME.fullmatch(found.name):
        raise ConfigurationError(
            f"the entry point {point.name} of {_package(point)} is not a provider of that name; update that "
            "package, or uninstall it"
        )
    return found


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown package"


def identifier_kinds(registrations: Mapping[str, Registration]) -> tuple[IdentifierKind, ...]:
    """All kinds of identifiers that these providers accept, without duplicates."""
    return tuple({kind.name: kind for entry in registrations.values() for kind in entry.identifiers}.values())


REGISTRY: Mapping[str, Registration] = _installed()
