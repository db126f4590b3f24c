"""Files with record ids, as `--ids` takes them."""

from collections.abc import Sequence
from pathlib import Path

from connector.core.errors import ConfigurationError
from connector.core.id_file import IdFile, IdFileError, decode, parse_ids
from connector.crm.salesforce.ids import prefix_of, to_18

MAX_BYTES = 200_000_000


def read_id_file(path: Path, objects: Sequence[str]) -> IdFile:
    """The ids of these objects in a file.

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
        return parse_ids(decode(raw), to_18, {name: prefix_of(name) for name in objects})
    except IdFileError as error:
        raise ConfigurationError(f"{path}: {error}") from error
