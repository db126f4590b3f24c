"""Resolves `-m` to a file: a path, or a name in `mappings/` beside the settings file. It searches nowhere else."""

import os
from pathlib import Path

from connector.core.errors import MappingError
from connector.core.spelling import nearest

FOLDER = "mappings"
SUFFIXES = (".yaml", ".yml")


def find_mapping(name: str, folder: Path | None = None) -> Path:
    """Find the file that `-m` names.

    Args:
        name: a path, or the name of a file in `mappings/`, with or without `.yaml` or `.yml`.
        folder: the folder of the settings file in use; by default the working directory.

    Raises:
        MappingError: there is no such file, or more than one; the message names the folders and the next step.
    """
    given = Path(name)
    if name and given.is_file():
        return given
    if given.is_dir() and (os.sep in name or name in {".", ".."}):
        raise MappingError([f"{name}: this is a folder; give the path of a mapping file in it"])
    if os.sep in name or not name.strip():
        raise MappingError([f"{name or '-m'}: there is no such file; give a path, or the name of a file in {FOLDER}/"])
    place = (folder or Path.cwd()) / FOLDER
    found = [path for path in _candidates(place, name) if path.is_file()]
    if len(found) > 1:
        both = " and ".join(str(_short(path)) for path in found)
        raise MappingError([f"-m {name} means both {both}; remove one of them, or give its path"])
    if found:
        return _short(found[0])
    raise MappingError([_nowhere(name, place)])


def _candidates(place: Path, name: str) -> list[Path]:
    if name.endswith(SUFFIXES):
        return [place / name]
    return [place / f"{name}{suffix}" for suffix in SUFFIXES]


def _nowhere(name: str, place: Path) -> str:
    """The message for a missing file: the folders searched, and the next step."""
    cwd = Path.cwd()
    start = f"there is no mapping {name!r}: {name} is not a file in {cwd}"
    if name.endswith(SUFFIXES):
        start = f"{name}: there is no such file in {cwd}"
    if not place.is_dir():
        return (
            f"{start}, and there is no folder {place}; run the command in the folder of your .env file, name that file "
            "with --env-file, or give the mapping's path"
        )
    here = sorted(path.stem for path in place.iterdir() if path.suffix in SUFFIXES and path.is_file())
    files = " or ".join(path.name for path in _candidates(place, name))
    near = nearest(name.removesuffix(".yaml").removesuffix(".yml"), here)
    hint = f"did you mean {near}? It" if near else "it"
    return f"{start}, and {place} has no {files}; {hint} has: {', '.join(here) or 'no mapping'}"


def _short(path: Path) -> Path:
    cwd = Path.cwd()
    return path.relative_to(cwd) if path.is_relative_to(cwd) else path
