"""Ids of records as people give them: in files, as `--ids` takes them, and one by one."""

from collections.abc import Sequence
from pathlib import Path

from connector.core.errors import ConfigurationError
from connector.core.id_file import IdFile, IdFileError
from connector.core.mapping import MappingFile
from connector.crm.registry import CRMS

MAX_BYTES = 200_000_000


def read_id_file(path: Path, mappings: Sequence[MappingFile]) -> IdFile:
    """The ids of the mappings' objects in a file.

    Raises:
        ConfigurationError: it cannot be read, or has no ids.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError(f"{path} is too large for a list of ids; split it")
        raw = path.read_bytes()
    except OSError as error:
        words = "it must be a text file with an id a line, or a report exported as CSV"
        raise ConfigurationError(f"{path} cannot be read ({type(error).__name__}); {words}") from error
    try:
        return CRMS[mappings[0].crm].ids.parse_file(raw, [mapping.object for mapping in mappings])
    except IdFileError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def may_be_of(mapping: MappingFile, record_id: str) -> bool:
    """Whether an id can be one of the mapping's object."""
    return record_id.startswith(CRMS[mapping.crm].ids.prefix_of(mapping.object) or "")


def spellings(record_id: str) -> set[str]:
    """Every form in which some CRM may write an id."""
    return set().union(*(entry.ids.spellings(record_id) for entry in CRMS.values()))
