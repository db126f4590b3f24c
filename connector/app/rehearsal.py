"""The simulated world for the demo and for rehearsals: its settings, mapping files and seeded records."""

import itertools
import os
import secrets
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from connector import simulator as simulator_package
from connector.app.configuring import LEDGER_FILE
from connector.app.mappings import CATALOG
from connector.app.wiring import Configured
from connector.config import ENV_FILE, Settings, read_group
from connector.config.finding import find_mapping
from connector.config.mapping_file import load_mapping
from connector.core.errors import ConfigurationError
from connector.core.identifiers import IdentifierKind, Shape
from connector.core.mapping import MappingFile
from connector.crm.registry import CRMS
from connector.providers.registry import BUILT_IN
from connector.simulator.clock import SimClock
from connector.simulator.fitting import MappedObject, UnfitError, fields_of, fit
from connector.simulator.new_org import forget_connector
from connector.simulator.salesforce.ids import new_organization_id
from connector.simulator.salesforce.schema import Field
from connector.simulator.seed import seed_bulk, seed_demo
from connector.simulator.server import Simulator, Urls
from connector.store.private import OWNER_ONLY

CLIENT_ID, CLIENT_SECRET = "sim-client-id", "sim-client-secret"
KEYS = {"lensmor": "sim-lensmor-key", "salesfinity": "sim-salesfinity-key"}
EXAMPLE_CASES = ("other_script_linkedin", "salesfinity_work", "bounced")
WAIT_S = 7200.0  # simulated clocks run fast: gives a busy machine time to finish its tasks
REQUESTS_PER_MINUTE = 600  # the simulated vendors' limits, so that a rehearsal takes seconds


class Rehearsal:
    """A seeded simulated world on loopback, and a ledger in a temporary folder.

    Args:
        time_scale: multiplies every wait; the simulated clocks run faster by the same factor.
        folder: the ledger's folder; by default a temporary folder, removed at the end.
    """

    def __init__(self, time_scale: float, folder: Path | None = None) -> None:
        self._time_scale = time_scale
        self._temporary = tempfile.TemporaryDirectory(prefix="connector-demo-") if folder is None else None
        self.folder = folder or Path(self._temporary.name if self._temporary else ".")
        self.simulator = Simulator(SimClock(1 / time_scale))
        self._facts = seed_demo(self.simulator)
        self.simulator.lensmor.rate_limit = REQUESTS_PER_MINUTE
        self.urls: Urls | None = None

    def __enter__(self) -> Self:
        self.urls = self.simulator.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.simulator.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    def configured(self) -> Configured:
        """Settings for the simulated world; the environment cannot change any address in them."""
        if self.urls is None:
            raise ConfigurationError("the simulated world has not been started")
        values = environment(self.urls)
        settings = Settings(
            connector_database_url=f"sqlite:///{self.folder / 'connector.db'}",
            connector_secret_key=None,
            connector_time_scale=self._time_scale,
            connector_wait_seconds=WAIT_S,
        )
        providers = {
            name: entry.settings(
                api_key=SecretStr(KEYS[name]),
                base_url=values[f"{name.upper()}_BASE_URL"],
                account="default",
                requests_per_minute=REQUESTS_PER_MINUTE,
            )
            for name, entry in BUILT_IN.items()  # the vendors that are simulated
        }
        crms = {name: read_group(entry.settings, values)[0] for name, entry in CRMS.items()}
        return Configured(settings, crms, providers, None)

    def count(self, object_name: str) -> int:
        """The number of records of an object in the simulated org."""
        return len(self.simulator.salesforce.org.records(object_name))

    def record(self, like: Mapping[str, object]) -> dict[str, object]:
        """The current state of a record that was read earlier."""
        record_id = str(like["Id"])
        return dict(self.simulator.salesforce.org.get("Lead" if record_id.startswith("00Q") else "Contact", record_id))

    def examples(self) -> list[dict[str, object]]:
        """Three records: found by LinkedIn, found only by the second vendor, and one whose address bounced."""
        chosen: list[dict[str, object]] = []
        for case in EXAMPLE_CASES:
            found = next((one for one in self._facts.of_case(case) if one.flagged), None)
            if found is not None:
                chosen.append(dict(self.simulator.salesforce.org.get(found.object_name, found.record_id)))
        return chosen

    def charged_credits(self) -> dict[str, int]:
        """The credits that each simulated vendor has charged, according to its own ledger."""
        return {vendor: self.simulator.charges.total(vendor) for vendor in KEYS}

    def charged_twice(self) -> int:
        """The number of purchases charged more than once, according to the simulated vendors' own ledgers."""
        return len(self.simulator.charges.doubles())


