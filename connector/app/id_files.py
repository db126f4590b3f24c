"""Record ids that people enter: in the file of `--ids`, and singly."""

from collections.abc import Sequence
from pathlib import Path

from connector.core.errors import ConfigurationError
from connector.core.id_file import IdFile, IdFileError
from connector.core.mapping import MappingFile
from connector.crm.registry import CRMS

MAX_BYTES = 200_000_000


def read_id_file(path: Path, mappings: Sequence[MappingFile]) -> IdFile:
    """Read the ids of the mappings' objects from a file.

    Raises:
        ConfigurationError: the file cannot be read, or has no ids.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError(f"{path} is too large for a list of ids; split it")
        raw = path.read_bytes()
    except OSError as error:
        form = "it must be a text file with one id per line, or a report exported as CSV"
        raise ConfigurationError(f"{path} cannot be read ({type(error).__name__}); {form}") from error
    try:
        return CRMS[mappings[0].crm].ids.parse_file(raw, [mapping.object for mapping in mappings])
    except IdFileError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def may_be_of(mapping: MappingFile, record_id: str) -> bool:
    """Whether an id can belong to the mapping's object, judged by its form."""
    return record_id.startswith(CRMS[mapping.crm].ids.prefix_of(mapping.object) or "")


def spellings(record_id: str) -> set[str]:
    """Every form in which a CRM may write this id."""
    return set().union(*(entry.ids.spellings(record_id) for entry in CRMS.values()))
