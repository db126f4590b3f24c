"""Reads YAML with positions, within bounds: a small file can never become a large document.

The parser's events are counted before any data is built. Nesting, aliases and the number of values are limited, so that
a file of two kilobytes whose aliases refer to aliases costs nothing. Tags, merge keys and further documents are
refused: a mapping needs none of them, and each makes a file harder to read.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from connector.core.errors import MappingError

MAX_BYTES = 100_000  # the scanner takes quadratic time for some texts; a full mapping has about 5,000
MAX_EVENTS = 3_000  # a mapping with every key has about 150
MAX_DEPTH = 20  # a mapping needs 5
MAX_BRACKETS = 500  # the scanner takes quadratic time for nested ones before its first event
MAX_ALIASES = 50
MAX_VALUES = 5_000  # counted with every alias replaced by its content
# A comment, or a quoted text that may lack its closing quote.
_COMMENT_OR_QUOTED = re.compile(
    r"""(?:^|(?<=\s))\#.*|(?<=[\s:\-\[{,])(?P<quoted>"(?:[^"\\]|\\.)*(?:"|\Z)|'(?:[^']|'')*(?:'|\Z))""", re.MULTILINE
)
_KEY_ALONE = re.compile(r"(\s*)([\w-]+)\s*:\s*(?:\#.*)?")


def read_yaml(path: Path) -> Any:  # noqa: ANN401 YAML
    """Read a file as one plain YAML document with ruamel's positions.

    Raises:
        MappingError: the file cannot be read, or is not such a document; the message names file and line.
    """
    text = _text(path)
    yaml = YAML(typ="rt")
    try:
        _check_events(path, yaml, text)
        return yaml.load(text)
    except DuplicateKeyError as error:
        key = str(error.problem or "").partition('"')[2].partition('"')[0] or "a key"
        too_deep = _too_deep(text.splitlines(), _line(error))
        if too_deep:
            remedy = "wrong indentation: indent it less, or indent its own keys further"
            raise MappingError([f"{path}:{too_deep[0]}: {too_deep[1]}: {remedy}"]) from error
        raise MappingError([f"{path}:{_line(error)}: {key}: this key appears twice; keep one of them"]) from error
    except MarkedYAMLError as error:
        opened = _open_quote(text, _line(error))
        if opened:
            problem = "this is not valid YAML: the quote that begins here is not closed in its line; close it"
            raise MappingError([f"{path}:{opened}: {problem}"]) from error
        raise MappingError([f"{path}:{_line(error)}: {_marked(error)}"]) from error
    except YAMLError as error:
        raise MappingError(
            [f"{path}:1: this is not valid YAML; it contains characters that no text file has"]
        ) from error
    except (ValueError, ArithmeticError, RecursionError) as error:  # numbers and dates that Python cannot represent
        raise MappingError([f"{path}:1: a value cannot be read ({type(error).__name__}); put it in quotes"]) from error


def plain_data(path: Path, node: Any) -> Any:  # noqa: ANN401 YAML
    """Convert the loader's round-trip types to plain ones, for strict validation.

    Raises:
        MappingError: the aliases make the document too large, or an anchor contains itself.
    """
    return _Plain(path).of(node, 0)


class _Plain:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = MAX_VALUES

    def of(self, node: Any, depth: int) -> Any:  # noqa: ANN401 YAML
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise MappingError([f"{self._path}:1: its aliases (*name) make the file too large; write the values out"])
        if isinstance(node, dict):
            return {str(key): self.of(value, depth + 1) for key, value in node.items()}
        if isinstance(node, list):
            return [self.of(value, depth + 1) for value in node]
        if isinstance(node, bool) or node is None:
            return node
        for kind in (int, float, str):
            if isinstance(node, kind):
                return kind(node)
        return str(node)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise MappingError([f"{path}: cannot be read ({type(error).__name__}); check its permissions"]) from error
    if len(raw) > MAX_BYTES:
        raise MappingError([f"{path}: this is not a mapping file; it has more than {MAX_BYTES:,} bytes"])
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MappingError([f"{path}: this is not UTF-8 text; save the file as UTF-8"]) from error


