"""`connector init`: from a login to a first mapping file and its settings."""

import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from connector.app.configuring import DEFAULT_CRM, Configured, folder_of, survey
from connector.app.mappings import CATALOG
from connector.app.schema import mapping_schema
from connector.app.wiring import connect_crm, connect_providers, ledger_in_memory
from connector.config import ENV_FILE, env_file_here
from connector.config.finding import FOLDER
from connector.config.mapping_file import load_mapping
from connector.config.mapping_text import SCHEMA_FILE, mapping_text
from connector.core.errors import ConfigurationError
from connector.core.first_mapping import ChosenChannel, FirstMapping, WantedKey, credits_for, wanted_keys
from connector.core.identifiers import IdentifierKind
from connector.core.mapping_base import KeyPath
from connector.core.model import CONTACT_CHANNELS, Channel
from connector.crm.interface import Crm, ObjectInfo
from connector.crm.registry import CRMS
from connector.crm.starting import LoginQuestion, Presence, Proposal, Starter
from connector.jobs.clock import SystemClock
from connector.providers.registry import REGISTRY
from connector.store.private import OWNER_ONLY

__all__ = ["Answers", "FirstSteps", "LoginQuestion", "Presence", "Proposal", "Written"]
USUAL_CHANNELS = (Channel.WORK_EMAIL, Channel.PHONE)


