"""Reads settings as text, by upper-case name, from the environment and one `.env` file; resolves `file:` references.

Values are literal: nothing inside them is expanded. The environment wins over the file. An empty value counts as
absent.
"""

import io
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from connector.config.problems import SettingProblem
from connector.core.invisible import visible
from connector.core.spelling import did_you_mean

ENV_FILE = ".env"
PREFIXES = ("CONNECTOR_", "HUBSPOT_")  # each CRM and each provider adds its own
TEST_PREFIX = "CONNECTOR_TEST_"  # the test suite's own variables
MAX_ENV_FILE_BYTES = 64_000  # a file with every setting and comments has about 6,000
MAX_LINE_CHARACTERS = 4_000  # the parser is quadratic in the blanks of a line; a long token has about 2,000
ALIKE = 0.75  # similarity for a suggestion; all names share a prefix, so they are always somewhat similar
ALMOST = 0.9  # similarity from which a name without one of our prefixes counts as a misspelt setting
MAX_VALUE_FILE_BYTES = 64_000
_FILE = "file:"
_SIGNS_OF_A_VALUE = ("@", "://", "=", "?")  # signs that a `file:` reference contains the value itself or an address
# Kubernetes adds variables for every Service of the namespace to the environment: a Service called "connector" creates
# CONNECTOR_PORT and CONNECTOR_SERVICE_HOST (Kubernetes, "Accessing the Service").
_OF_KUBERNETES = re.compile(
    r"(_SERVICE_HOST|_SERVICE_PORT(_\w+)?|_PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$"
)
_NAME = re.compile(r"[A-Za-z0-9_]*")
_NAME_LIKE = re.compile(r"[A-Z0-9_. -]*")  # `CONNECTOR-DATABASE.URL`; after any other character a value may begin


class OurNames:
    """Recognises the names of the connector's settings.

    Args:
        prefixes: each name begins with one of them.
    """

    def __init__(self, prefixes: tuple[str, ...]) -> None:
        self._prefixes = prefixes
        words = "|".join(prefix.removesuffix("_") for prefix in prefixes)
        self._in_a_value = re.compile(rf"(?<![A-Za-z0-9_])(?:{words})_[A-Z0-9_]+(?=\s*=)")
        self._in_a_name = re.compile(rf"(?<![A-Z0-9_])(?:{words})[^A-Z0-9].+")

    def has(self, name: str) -> bool:
        """Whether the name has one of the prefixes."""
        return name.upper().startswith(self._prefixes) and not name.upper().startswith(TEST_PREFIX)

    def in_value(self, value: str) -> str | None:
        """The name of a setting that is assigned inside another one's value; None if there is none."""
        found = self._in_a_value.search(value)
        return found.group() if found else None

    def meant(self, name: str) -> str | None:
        """The setting that a name in another language's syntax refers to, such as `$env:LENSMOR_ACCOUNT`."""
        found = None if name.upper().startswith(self._prefixes) else self._in_a_name.search(name.upper())
        return re.sub(r"[^A-Z0-9]+", "_", _like_a_name(found.group())).strip("_") if found else None


@dataclass(frozen=True)
class Values:
    """The text of every setting with one of our prefixes.

    Attributes:
        texts: by upper-case name; empty values are left out.
        names: every name, as written, including those with an empty value.
        others: the names in the file that have none of our prefixes.
        problems: unreadable lines and references.
    """

    texts: Mapping[str, str] = field(repr=False)
    names: tuple[str, ...]
    others: tuple[str, ...]
    problems: tuple[SettingProblem, ...]

    def unknown(self, known: Collection[str]) -> Iterator[SettingProblem]:
        """Problems with names that have one of our prefixes but are no settings, and with misspelt prefixes."""
        for name in self.names:
            if name.upper() not in known:
                hint = did_you_mean(_start_of(name).upper(), known, ALIKE)
                yield SettingProblem(
                    _start_of(name), f"there is no such setting; {hint or 'remove it, or check its name'}"
                )
        for name in self.others:
            hint = did_you_mean(name.upper(), known, ALMOST)
            if hint:
                yield SettingProblem(name, f"there is no such setting; {hint}")


def env_file_here() -> Path | None:
    """`.env` in the working directory, if there is one."""
    path = Path.cwd() / ENV_FILE
    return path if path.is_file() else None


def read_values(
    env_file: Path | None, environment: Mapping[str, str] | None = None, prefixes: tuple[str, ...] = PREFIXES
) -> Values:
    """Read the environment and the settings file.

    Args:
        env_file: the `.env` file in use; None if there is none.
        environment: replaces the environment of the process.
        prefixes: the prefixes of settings.
    """
    names = OurNames(prefixes)
    in_file, problems = _of_file(env_file, names) if env_file is not None else ({}, [])
    ours = {name: value for name, value in in_file.items() if names.has(name)}
    around = {
        visible(name): value
        for name, value in (os.environ if environment is None else environment).items()
        if names.has(visible(name)) and not _is_of_kubernetes(name)
    }
    texts = {**_upper(ours), **_upper(around)}
    folder = env_file.parent if env_file is not None else Path.cwd()
    found: dict[str, str] = {}
    for name, text in texts.items():
        if not text.startswith(_FILE):
            found[name] = text
            continue
        try:
            found[name] = _referred(text.removeprefix(_FILE), folder)
        except ValueError as error:
            problems.append(SettingProblem(name, str(error)))
    others = tuple(name for name in in_file if name not in ours)
    return Values(found, tuple(dict.fromkeys([*ours, *around])), others, tuple(problems))