def _check_events(path: Path, yaml: YAML, text: str) -> None:
    """Refuse anything that a mapping never needs; the error names its line."""
    if text.count("[") + text.count("{") > MAX_BRACKETS:
        raise MappingError([f"{path}:1: the file has more than {MAX_BRACKETS} brackets; one file is one mapping"])
    depth, aliases, documents = 0, 0, 0

    def refuse(event: Event, problem: str) -> MappingError:
        return MappingError([f"{path}:{event.start_mark.line + 1}: {problem}"])

    for count, event in enumerate(yaml.parse(text)):
        opens = isinstance(event, MappingStartEvent | SequenceStartEvent)
        depth += opens - isinstance(event, MappingEndEvent | SequenceEndEvent)
        aliases += isinstance(event, AliasEvent)
        documents += isinstance(event, DocumentStartEvent)
        if count > MAX_EVENTS:
            raise refuse(event, f"the file has more than {MAX_EVENTS:,} values; one file is one mapping")
        if depth > MAX_DEPTH:
            raise refuse(event, "the values are nested too deeply; check brackets and indentation")
        if aliases > MAX_ALIASES:
            raise refuse(event, f"the file has more than {MAX_ALIASES} aliases (*name); write the values out")
        if documents > 1:
            raise refuse(event, "a second document begins here (---); one file is one mapping")
        _check_value(event, refuse)


def _check_value(event: Event, refuse: Callable[[Event, str], MappingError]) -> None:
    tag = getattr(event, "tag", None)
    if tag is not None and str(tag) != "!":
        raise refuse(event, "tags (!...) are not supported; remove the tag and write the plain value")
    if isinstance(event, ScalarEvent) and event.value == "<<" and event.style is None:
        raise refuse(event, "merge keys (<<) are not supported; write the keys out")


def _line(error: MarkedYAMLError) -> int:
    return (error.problem_mark.line + 1) if error.problem_mark else 1


def _marked(error: MarkedYAMLError) -> str:
    line = _line(error)
    start = (error.context_mark.line + 1) if error.context_mark else line
    begun = f", in the part that begins in line {start}" if start != line else ""
    problem = str(error.problem or "")
    if "alias" in str(error.context or "") and "alphabetic" in problem:
        return 'this is not valid YAML: a value that begins with * needs quotes, such as "*/15 * * * *"'
    return f"this is not valid YAML ({problem}{begun}); check indentation, brackets and quotes"


def _too_deep(lines: list[str], repeated: int) -> tuple[int, str] | None:
    """Find a key that is indented among the keys of another one, so that its own keys repeat theirs.

    Args:
        lines: the lines of the file.
        repeated: the line number of the first repeated key.

    Returns:
        The line number and the name of the key; None if there is none.
    """
    depth = len(lines[repeated - 1]) - len(lines[repeated - 1].lstrip())
    for number in range(repeated - 1, 0, -1):
        line = lines[number - 1]
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        alone = _KEY_ALONE.fullmatch(line)
        indent = len(line) - len(line.lstrip())
        if indent < depth:
            return None
        if indent == depth:
            return (number, alone.group(2)) if alone else None
    return None


def _open_quote(text: str, line: int) -> int | None:
    """The line of a quote that lacks its partner, so that the error appears only after the next quote; None if none.

    Args:
        text: the text of the file.
        line: the line of the error.
    """
    begin, at = 1, 0
    for match in _COMMENT_OR_QUOTED.finditer(text):
        begin, at = begin + text.count("\n", at, match.start()), match.start()
        quoted = match.group("quoted")
        if quoted and "\n" in quoted.rstrip() and line == begin + quoted.count("\n"):
            return begin
    return None
