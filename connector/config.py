"""Settings from the environment or a `.env` file, and mapping files with errors that name file, line and key."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from croniter import CroniterBadDateError, croniter
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from connector.core.errors import ConfigurationError, MappingError
from connector.core.mapping import PATTERN_WORDS, Finding, KeyPath, MappingFile, check
from connector.core.model import Channel

S = TypeVar("S", bound=BaseSettings)
DEFAULT_API_VERSION = "67.0"  # Summer '26
_API_VERSION = r"^[0-9]{2,3}\.0$"
ENV_FILE = ".env"


class Settings(BaseSettings):
    """What is not a vendor's: Salesforce, the ledger, and how the connector behaves."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    salesforce_instance_url: str = ""
    salesforce_client_id: str | None = None
    salesforce_client_secret: SecretStr | None = None
    salesforce_username: str | None = None
    salesforce_private_key_file: Path | None = None
    salesforce_access_token: SecretStr | None = None
    salesforce_api_version: str = Field(default=DEFAULT_API_VERSION, pattern=_API_VERSION)
    salesforce_api_reserve_percent: int = Field(default=20, ge=0, le=99)
    connector_database_url: str = ""
    connector_secret_key: SecretStr | None = None
    connector_poll_seconds: Annotated[tuple[float, ...], NoDecode] = (3.0, 5.0, 10.0, 20.0)
    connector_wait_seconds: float = Field(default=900.0, ge=0, le=86_400)
    connector_time_scale: float = Field(default=1.0, gt=0, le=1)
    connector_undo_days: int = Field(default=30, ge=0, le=3650)
    connector_public_url: str = ""
    connector_trigger_token: SecretStr | None = None
    connector_outbound_message_secret: SecretStr | None = None
    connector_salesforce_org_id: str = ""

    @field_validator("connector_poll_seconds", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            seconds = tuple(float(part) for part in value.split(","))
        except ValueError as error:
            raise ValueError("write seconds separated by commas, such as 3,5,10,20") from error
        if not seconds or any(not 0 < second <= 3600 for second in seconds):
            raise ValueError("each of them must be above 0 and at most 3600 seconds")
        return seconds


def read_settings(model: type[S], env_file: Path | None) -> S:
    """Read one group of settings.

    Raises:
        ConfigurationError: naming each setting that is wrong, never its value.
    """
    build: Any = model  # pydantic-settings takes the file as an argument that its types do not know
    try:
        settings: S = build(_env_file=env_file, _env_file_encoding="utf-8")
    except ValidationError as error:
        lines = [f"{_setting_name(model, problem['loc'])}: {_setting_words(problem)}" for problem in error.errors()]
        raise ConfigurationError("\n".join(lines)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the settings file {env_file} cannot be read ({type(error).__name__})") from error
    return settings


def _setting_name(model: type[BaseSettings], loc: tuple[int | str, ...]) -> str:
    name = str(loc[0]) if loc else "settings"
    prefix = str(model.model_config.get("env_prefix") or "")
    return name if name.isupper() else f"{prefix}{name}".upper()


def _setting_words(problem: Any) -> str:  # noqa: ANN401 pydantic's error
    if problem.get("ctx", {}).get("pattern") == _API_VERSION:
        return f"must be a version such as {DEFAULT_API_VERSION}"
    return _plain(problem["msg"])


def env_file_here() -> Path | None:
    """`.env` in the working directory, if there is one."""
    path = Path.cwd() / ENV_FILE
    return path if path.is_file() else None


def is_loopback(url: str) -> bool:
    """Whether an address stays on this machine."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host in {"localhost", "::1"} or (host.startswith("127.") and host.replace(".", "").isdecimal())


def check_url(name: str, url: str) -> str:
    """An address without a slash at the end; https, except on this machine.

    Raises:
        ConfigurationError: naming the setting.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigurationError(f"{name} must be a web address such as https://example.com")
    if parts.scheme == "http" and not is_loopback(url):
        raise ConfigurationError(f"{name} must start with https:// (http is only for this machine's own addresses)")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(f"{name} must be a plain address, without user, query or fragment")
    return url.rstrip("/")


# -- mapping files ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LoadedMapping:
    """A mapping file with its places, so that later findings can name line and key too."""

    path: Path
    mapping: MappingFile
    document: Any

    def place(self, key: KeyPath) -> str:
        """`file:line: key`, as far as the file has it."""
        return _place(self.path, self.document, key)


def load_mapping(name: str, offers: Mapping[str, frozenset[Channel]]) -> LoadedMapping:
    """Read a mapping by path, or by the name of a file in `mappings/`.

    Args:
        name: what `-m` was given.
        offers: the channels that each known provider sells.

    Raises:
        MappingError: one line per problem, with file, line, key and remedy.
    """
    path = find_mapping(name)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise MappingError([f"{path}: this is not UTF-8 text; save the file as UTF-8"]) from error
    except OSError as error:
        raise MappingError([f"{path}: cannot be read ({type(error).__name__}); check its permissions"]) from error
    document = _parse(path, text)
    if not isinstance(document, dict):
        raise MappingError([f"{path}:1: this is not a mapping file; begin with 'version: 1'"])
    try:
        mapping = MappingFile.model_validate(_plain_data(document))
    except ValidationError as error:
        raise MappingError(_schema_lines(path, document, error)) from None
    findings = check(mapping, offers)
    if mapping.schedule is not None and not _comes(mapping.schedule):
        findings = [*findings, Finding(("schedule",), "must be a cron expression such as '*/15 * * * *' (UTC)")]
    if findings:
        raise MappingError([f"{_place(path, document, found.path)}: {found.message}" for found in findings])
    return LoadedMapping(path, mapping, document)


def _comes(schedule: str) -> bool:
    """Whether it is a schedule, and its time ever comes: the 30th of February never does."""
    if not croniter.is_valid(schedule):
        return False
    try:
        croniter(schedule, datetime.now(UTC)).get_next(datetime)
    except CroniterBadDateError:
        return False
    return True


def find_mapping(name: str) -> Path:
    """The file that `-m` means: a path, or a name in the working directory's or the shipped `mappings/`.

    Raises:
        MappingError: there is no such file.
    """
    given = Path(name)
    if given.is_file():
        return given
    if given.is_dir() and os.sep in name:
        raise MappingError([f"{name}: this is a folder; give a mapping file in it"])
    if name.endswith((".yaml", ".yml")) or os.sep in name:
        raise MappingError([f"{name}: there is no such file; give a path, or a name such as lead"])
    folders = [Path.cwd() / "mappings", Path(__file__).parent / "_mappings", Path(__file__).parent.parent / "mappings"]
    for folder in folders:
        path = folder / f"{name}.yaml"
        if path.is_file():
            return _short(path)
    raise MappingError([f"there is no mapping {name!r}: neither a file of that path nor mappings/{name}.yaml"])


def _short(path: Path) -> Path:
    cwd = Path.cwd()
    return path.relative_to(cwd) if path.is_relative_to(cwd) else path


def _parse(path: Path, text: str) -> Any:  # noqa: ANN401 YAML
    yaml = YAML(typ="rt")
    try:
        return yaml.load(text)
    except DuplicateKeyError as error:
        line = (error.problem_mark.line + 1) if error.problem_mark else 1
        key = str(error.problem or "").partition('"')[2].partition('"')[0] or "a key"
        raise MappingError([f"{path}:{line}: {key}: this key stands twice; keep one of them"]) from error
    except MarkedYAMLError as error:
        line = (error.problem_mark.line + 1) if error.problem_mark else 1
        start = (error.context_mark.line + 1) if error.context_mark else line
        begun = f", in what begins in line {start}" if start != line else ""
        words = f"this is not valid YAML ({error.problem}{begun}); check indentation, brackets and quotes"
        raise MappingError([f"{path}:{line}: {words}"]) from error
    except YAMLError as error:
        raise MappingError([f"{path}:1: this is not valid YAML; it holds characters that no text file has"]) from error


def _plain_data(node: Any) -> Any:  # noqa: ANN401 YAML
    """The loader's round-trip types as plain ones, for strict validation."""
    if isinstance(node, dict):
        return {str(key): _plain_data(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain_data(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return str(node)


def _schema_lines(path: Path, document: Any, error: ValidationError) -> list[str]:  # noqa: ANN401 YAML
    """One line per key: of several findings the first, and what is wrong inside a key hides what is wrong with it."""
    problems: dict[KeyPath, Any] = {}
    for problem in error.errors():
        problems.setdefault(tuple(part for part in problem["loc"] if part not in _UNION_TAGS), problem)
    return [
        f"{_place(path, document, loc)}: {_problem_words(loc, problem)}"
        for loc, problem in problems.items()
        if not any(other[: len(loc)] == loc for other in problems if other != loc)
    ]


def _problem_words(loc: KeyPath, problem: Any) -> str:  # noqa: ANN401 pydantic's error
    kind, given, facts = problem["type"], problem["input"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key; {_known_keys(loc)}"
    if kind == "model_type":
        return f"must hold keys, each on a line of its own and indented; {_known_keys((*loc, ''))}"
    if kind == "string_type" and isinstance(given, int | float) and not isinstance(given, bool):
        return "must be text; put a number in quotes"
    if kind == "string_pattern_mismatch" and facts["pattern"] in PATTERN_WORDS:
        return PATTERN_WORDS[facts["pattern"]]
    return _WORDS[kind].format(**facts) if kind in _WORDS else _plain(problem["msg"])


_WORDS = {
    "missing": "this key is missing; add it",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "greater_than_equal": "must be {ge} or more",
    "tuple_type": "must be a list, such as [lensmor]",
    "dict_type": "must name each provider, such as {{lensmor: 3000}}",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}
_UNION_TAGS = {"constrained-str", "PicklistFlag", "FixedValue", "str"}


def _known_keys(loc: KeyPath) -> str:
    """The keys that the schema knows at the place of an unknown one."""
    model: Any = MappingFile
    for part in loc[:-1]:
        field = model.model_fields.get(str(part)) if isinstance(model, type) and issubclass(model, BaseModel) else None
        if field is None:
            break
        model = next((arg for arg in _types_in(field.annotation) if issubclass(arg, BaseModel)), None)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return "remove it"
    names = sorted(field.alias or name for name, field in model.model_fields.items())
    return f"known here: {', '.join(names)}"


def _types_in(annotation: Any) -> list[type]:  # noqa: ANN401 any annotation
    found = [annotation, *getattr(annotation, "__args__", ())]
    return [kind for kind in found if isinstance(kind, type)]


def _place(path: Path, document: Any, loc: KeyPath) -> str:  # noqa: ANN401 YAML
    """`file:line: key.path`; for a key that is not there, the line of its nearest parent."""
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


def _plain(message: str) -> str:
    """Pydantic's message in our words; it never holds the value."""
    text = message.removeprefix("Value error, ").replace("Input should be ", "must be ")
    return text[0].lower() + text[1:]