def file_texts(env_file: Path | None) -> Mapping[str, str]:
    """Every value of the settings file by name, ours or not; unreadable lines are left out."""
    return _of_file(env_file, OurNames(PREFIXES))[0] if env_file is not None else {}


def _is_of_kubernetes(name: str) -> bool:
    return _OF_KUBERNETES.search(name) is not None


def _upper(values: Mapping[str, str]) -> dict[str, str]:
    """Index values by upper-case name. Empty ones are left out, so that they do not hide the file's values."""
    return {name.upper(): text.strip() for name, text in values.items() if text.strip()}


def _of_file(path: Path, names: OurNames) -> tuple[dict[str, str], list[SettingProblem]]:
    """The values of a `.env` file by name, and a problem for each line that cannot be read or would have no effect."""
    try:
        text = _text(path)
    except ValueError as error:
        return {}, [SettingProblem(str(path), str(error))]
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    problems: list[SettingProblem] = []
    for binding in parse_stream(io.StringIO(text)):
        name, line = visible((binding.key or "").strip("'\"")), binding.original.line + _blank_lines(binding)
        wrong = _wrong(binding, name, lines, names)
        if wrong:
            problems.append(SettingProblem(f"{path}:{line}", wrong))
        elif name and binding.value is not None:
            values[name] = binding.value.strip()
            lines[name.upper()] = line
    return values, problems


def _text(path: Path) -> str:
    """Read the text of a settings file.

    Raises:
        ValueError: the file cannot be read, or is not a settings file; the message gives the reason.
    """
    try:
        if path.stat().st_size > MAX_ENV_FILE_BYTES:
            raise ValueError(f"is too large for a settings file; the limit is {MAX_ENV_FILE_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"the settings file {path} cannot be read (it is not UTF-8 text)") from error
    except OSError as error:
        raise ValueError(f"the settings file {path} cannot be read ({type(error).__name__})") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > MAX_LINE_CHARACTERS:
            raise ValueError(
                f"line {number} has more than {MAX_LINE_CHARACTERS:,} characters; no setting needs that many"
            )
    return text


def _wrong(binding: Binding, name: str, lines: Mapping[str, int], names: OurNames) -> str | None:
    """The problem with a line of the settings file; another program's line counts only if it contains a setting."""
    within, meant = names.in_value(binding.value or ""), names.meant(name)
    if binding.error:
        return "this line cannot be read; write NAME=value, with matching quotes"
    if names.has(name) and _start_of(name) != name:
        return f"a character after {_start_of(name)} is not allowed in a name; write {_start_of(name)}=value"
    if within:
        return f"{within}= is inside the value of {name}; put it on its own line"
    if meant:
        return f"the name has characters that are not allowed; write {meant}=value"
    return _wrong_setting(binding, name, lines) if names.has(name) else None


def _wrong_setting(binding: Binding, name: str, lines: Mapping[str, int]) -> str | None:
    if binding.value is None:
        return f"{name} has no '='; write {name}=value"
    if name.upper() in lines:
        return f"{name} is already set in line {lines[name.upper()]}; keep one of them"
    return None


def _like_a_name(text: str) -> str:
    found = _NAME_LIKE.match(text)
    return found[0] if found is not None else ""


def _start_of(name: str) -> str:
    """The valid start of a name. The rest may be part of its value, which is never shown."""
    found = _NAME.match(name)
    return found[0] if found is not None else ""


def _blank_lines(binding: Binding) -> int:
    """The number of empty lines and comments that the parser includes in the binding after them."""
    before = binding.original.string
    return before[: len(before) - len(before.lstrip())].count("\n")


def _referred(place: str, folder: Path) -> str:
    """Read the value from the file that a `file:` reference names.

    Raises:
        ValueError: the file cannot be used; the message gives the reason and the remedy.
    """
    path = folder / place.removeprefix("//").strip()
    shown = "" if any(sign in place for sign in _SIGNS_OF_A_VALUE) else f": {path}"
    remedy = "write file: and the path of a file that contains only the value"
    try:
        if path.stat().st_size > MAX_VALUE_FILE_BYTES:
            raise ValueError(f"the file that it refers to is too large; {remedy}")
        text = path.read_bytes().decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"the file that it refers to is not UTF-8 text; {remedy}") from error
    except OSError as error:
        raise ValueError(
            f"the file that it refers to cannot be read ({type(error).__name__}){shown}; {remedy}"
        ) from error
    if not text.strip():
        raise ValueError(f"the file that it refers to is empty{shown}; {remedy}")
    if "\n" in text or "\r" in text:
        raise ValueError(f"the file that it refers to has more than one line{shown}; {remedy}")
    return text.strip()
