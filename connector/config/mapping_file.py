"""Reads and checks mapping files, and keeps the place of every key for later error messages."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from connector.config.finding import find_mapping
from connector.config.mapping_words import schema_problems
from connector.config.schedule import schedule_problem
from connector.config.yaml_text import plain_data, read_yaml
from connector.core.errors import MappingError
from connector.core.mapping import Catalog, MappingFile
from connector.core.mapping_base import KeyPath
from connector.core.mapping_checks import Finding, check


@dataclass(frozen=True)
class LoadedMapping:
    """A mapping with the places of its keys, so that later error messages can name file, line and key."""

    path: Path
    mapping: MappingFile
    document: Any

    def place(self, key: KeyPath) -> str:
        """The place of a key as `file:line: key`; a missing key has the line of its nearest parent."""
        return _place(self.path, self.document, key)


def load_mapping(name: str, catalog: Catalog, folder: Path | None = None) -> LoadedMapping:
    """Read the mapping that `-m` names.

    Args:
        name: a path, or the name of a file in `mappings/`.
        catalog: the providers and identifiers that the mapping may name.
        folder: the folder of the settings file in use; by default the working directory.

    Raises:
        MappingError: one line per problem, with file, line, key and remedy.
    """
    path = find_mapping(name, folder)
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise MappingError([f"{path}:1: this is not a mapping file; begin with 'version: 1'"])
    try:
        mapping = catalog.model.model_validate(plain_data(path, document))
    except ValidationError as error:
        problems = [f"{_place(path, document, loc)}: {words}" for loc, words in schema_problems(error, catalog.model)]
        raise MappingError(problems) from None
    findings = check(mapping, catalog.offers)
    unusable = schedule_problem(mapping.schedule) if mapping.schedule is not None else None
    if unusable:
        findings = [*findings, Finding(("schedule",), unusable)]
    if findings:
        raise MappingError([f"{_place(path, document, found.path)}: {found.message}" for found in findings])
    return LoadedMapping(path, mapping, document)


def _place(path: Path, document: Any, loc: KeyPath) -> str:  # noqa: ANN401 YAML
    """The place of a key as `file:line: key.path`; a missing key has the line of its nearest parent."""
    line, node = 1, document
    for part in loc:
        try:
            marks = getattr(node, "lc", None)  # ruamel's line and column of each key and item
            if marks is not None:
                line = (marks.key(part) if isinstance(node, dict) else marks.item(part))[0] + 1
            node = node[part]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    key = ".".join(str(part) for part in loc)
    return f"{path}:{line}: {key}" if key else f"{path}:{line}"