def environment(urls: Urls) -> dict[str, str]:
    """The environment variables that point the connector at a simulated world."""
    return {
        "SALESFORCE_INSTANCE_URL": urls.salesforce,
        "SALESFORCE_CLIENT_ID": CLIENT_ID,
        "SALESFORCE_CLIENT_SECRET": CLIENT_SECRET,
        "LENSMOR_BASE_URL": urls.lensmor,
        "LENSMOR_API_KEY": KEYS["lensmor"],
        "SALESFINITY_BASE_URL": urls.salesfinity,
        "SALESFINITY_API_KEY": KEYS["salesfinity"],
    }


def demo_mappings() -> tuple[Path, ...]:
    """The demo's mapping files in the package: Leads and Contacts, with caps that cover the whole demo."""
    folder = Path(simulator_package.__file__).parent / "mappings"
    return tuple(folder / f"{name}.yaml" for name in ("lead", "contact"))


def env_text(urls: Urls, speed: float) -> str:
    """The content of an `.env` file for a rehearsal: every required setting, and a fresh trigger token."""
    settings = environment(urls) | {"CONNECTOR_TRIGGER_TOKEN": secrets.token_urlsafe(32)}
    if speed > 1:
        settings["CONNECTOR_TIME_SCALE"] = f"{1 / speed:g}"
    lines = ["# Settings of a rehearsal against simulated sites, written by: connector simulate --write-env"]
    return "\n".join([*lines, *(f"{name}={value}" for name, value in settings.items())]) + "\n"


def refuse_existing(path: Path) -> None:
    """Refuse to write settings over an existing file, or where their ledger exists already.

    Raises:
        ConfigurationError: the file or its ledger exists.
    """
    for found, why in (
        (path, "it may hold the settings of a real org"),
        (_ledger_of(path), "it belongs to another org"),
    ):
        if found.exists() or found.is_symlink():
            name = _unused(path.parent)
            raise ConfigurationError(
                f"{found} exists and is left unchanged: {why}. Write the settings to a file with another name, which "
                f"gets its own ledger: --write-env {name}, then add --env-file {name} to every command"
            )


def _ledger_of(env_file: Path) -> Path:
    """The ledger of a rehearsal: the default one beside `.env`, a separate one beside any other settings file."""
    return env_file.with_name(LEDGER_FILE if env_file.name == ENV_FILE else f"{env_file.name}.db")


def _unused(folder: Path) -> Path:
    """A name for a settings file that does not exist yet and has no ledger."""
    names = (folder / f"rehearsal{number or ''}.env" for number in itertools.chain((0,), itertools.count(2)))
    return next(name for name in names if not name.exists() and not _ledger_of(name).exists())


def next_command(env_file: Path, mappings: Sequence[str]) -> str:
    """The command that checks the set-up of a rehearsal, relative to the working directory."""
    is_here = env_file.parent.resolve() == Path.cwd().resolve()
    named = [name if is_here else str(find_mapping(name)) for name in mappings] or ["FILE"]
    words = ["connector", "doctor", *(part for name in named for part in ("-m", name))]
    return shlex.join(words if is_here and env_file.name == ENV_FILE else [*words, "--env-file", str(env_file)])


def init_command(env_file: Path) -> str:
    """The command that makes a first mapping with the settings of a rehearsal."""
    is_usual = env_file.parent.resolve() == Path.cwd().resolve() and env_file.name == ENV_FILE
    return "connector init" if is_usual else shlex.join(["connector", "init", "--env-file", str(env_file)])


