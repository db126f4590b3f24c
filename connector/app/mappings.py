"""Loads the mapping files of a command and collects every problem with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from connector.config.mapping_file import LoadedMapping, load_mapping
from connector.core.errors import MappingError
from connector.core.identifiers import IdentifierKind
from connector.core.mapping import Catalog, mapping_model
from connector.crm.registry import CRMS
from connector.providers.registry import BUILT_IN, REGISTRY, identifier_kinds


def _added_kinds() -> tuple[IdentifierKind, ...]:
    known = {kind.name for kind in identifier_kinds(BUILT_IN)}
    return tuple(kind for kind in identifier_kinds(REGISTRY) if kind.name not in known)


CATALOG = Catalog(
    offers={name: entry.channels for name, entry in REGISTRY.items()},
    model=mapping_model(tuple(CRMS), identifier_kinds(BUILT_IN), _added_kinds()),
)


@dataclass(frozen=True)
class GivenMapping:
    """A loaded mapping file and the value of `-m` that named it."""

    given: str
    file: LoadedMapping


@dataclass(frozen=True)
class GivenMappings:
    """The mapping files of a command.

    Attributes:
        loaded: the usable ones.
        problems: one line per problem, with its place.
    """

    loaded: tuple[GivenMapping, ...]
    problems: tuple[str, ...]

    @property
    def providers(self) -> set[str]:
        """The names of all providers that the mappings buy from."""
        return {name for found in self.loaded for name in found.file.mapping.providers()}


def load_mappings(names: Sequence[str], folder: Path) -> GivenMappings:
    """Load every mapping file that `-m` names.

    Args:
        names: the values of `-m`.
        folder: the folder of the settings file in use, else the working directory.
    """
    loaded: list[GivenMapping] = []
    problems: list[str] = []
    for name in names:
        try:
            loaded.append(GivenMapping(name, load_mapping(name, CATALOG, folder)))
        except MappingError as error:
            problems += error.problems
    return GivenMappings(tuple(loaded), (*problems, *_same_names(loaded), *_shared_flags(loaded)))


def _same_names(loaded: Sequence[GivenMapping]) -> list[str]:
    seen: dict[str, LoadedMapping] = {}
    problems: list[str] = []
    for found in loaded:
        first = seen.setdefault(found.file.mapping.name, found.file)
        if first is not found.file:
            problems.append(
                f"{found.file.place(('name',))}: two of the mapping files have the same name (the other is "
                f"{first.path}); give each its own"
            )
    return problems


def _shared_flags(loaded: Sequence[GivenMapping]) -> list[str]:
    """Refuse a flag that two mappings share: one would clear the flag of a record that the other has deferred."""
    seen: dict[tuple[str, str, str], LoadedMapping] = {}
    problems: list[str] = []
    for found in loaded:
        mapping = found.file.mapping
        first = seen.setdefault(mapping.trigger, found.file)
        if first is not found.file and first.mapping.name != mapping.name:
            problems.append(
                f"{found.file.place(('select', 'flag'))}: {first.path} has the same flag, "
                f"{mapping.select.flag_field} of {mapping.object}; give each mapping a flag of its own"
            )
    return problems
