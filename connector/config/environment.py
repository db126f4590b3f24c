"""Settings as text: the environment over one `.env` file, with `file:` references read, by upper-case name.

Every value is taken literally: nothing inside it is expanded. The environment wins over the file, and an empty value
is no value.
"""

import io
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from connector.config.problems import SettingProblem
from connector.core.spelling import did_you_mean

ENV_FILE = ".env"
PREFIXES = ("CONNECTOR_", "LENSMOR_", "SALESFINITY_", "SALESFORCE_", "HUBSPOT_")
TEST_PREFIX = "CONNECTOR_TEST_"  # the test suite's own variables
MAX_ENV_FILE_BYTES = 1_000_000
ALIKE = 0.75  # all names share a prefix, and so are somewhat alike
MAX_VALUE_FILE_BYTES = 64_000
_FILE = "file:"
# Kubernetes puts the address of every Service of the namespace into the environment, by the Service's name: a Service
# called "connector" makes CONNECTOR_PORT and CONNECTOR_SERVICE_HOST (Kubernetes, "Accessing the Service").
_OF_KUBERNETES = re.compile(
    r"(_SERVICE_HOST|_SERVICE_PORT(_\w+)?|_PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$"
)


@dataclass(frozen=True)
class Values:
    """The text of every setting with one of our prefixes.

    Attributes:
        texts: by upper-case name; empty values are left out.
        names: every name that was found, as it was written, empty ones included.
        problems: lines and references that cannot be read.
    """

    texts: Mapping[str, str] = field(repr=False)
    names: tuple[str, ...]
    problems: tuple[SettingProblem, ...]

    def unknown(self, known: Collection[str]) -> Iterator[SettingProblem]:
        """Names with one of our prefixes that are not settings."""
        for name in self.names:
            if name.upper() not in known:
                hint = did_you_mean(name.upper(), known, ALIKE)
                yield SettingProblem(name, f"there is no such setting; {hint or 'remove it, or check its name'}")


def env_file_here() -> Path | None:
    """`.env` in the working directory, if there is one."""
    path = Path.cwd() / ENV_FILE
    return path if path.is_file() else None


def read_values(env_file: Path | None, environment: Mapping[str, str] | None = None) -> Values:
    """Read the environment and the settings file.

    Args:
        env_file: the `.env` file in use; None when there is none.
        environment: instead of the process's own.
    """
    in_file, problems = _of_file(env_file) if env_file is not None else ({}, [])
    around = {
        name: value
        for name, value in (os.environ if environment is None else environment).items()
        if _is_ours(name) and not _is_of_kubernetes(name)
    }
    texts = {**_upper(in_file), **_upper(around)}
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
    return Values(found, tuple(dict.fromkeys([*in_file, *around])), tuple(problems))


def _is_ours(name: str) -> bool:
    return name.upper().startswith(PREFIXES) and not name.upper().startswith(TEST_PREFIX)


def _is_of_kubernetes(name: str) -> bool:
    return _OF_KUBERNETES.search(name) is not None


def _upper(values: Mapping[str, str]) -> dict[str, str]:
    """By upper-case name, without the empty ones: an empty variable does not hide the file's value."""
    return {name.upper(): text.strip() for name, text in values.items() if text.strip()}


def _of_file(path: Path) -> tuple[dict[str, str], list[SettingProblem]]:
    """The settings of a `.env` file that are ours, and the lines that cannot be read."""
    try:
        if path.stat().st_size > MAX_ENV_FILE_BYTES:
            return {}, [SettingProblem(str(path), "is too large for a settings file")]
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else type(error).__name__
        return {}, [SettingProblem(str(path), f"the settings file {path} cannot be read ({why})")]
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    problems: list[SettingProblem] = []
    for binding in parse_stream(io.StringIO(text)):
        line = binding.original.line + _blank_lines(binding)
        place = f"{path}:{line}"
        name = (binding.key or "").strip("'\"")
        if binding.error:
            problems.append(SettingProblem(place, "this line cannot be read; write NAME=value, with matching quotes"))
        elif not name or not _is_ours(name):
            continue
        elif binding.value is None:
            problems.append(SettingProblem(place, f"{name} has no '='; write {name}=value"))
        elif name.upper() in lines:
            words = f"{name} is set in line {lines[name.upper()]} already; keep one of them"
            problems.append(SettingProblem(place, words))
        else:
            values[name] = binding.value.strip()
            lines[name.upper()] = line
    return values, problems


def _blank_lines(binding: Binding) -> int:
    """Empty lines and comments that the parser counts to the binding behind them."""
    before = binding.original.string
    return before[: len(before) - len(before.lstrip())].count("\n")


def _referred(place: str, folder: Path) -> str:
    """The text of a file that a value refers to.

    Raises:
        ValueError: there is none that can be used.
    """
    path = folder / place.removeprefix("//").strip()
    remedy = "write file: and the path of a file with the value alone"
    try:
        if path.stat().st_size > MAX_VALUE_FILE_BYTES:
            raise ValueError(f"the file that it refers to is too large; {remedy}")
        text = path.read_bytes().decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"the file that it refers to is not UTF-8 text; {remedy}") from error
    except OSError as error:
        raise ValueError(
            f"the file that it refers to cannot be read ({type(error).__name__}): {path}; {remedy}"
        ) from error
    if not text.strip():
        raise ValueError(f"the file that it refers to is empty: {path}; {remedy}")
    if "\n" in text or "\r" in text:
        raise ValueError(f"the file that it refers to has more than one line: {path}; {remedy}")
    return text.strip()
