"""Settings as typed values, each read under its documented name; all problems are reported together."""

import types
import typing
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from connector.config.environment import PREFIXES, read_values
from connector.config.problems import SettingProblem, raise_all
from connector.core.addresses import is_web_address
from connector.core.ages import LATE_EVIDENCE_KEPT
from connector.core.durations import parse_duration
from connector.core.numerals import decimal_number, whole_number
from connector.core.setting_group import SettingGroup

S = TypeVar("S", bound=SettingGroup)
LEAST_KEPT_DAYS = LATE_EVIDENCE_KEPT.days  # the longest fixed period of the rules


class Settings(SettingGroup):
    """The ledger, the server, and how the connector behaves: settings of no CRM and of no provider."""

    connector_database_url: str = Field(default="", repr=False)  # may contain a password
    connector_secret_key: SecretStr | None = None
    connector_poll_seconds: tuple[float, ...] | None = None  # of every provider; None: each has its own
    connector_wait_seconds: float = Field(default=900.0, ge=0, le=86_400)
    connector_time_scale: float = Field(default=1.0, gt=0, le=1)
    connector_undo_days: int = Field(default=30, ge=0, le=3650)
    connector_keep_days: int = Field(default=400, ge=LEAST_KEPT_DAYS, le=36_500)
    connector_public_url: str = ""
    connector_trigger_token: SecretStr | None = None
    connector_alert_webhook_url: SecretStr | None = None
    connector_alert_email: str = Field(default="", pattern=r"^([^@\s]+@[^@\s]+)?$")
    connector_smtp_url: SecretStr | None = None
    connector_alert_silence: timedelta = timedelta(days=2)

    @property
    def keep_days(self) -> int:
        """How long details are kept: by default at least as long as a run can be undone."""
        return max(self.connector_keep_days, self.connector_undo_days)

    @field_validator("connector_keep_days")
    @classmethod
    def _covers_undo(cls, value: int, info: ValidationInfo) -> int:
        undo_days = info.data.get("connector_undo_days", 0)
        if value < undo_days:
            raise ValueError(
                f"must be at least CONNECTOR_UNDO_DAYS ({undo_days:,}): a run can be undone only with its details"
            )
        return value

    @field_validator("connector_alert_silence", mode="before")
    @classmethod
    def _duration(cls, value: object) -> object:
        return parse_duration(value) if isinstance(value, str) else value

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
            raise ValueError("each must be above 0 and at most 3600 seconds")
        return seconds


class ReservedSettings(SettingGroup):
    """Documented settings without effect in this version; only their form is checked."""

    hubspot_access_token: SecretStr | None = None
    hubspot_base_url: str = Field(default="", pattern=r"^(https?://\S+)?$")
    hubspot_api_reserve_percent: int = Field(default=20, ge=0, le=99)

    @field_validator("hubspot_base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not is_web_address(value):
            raise ValueError("must be a web address such as https://example.com")
        return value


_PATTERN_MESSAGES = {
    r"^(https?://\S+)?$": "must be a web address such as https://example.com",
    r"^([^@\s]+@[^@\s]+)?$": "must be one email address",
}


def setting_names(model: type[SettingGroup]) -> dict[str, str]:
    """The documented name of each field of a group, such as LENSMOR_API_KEY for `api_key`."""
    special = model.documented_names()
    return {name: special.get(name, f"{model.prefix}{name}".upper()) for name in model.model_fields}


def read_group(model: type[S], texts: Mapping[str, str]) -> tuple[S, list[SettingProblem]]:
    """Build one group of settings; a wrong setting is reported and keeps its default.

    Args:
        model: the group.
        texts: values by documented name.
    """
    names = setting_names(model)
    problems: list[SettingProblem] = []
    given: dict[str, object] = {}
    for field, name in names.items():
        if name in texts:
            try:
                given[field] = _number(model.model_fields[field], texts[name])
            except ValueError as error:
                problems.append(SettingProblem(name, str(error)))
    try:
        settings = model.model_validate(given)
    except ValidationError as error:
        for problem in error.errors():
            field = _field_of(model, problem["loc"])
            problems.append(SettingProblem(names[field], _message(model, field, problem)))
            given.pop(field, None)
        settings = model.model_validate(given)
    return settings, problems


def read_settings(model: type[S], env_file: Path | None) -> S:
    """Read one group of settings from the environment and the settings file.

    Raises:
        ConfigurationError: one line for each wrong setting, never its value.
    """
    values = read_values(env_file, prefixes=tuple(filter(None, (*PREFIXES, model.prefix))))
    settings, problems = read_group(model, values.texts)
    raise_all([*values.problems, *problems])
    return settings


def _field_of(model: type[SettingGroup], loc: tuple[int | str, ...]) -> str:
    name = str(loc[0])
    if name not in model.model_fields:
        raise KeyError(f"{model.__name__} has no field {name}")
    return name


def _number(field: FieldInfo, text: str) -> object:
    """The text as a number, if the field is one; otherwise the text itself."""
    annotation: object = field.annotation
    kinds = set(typing.get_args(annotation)) if isinstance(annotation, types.UnionType) else {annotation}
    example: Any = field.default  # 0 and None are not used as examples
    if int in kinds:
        return whole_number(text, example) if example else whole_number(text)
    if float in kinds:
        return decimal_number(text, example) if example else decimal_number(text)
    return text


def _message(model: type[SettingGroup], field: str, problem: Any) -> str:  # noqa: ANN401 pydantic's error
    pattern = problem.get("ctx", {}).get("pattern")
    if pattern in _PATTERN_MESSAGES:
        return _PATTERN_MESSAGES[pattern]
    if problem["type"] in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
        return _range(model, field)
    return plain(problem["msg"])


def _range(model: type[SettingGroup], field: str) -> str:
    """The values that a number may have."""
    found: dict[str, Any] = {}
    for rule in model.model_fields[field].metadata:
        found |= {key: getattr(rule, key) for key in ("ge", "gt", "le") if getattr(rule, key, None) is not None}
    most = f"{found['le']:,}" if "le" in found else None
    if "gt" in found:
        return f"must be above {found['gt']:,}" + (f" and at most {most}" if most else "")
    if "ge" in found:
        return f"must be from {found['ge']:,} to {most}" if most else f"must be {found['ge']:,} or more"
    return f"must be at most {most}"


def plain(message: str) -> str:
    """Pydantic's message in the style of ours; it never contains the value."""
    text = message.removeprefix("Value error, ").replace("Input should be ", "must be ")
    return text[0].lower() + text[1:]


__all__ = [
    "PREFIXES",
    "ReservedSettings",
    "Settings",
    "plain",
    "read_group",
    "read_settings",
    "setting_names",
]