def write_env(path: Path, settings: str) -> None:
    """Write the settings of a rehearsal to a new file that only its owner can read.

    Raises:
        ConfigurationError: the file or its ledger exists, or the file cannot be written.
    """
    refuse_existing(path)
    if path.name != ENV_FILE:
        settings += f"CONNECTOR_DATABASE_URL=sqlite:///{_ledger_of(path).name}\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}); name another file") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(settings)


def simulate(
    announce: Callable[[str, str, Mapping[str, int]], None],
    *,
    leads: int,
    speed: float,
    ports: Mapping[str, int],
    mappings: Sequence[str] = (),
    new_org: bool = False,
) -> None:
    """Serve a simulated world until SIGINT or SIGTERM.

    Args:
        announce: called once with the content of an `.env` file, the address of the control routes, and the number of
            records that request enrichment by mapping.
        leads: this many plain Leads instead of the demo's org; 0 for the demo's.
        speed: simulated seconds per real second.
        ports: by site; missing ones take any free port.
        mappings: mapping files whose fields the simulated org gets, as `-m` names them.
        new_org: the org has none of the connector's fields.

    Raises:
        ConfigurationError: a mapping file cannot be used, or the simulated org cannot have its object.
    """
    loaded = [load_mapping(name, CATALOG).mapping for name in mappings]
    seed = seed_demo if leads == 0 else lambda simulator: seed_bulk(simulator, leads)
    simulator = Simulator(SimClock(speed), seed, new_organization_id())
    if new_org:
        forget_connector(simulator)
    flagged: dict[str, int] = {}
    for mapping in loaded:
        try:
            flagged[mapping.name] = fit(simulator, mapped_object(mapping))
        except UnfitError as error:
            raise ConfigurationError(f"mapping {mapping.name}: {error}") from error
    simulator.serve_until_stopped(lambda urls: announce(env_text(urls, speed), urls.control, flagged), **dict(ports))


def mapped_object(mapping: MappingFile) -> MappedObject:
    """A mapping's object for the simulated org; each field has a type that suits its use."""
    person, stamp, words = mapping.person, mapping.stamp, mapping.statuses
    status = Field("", "picklist", 255, choices=tuple(words.model_dump().values()))
    identifiers = {key: name for key, name in person.mapped() if isinstance(name, str)}
    uses: list[tuple[str | None, Field]] = [
        *((name, _field_of(kind)) for kind, keys in person.mapped_kinds for name in keys.fields.values()),
        (stamp.enriched_at, Field("", "datetime")),
        (stamp.source, Field("", "string", 80)),
        (stamp.error, Field("", "string", 255)),
        *((name, Field("", "string", 64, external_id=True)) for _, name in stamp.identifiers),
    ]
    opt_outs: dict[str, str] = {}
    for _, found in mapping.channels.items():
        uses.append((found.field, Field("", "email", 80) if found.is_email else Field("", "phone", 40)))
        uses.append((found.status, status))
        uses.append((found.empty_when, Field("", "datetime")))
        of_value = {"source": Field("", "string", 80), "at": Field("", "datetime"), "run": Field("", "string", 64)}
        uses += [(name, of_value[stamp]) for stamp, name in found.stamps()]
        uses.append((found.opt_out, Field("", "boolean", nillable=False, default=False)))
        if found.opt_out is not None:
            opt_outs[found.opt_out] = "HasOptedOutOfEmail" if found.is_email else "DoNotCall"
    select = mapping.select
    return MappedObject(
        mapping.object,
        select.flag_field,
        select.asks,
        select.done,
        fields_of(uses),
        identifiers.get("personnel_id"),
        identifiers.get("event_id"),
        identifiers.get("linkedin_url"),
        opt_outs,
    )


def _field_of(kind: IdentifierKind) -> Field:
    """A field of the simulated org that can hold this kind of identifier."""
    if kind.shape is Shape.URL:
        return Field("", "url", 255)
    return (
        Field("", "string", 100)
        if kind.groups or kind.shape is Shape.WORDS
        else Field("", "string", 64, external_id=True)
    )
