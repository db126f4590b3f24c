"""Settings as typed values, each read under its documented name; all problems are reported together."""

import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from connector.config.environment import PREFIXES, read_values
from connector.config.problems import SettingProblem, raise_all
from connector.core.addresses import is_web_address
from connector.core.durations import parse_duration
from connector.core.numerals import decimal_number, whole_number

S = TypeVar("S", bound=BaseSettings)
DEFAULT_API_VERSION = "67.0"  # Summer '26
_API_VERSION = r"^[0-9]{2,3}\.0$"


class _Group(BaseSettings):
    """The base of setting groups. Only `read_group` supplies values; pydantic-settings reads no source itself."""

    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 pydantic-settings names its arguments
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use only the values that the caller passes."""
        return (init_settings,)


class Settings(_Group):
    """All settings except those of vendors: Salesforce, the ledger, and the connector's behaviour."""

    salesforce_instance_url: str = ""
    salesforce_client_id: str | None = None
    salesforce_client_secret: SecretStr | None = None
    salesforce_username: str | None = None
    salesforce_private_key_file: Path | None = None
    salesforce_access_token: SecretStr | None = None
    salesforce_jwt_audience: str = Field(default="", pattern=r"^(https://\S+)?$")
    salesforce_api_version: str = Field(default=DEFAULT_API_VERSION, pattern=_API_VERSION)
    salesforce_api_reserve_percent: int = Field(default=20, ge=0, le=99)
    connector_database_url: str = Field(default="", repr=False)  # may contain a password
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
            raise ValueError("each must be above 0 and at most 3600 seconds")
        return seconds


class ReservedSettings(_Group):
    """Documented settings without effect in this version; only their form is checked."""

    hubspot_access_token: SecretStr | None = None
    hubspot_base_url: str = Field(default="", pattern=r"^(https?://\S+)?$")
    hubspot_api_reserve_percent: int = Field(default=20, ge=0, le=99)
    connector_keep_days: int = Field(default=400, ge=1, le=36_500)
    connector_alert_webhook_url: SecretStr | None = None
    connector_alert_email: str = Field(default="", pattern=r"^([^@\s]+@[^@\s]+)?$")
    connector_smtp_url: SecretStr | None = None
    connector_alert_silence: str = "2d"

    @field_validator("hubspot_base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not is_web_address(value):
            raise ValueError("must be a web address such as https://example.com")
        return value

    @field_validator("connector_alert_silence")
    @classmethod
    def _duration(cls, value: str) -> str:
        parse_duration(value)
        return value


RESERVED_BY_PROVIDER = (
    "CONNECTOR_ALERT_BALANCE_",
    "CONNECTOR_ALERT_CREDITS_PER_DAY_",
)  # followed by the provider's name
_PATTERN_MESSAGES = {
    _API_VERSION: f"must be a version such as {DEFAULT_API_VERSION}",
    r"^(https://\S+)?$": "must be a web address that begins with https://",
    r"^(https?://\S+)?$": "must be a web address such as https://example.com",
    r"^([^@\s]+@[^@\s]+)?$": "must be one email address",
}


def setting_names(model: type[BaseSettings]) -> dict[str, str]:
    """The documented name of each field of a group, such as LENSMOR_API_KEY for `api_key`."""
    prefix = str(model.model_config.get("env_prefix") or "")
    special: Mapping[str, str] = getattr(model, "documented_names", dict)()
    return {name: special.get(name, f"{prefix}{name}".upper()) for name in model.model_fields}


def read_group(model: type[S], texts: Mapping[str, str]) -> tuple[S, list[SettingProblem]]:
    """Build one group of settings; a wrong setting is reported and keeps its default.

    Args:
        model: the group.
        texts: values by documented name.
    """
    names = setting_names(model)
    build: Any = model  # pydantic-settings declares no fields to check a mapping against
    problems: list[SettingProblem] = []
    given: dict[str, object] = {}
    for field, name in names.items():
        if name in texts:
            try:
                given[field] = _number(model.model_fields[field], texts[name])
            except ValueError as error:
                problems.append(SettingProblem(name, str(error)))
    try:
        settings: S = build(**given)
    except ValidationError as error:
        for problem in error.errors():
            field = _field_of(model, problem["loc"])
            problems.append(SettingProblem(names[field], _message(model, field, problem)))
            given.pop(field, None)
        settings = build(**given)
    return settings, problems


def read_settings(model: type[S], env_file: Path | None) -> S:
    """Read one group of settings from the environment and the settings file.

    Raises:
        ConfigurationError: one line for each wrong setting, never its value.
    """
    prefix = str(model.model_config.get("env_prefix") or "").upper()
    values = read_values(env_file, prefixes=tuple(filter(None, (*PREFIXES, prefix))))
    settings, problems = read_group(model, values.texts)
    raise_all([*values.problems, *problems])
    return settings


def _field_of(model: type[BaseSettings], loc: tuple[int | str, ...]) -> str:
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


def _message(model: type[BaseSettings], field: str, problem: Any) -> str:  # noqa: ANN401 pydantic's error
    pattern = problem.get("ctx", {}).get("pattern")
    if pattern in _PATTERN_MESSAGES:
        return _PATTERN_MESSAGES[pattern]
    if problem["type"] in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
        return _range(model, field)
    return plain(problem["msg"])


def _range(model: type[BaseSettings], field: str) -> str:
    """The message about the allowed range of a number."""
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


def reserved_names(providers: typing.Iterable[str]) -> set[str]:
    """The reserved settings of these providers, such as CONNECTOR_ALERT_BALANCE_LENSMOR."""
    return {f"{start}{name.upper()}" for start in RESERVED_BY_PROVIDER for name in providers}


__all__ = [
    "DEFAULT_API_VERSION",
    "PREFIXES",
    "ReservedSettings",
    "Settings",
    "plain",
    "read_group",
    "read_settings",
    "reserved_names",
    "setting_names",
]