@dataclass(frozen=True, slots=True)
class Answers:
    """The choices of a person for a first mapping.

    Attributes:
        name: the mapping's name.
        fields: the field of each key.
        run_credits, day_credits: the caps by provider.
        people: the number of people that the caps of one run and of one day cover.
        region: the country of phone numbers without a country code; empty if unknown.
    """

    name: str
    fields: Sequence[Proposal]
    run_credits: Mapping[str, int]
    day_credits: Mapping[str, int]
    people: tuple[int, int]
    region: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a first mapping.

    Attributes:
        files: the new files.
        kept: the settings file that existed and was left unchanged; None if it was written.
        missing: the fields that the CRM lacks, or that its user may not use yet.
        provisions: `connector provision` can create them.
    """

    files: tuple[Path, ...]
    kept: Path | None
    missing: tuple[str, ...]
    provisions: bool


def _unheard(_note: str) -> None:
    """Nothing."""


@dataclass
class FirstSteps:
    """One set-up, question by question.

    Attributes:
        folder: receives `.env` and `mappings/`.
        env_file: the settings file, if there is one already.
        crm_name: the CRM.
        answers: settings that were answered, by documented name.
        note: told about waits, such as those for a CRM that does not answer.
    """

    folder: Path
    env_file: Path | None
    crm_name: str = DEFAULT_CRM
    answers: dict[str, str] = field(default_factory=dict)
    note: Callable[[str], None] = _unheard
    _crm: Crm | None = None
    _info: ObjectInfo | None = None
    _prices: dict[str, dict[Channel, int]] = field(default_factory=dict)

    @classmethod
    def begin(cls, env_file: Path | None, crm_name: str | None) -> "FirstSteps":
        """Start in the folder of the settings file, else in the working directory.

        Raises:
            ConfigurationError: settings that exist already are wrong, or there is no such CRM.
        """
        found = env_file or env_file_here()
        name = crm_name or DEFAULT_CRM
        if name not in CRMS or CRMS[name].starter is None:
            able = ", ".join(one for one, entry in CRMS.items() if entry.starter is not None)
            raise ConfigurationError(f"there is no CRM {name!r} to begin with; use {able}")
        steps = cls(folder_of(found), found, name)
        problems = survey(found).problems
        if problems:
            raise ConfigurationError("\n".join(map(str, problems)))
        return steps

    @property
    def label(self) -> str:
        """The CRM's name for people."""
        return CRMS[self.crm_name].label

    @property
    def starter(self) -> Starter:
        """The first steps of the CRM."""
        make = CRMS[self.crm_name].starter
        if make is None:
            raise ConfigurationError(f"there are no first steps for {self.crm_name}")
        return make()

    @property
    def _configured(self) -> Configured:
        found = survey(self.env_file, self.answers)
        if found.problems:
            raise ConfigurationError("\n".join(map(str, found.problems)))
        return found.configured

    def _clock(self, configured: Configured) -> SystemClock:
        clock = SystemClock(configured.settings.connector_time_scale)
        clock.on_wait = self.note
        return clock

    def login_questions(self) -> tuple[LoginQuestion, ...]:
        """The questions that are still open; none if a login is possible.

        Raises:
            ConfigurationError: the login is incomplete in a settings file that exists, which is never changed.
        """
        missing = self._configured.missing_login(self.crm_name)
        if missing is None:
            return ()
        if self.env_file is not None:
            raise ConfigurationError(
                f"{missing.partition(';')[0]}; add them to {self.env_file}, which is left unchanged"
            )
        return self.starter.questions

    def key_questions(self) -> tuple[LoginQuestion, ...]:
        """The vendors' keys that may be given; without a key, a vendor is not used."""
        if self.env_file is not None:
            return ()
        providers = self._configured.providers
        return tuple(
            LoginQuestion(f"{name.upper()}_API_KEY", f"API key of {name} (Enter: do not buy there)", secret=True)
            for name in REGISTRY
            if providers[name].api_key is None
        )

    def login(self) -> str:
        """Log in at the CRM; returns the org for a person.

        Raises:
            ConnectorError: the login is refused, or the CRM cannot be reached.
        """
        self.close()
        configured = self._configured
        crm = connect_crm(configured, self._clock(configured), self.crm_name)
        try:
            crm.login()
            org = crm.org_id()
        except BaseException:
            crm.close()
            raise
        self._crm = crm
        return f"{configured.crms[self.crm_name].address}{f' (org {org})' if org else ''}"

    def check_keys(self) -> dict[str, int]:
        """Read the balance of each vendor that has a key; returns the credits by vendor.

        Raises:
            ConnectorError: a key is refused, or a vendor cannot be reached.
            ConfigurationError: no vendor has a key.
        """
        configured, ledger = self._configured, ledger_in_memory()
        names = [name for name, one in configured.providers.items() if one.api_key is not None]
        if not names:
            keys = " or ".join(f"{name.upper()}_API_KEY" for name in REGISTRY)
            raise ConfigurationError(f"at least one vendor is needed: give {keys}")
        balances: dict[str, int] = {}
        try:
            connected = connect_providers(configured, names, ledger, self._clock(configured))
            for name, provider in connected.items():
                try:
                    self._prices[name] = {
                        channel: provider.source.prices.of(channel) for channel in REGISTRY[name].channels
                    }
                    balances[name] = provider.balance()
                finally:
                    provider.close()
        finally:
            ledger.close()
        return balances

    def describe(self, object_name: str) -> str:
        """Read an object's fields; returns its name as the CRM writes it.

        Raises:
            ConfigurationError: there is no such object.
        """
        if self._crm is None:
            raise ConfigurationError("log in first")
        self._info = self._crm.describe(object_name)
        return self._info.name

    def channels(self, names: Sequence[str]) -> tuple[ChosenChannel, ...]:
        """The channels to buy, with the vendors that sell them in the usual order; the usual channels without names.

        Raises:
            ConfigurationError: no vendor with a key sells a channel.
        """
        wanted = [Channel(name) for name in names] or [one for one in USUAL_CHANNELS if self._sellers(one)]
        for channel in wanted:
            if not self._sellers(channel):
                able = ", ".join(name for name, entry in REGISTRY.items() if channel in entry.channels)
                raise ConfigurationError(f"{channel} is sold by {able}, whose key is not set")
        if not wanted:
            raise ConfigurationError("no vendor with a key sells a work email or a phone; name the channel")
        return tuple(ChosenChannel(one, self._sellers(one)) for one in CONTACT_CHANNELS if one in wanted)

    def _sellers(self, channel: Channel) -> dict[str, int]:
        return {name: prices[channel] for name, prices in self._prices.items() if channel in prices}

    def propose(self, channels: Sequence[ChosenChannel]) -> tuple[Proposal, ...]:
        """A field for each key of the mapping."""
        keys = wanted_keys(self._kinds(channels), [one.channel for one in channels])
        return self.starter.propose(self._described, keys)

    def chosen(self, key: WantedKey, name: str) -> Proposal:
        """The field that a person chose for a key; `-` leaves the key out.

        Raises:
            ConfigurationError: it can neither serve the key nor be created, or the key is needed.
        """
        if name == "-":
            if key.path == ("select", "flag") or key.path[-1] == "field":
                raise ConfigurationError(f"{key.text} is needed")
            return Proposal(key, "", Presence.LEFT_OUT)
        return self.starter.chosen(self._described, key, name)

    @property
    def _described(self) -> ObjectInfo:
        if self._info is None:
            raise ConfigurationError("choose an object first")
        return self._info

    def _kinds(self, channels: Sequence[ChosenChannel]) -> list[tuple[IdentifierKind, str]]:
        """The identifiers of the vendors, each with its vendor if it is one's own."""
        used = {name for one in channels for name in one.prices}
        owners: dict[str, list[str]] = {}
        kinds: dict[str, IdentifierKind] = {}
        for name, entry in REGISTRY.items():
            for kind in entry.identifiers:
                kinds[kind.name] = kind
                owners.setdefault(kind.name, []).append(name)
        return [
            (kind, owners[name][0] if len(owners[name]) == 1 else "")
            for name, kind in kinds.items()
            if used & set(owners[name])
        ]

    def mapping_path(self, name: str) -> Path:
        """Where the mapping file goes."""
        return self.folder / FOLDER / f"{name}.yaml"

    def refuse_existing(self, name: str) -> None:
        """Refuse a mapping that exists already.

        Raises:
            ConfigurationError: there is one.
        """
        for path in (self.mapping_path(name), self.mapping_path(name).with_suffix(".yml")):
            if path.exists() or path.is_symlink():
                raise ConfigurationError(f"{path} exists and is left unchanged; choose another name with --name")

    def write(self, channels: Sequence[ChosenChannel], answers: Answers) -> Written:
        """Write the mapping, its schema and the settings; nothing that exists is changed.

        Raises:
            ConfigurationError: a file exists or cannot be written, or the choices make no valid mapping.
        """
        self.refuse_existing(answers.name)
        fields = {one.key.path: one.name for one in answers.fields if one.presence is not Presence.LEFT_OUT}
        used = [one for one in answers.fields if one.presence is not Presence.LEFT_OUT]
        missing = tuple(one.name for one in used if one.presence is not Presence.FOUND)
        text = mapping_text(
            FirstMapping(
                name=answers.name,
                crm="" if self.crm_name == DEFAULT_CRM else self.crm_name,
                label=self.label,
                object=self._described.name,
                fields=fields,
                missing=frozenset(one.name for one in used if one.presence is Presence.NEW),
                channels=tuple(channels),
                stamped=self._stamped(channels, fields),
                where=self.starter.condition(self._described.name),
                region=answers.region,
                run_credits=answers.run_credits,
                day_credits=answers.day_credits,
                people=answers.people,
            )
        )
        settings = None if self.env_file is not None else self._settings_text()
        files = self._write_files(answers.name, text, settings)
        provisions = self._crm is not None and self._crm.provisioner() is not None
        return Written(files, self.env_file, tuple(dict.fromkeys(missing)), provisions)

    def _write_files(self, name: str, text: str, settings: str | None) -> tuple[Path, ...]:
        path = self.mapping_path(name)
        schema = path.with_name(SCHEMA_FILE)
        written: list[Path] = []
        try:
            path.parent.mkdir(exist_ok=True)
            if settings is not None:
                _create(self.folder / ENV_FILE, settings, OWNER_ONLY)
                written.append(self.folder / ENV_FILE)
            _create(path, text, 0o644)
            written.append(path)
            if not schema.exists():
                _create(schema, json.dumps(mapping_schema(), indent=2, ensure_ascii=False) + "\n", 0o644)
                written.append(schema)
        except OSError as error:
            raise ConfigurationError(f"{error.filename} cannot be written ({error.strerror})") from error
        load_mapping(str(path), CATALOG, self.folder)
        return tuple(written)

    def _stamped(self, channels: Sequence[ChosenChannel], fields: Mapping[KeyPath, str]) -> dict[str, str]:
        kinds = [kind for kind, _ in self._kinds(channels) if kind.is_stamped]
        return {kind.name: fields["person", kind.name] for kind in kinds if ("person", kind.name) in fields}

    def _settings_text(self) -> str:
        """The text of a new settings file, with a token for the trigger API."""
        given = {**self.answers, "CONNECTOR_TRIGGER_TOKEN": secrets.token_urlsafe(32)}
        lines = ["# Settings of the connector, written by 'connector init'. Keep this file secret."]
        return "\n".join([*lines, *(f"{name}={_quoted(value)}" for name, value in given.items())]) + "\n"

    def close(self) -> None:
        """Close the connection to the CRM."""
        if self._crm is not None:
            self._crm.close()
            self._crm = None


def caps(people: int, channels: Sequence[ChosenChannel]) -> dict[str, int]:
    """The most credits that this many people can cost at each vendor."""
    return credits_for(people, channels)


def _quoted(value: str) -> str:
    """A value for a settings file: in single quotes if it has characters that have a meaning there."""
    is_plain = all(sign.isalnum() or sign in "-._~:/+=@!%,?&" for sign in value)
    return value if is_plain else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _create(path: Path, text: str, mode: int) -> None:
    """Write a new file.

    Raises:
        OSError: it exists, or cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
