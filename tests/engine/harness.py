"""A complete connector on a simulated world, in one thread, with a clock that moves only when the connector waits.

Every test of the engine uses the real clients over HTTP and is checked against the vendors' own charge ledger.
"""

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ledgers import settings_of
from pydantic import SecretStr

from connector.app.mappings import CATALOG
from connector.app.plans import PlanOrigin, freeze
from connector.app.rehearsal import CLIENT_ID, CLIENT_SECRET, KEYS
from connector.app.wiring import Configured, connect_crm, connect_providers, open_ledger, still_at_work
from connector.config import Settings
from connector.config.mapping_file import LoadedMapping, load_mapping
from connector.core.crm_api import CrmApi
from connector.core.frozen import FrozenPlan
from connector.core.mapping import MappingFile
from connector.core.preview import Preview
from connector.core.report import Report
from connector.crm.interface import Selection
from connector.crm.salesforce.settings import SalesforceSettings
from connector.engine.context import AccountLimits, Run, Services
from connector.engine.preview import preview
from connector.engine.select import flagged
from connector.engine.sync import RunSpec, run_pass
from connector.jobs.clock import EXPLAINED_S
from connector.providers.registry import REGISTRY
from connector.simulator.clock import SimClock
from connector.simulator.faults import Fault
from connector.simulator.people import SimEvent, SimPerson
from connector.simulator.server import Simulator, Urls
from connector.store.ledger import Ledger
from connector.store.spool import Spool

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
EVENT = SimEvent("9001", "52001", "Example Robotics Expo 2027", "2027-03-02", "2027-03-04", "Utrecht", "Netherlands")
OTHER_EVENT = SimEvent("9002", "52002", "Packaging Days North", "2027-04-13", "2027-04-15", "Malmö", "Sweden")
COLLEAGUE = "a colleague"  # request id of purchases that the connector did not make
FaultRow = tuple[str, Mapping[str, object]]  # a fault's action and its parameters
MAPPINGS = Path(__file__).parent.parent / "mappings"


class ManualClock:
    """A clock that moves on every wait and by `advance`. The connector and the simulated sites share it."""

    scale = 1.0

    def __init__(self) -> None:
        self._now = START
        self._actions: list[tuple[datetime, Callable[[], object]]] = []
        self.waited_s = 0.0
        self._elapsed = timedelta(0)
        self.reasons_to_wait: list[str] = []

    def now(self) -> datetime:
        return self._now

    def unix(self) -> float:
        """The time of the simulated sites, which `set` does not change."""
        return (START + self._elapsed).timestamp()

    def later(self, seconds: float) -> datetime:
        return self._now + timedelta(seconds=seconds)

    def monotonic(self) -> float:
        return self._elapsed.total_seconds()

    def explain(self, seconds: float, reason: str) -> None:
        if seconds > EXPLAINED_S and reason not in self.reasons_to_wait:
            self.reasons_to_wait.append(reason)

    def sleep(self, seconds: float) -> None:
        self.pause(timedelta(seconds=seconds))

    def pause(self, duration: timedelta) -> None:
        self.waited_s += max(0.0, duration.total_seconds())
        self._move(max(timedelta(0), duration))

    def advance(self, **units: float) -> None:
        """Let time pass, for example `minutes=5`."""
        self._move(timedelta(**units))

    def set(self, **units: float) -> None:
        """Set the connector's clock forward or back, as a time server does. No time passes."""
        self._now += timedelta(**units)

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Schedule an action in `seconds`. It runs as soon as a wait or `advance` moves the clock that far."""
        self._actions.append((self.later(seconds), action))

    def _move(self, duration: timedelta) -> None:
        self._now += duration
        self._elapsed += duration
        due = [action for time, action in self._actions if time <= self._now]
        self._actions = [(time, action) for time, action in self._actions if time > self._now]
        for action in due:
            action()


class World:
    """The simulated sites, with methods that add people and records to them."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.simulator = Simulator(SimClock(source=self.clock.unix))
        self.simulator.lensmor.rate_limit = None
        for event in (EVENT, OTHER_EVENT):
            self.simulator.lensmor.add_event(event)
        self.lensmor = self.simulator.lensmor
        self.salesfinity = self.simulator.salesfinity
        self.org = self.simulator.salesforce.org
        self.faults = self.simulator.faults
        self.charges = self.simulator.charges
        self.urls: Urls | None = None
        self.bought_again: set[tuple[str, str, str]] = set()  # double charges that the test intends
        self._next_id = 70_000

    def person(self, **facts: object) -> SimPerson:
        """Add a person to both vendors. `facts` override the generated attributes of `SimPerson`."""
        self._next_id += 1
        number = str(self._next_id)
        defaults: dict[str, object] = {
            "personnel_id": number,
            "full_name": f"Sample Person {number}",
            "title": "Buyer",
            "company": "Example Works",
            "linkedin_name": f"sample-{number}",
            "event_ids": ("52001",),
            "email": f"p{number}@example.com",
            "phone": f"+1 415 555 {int(number) % 10_000:04d}",
            "work_email": f"w{number}@example.com",
            "personal_email": f"home{number}@example.com",
        }
        person = SimPerson(**(defaults | facts))  # type: ignore[arg-type]
        self.lensmor.add_person(person)
        self.salesfinity.add_person(person)
        return person

    def lead(self, person: SimPerson | None = None, **values: object) -> str:
        """Insert a flagged Lead with the person's id, event and LinkedIn URL; return its CRM id."""
        return self.org.insert("Lead", {"Company": "Example Works", **_identity(person), **values})

    def contact(self, person: SimPerson | None = None, **values: object) -> str:
        """Insert a flagged Contact with the same identifiers; return its CRM id."""
        return self.org.insert("Contact", {**_identity(person), **values})

    def get(self, record_id: str) -> Mapping[str, object]:
        """The current fields of a Lead or Contact."""
        return self.org.get(_object_of(record_id), record_id)

    def edit(self, record_id: str, **values: object) -> None:
        """Edit a record as a user does in the browser."""
        self.org.edit(_object_of(record_id), record_id, values)

    def flag(self, record_id: str) -> None:
        """Set the record's flag as a user does."""
        self.edit(record_id, Enrichment_Requested__c=True)

    def arm(self, site: str, operation: str, action: str, **more: object) -> None:
        """Arm a fault. Keywords other than those of `Fault` are parameters of the action."""
        options = {name: more.pop(name) for name in ("times", "after", "subject") if name in more}
        self.simulator.arm(Fault(site, operation, action, params=more, **options))  # type: ignore[arg-type]

    def colleague_buys(self, person: SimPerson, *kinds: str) -> None:
        """Buy the person in the vendor's own application, from the same pool of credits."""
        for kind in kinds:
            self.lensmor.submit("default", kind, [person.personnel_id], COLLEAGUE)

    def ours(self, vendor: str) -> int:
        """Credits that the vendor charged for the connector's requests."""
        return sum(c.credits for c in self.charges.entries if c.vendor == vendor and c.request_id != COLLEAGUE)

    def paid_posts(self) -> int:
        """The number of paid requests that reached the vendors, including those that failed."""
        sent = self.lensmor.requests
        return (
            sent.count("submitEmailUnlock")
            + sent.count("submitPhoneUnlock")
            + self.salesfinity.requests.count("requestEmailEnrichment")
        )


def _object_of(record_id: str) -> str:
    return "Lead" if record_id.startswith("00Q") else "Contact"


def _identity(person: SimPerson | None) -> dict[str, object]:
    values: dict[str, object] = {"LastName": "Sample", "Enrichment_Requested__c": True}
    if person is None:
        return values
    return values | {
        "Lensmor_Personnel_Id__c": person.personnel_id,
        "Lensmor_Event_Id__c": "52001",
        "LinkedIn_URL__c": f"https://www.linkedin.com/in/{person.linkedin_name}",
    }


def mapping(name: str = "lead", **changes: object) -> MappingFile:
    """A mapping of the tests with some sections (`channels`, `limits`, `select`, ...) replaced by plain data."""
    data = _shipped(name).model_dump(by_alias=True, exclude_none=True)
    for key, value in changes.items():
        data[key] = {**data[key], **value} if isinstance(value, Mapping) and isinstance(data.get(key), dict) else value
    return CATALOG.model.model_validate(data)


@functools.cache
def _shipped(name: str) -> MappingFile:
    return load_mapping(str(MAPPINGS / f"{name}.yaml"), CATALOG).mapping


def with_ceiling(plan: FrozenPlan, lensmor_credits: int) -> FrozenPlan:
    """The plan with another ceiling."""
    return replace(plan, terms=plan.terms.model_copy(update={"ceiling": {"lensmor": lensmor_credits}}))


def email_only(*sources: str, name: str = "lead", **rules: object) -> MappingFile:
    """A mapping with the work email as its only channel; from Lensmor unless sources are given."""
    return mapping(name, channels=_only(mapping(name), "work_email", sources or ("lensmor",), rules))


def phone_only(name: str = "lead", **rules: object) -> MappingFile:
    """A mapping with the phone as its only channel."""
    return mapping(name, channels=_only(mapping(name), "phone", ("lensmor",), rules))


def personal_only(**rules: object) -> MappingFile:
    """A Contact mapping with the private email as its only channel."""
    return mapping("contact", channels=_only(mapping("contact"), "personal_email", ("salesfinity",), rules))


def _only(base: MappingFile, channel: str, sources: Sequence[str], rules: Mapping[str, object]) -> dict[str, object]:
    channels = base.channels.model_dump(by_alias=True, exclude_none=True)
    return {**dict.fromkeys(channels), channel: {**channels[channel], "from": list(sources), **rules}}


class Harness:
    """A connector with its ledger in a folder. A new `Harness` on the same folder stands for a new process."""

    def __init__(self, world: World, folder: Path, *mappings: MappingFile) -> None:
        self.world = world
        self.folder = folder
        self.mappings = {one.name: one for one in (mappings or (mapping("lead"),))}
        self.limits: dict[str, AccountLimits] = {}
        self.wait_s = 3600.0
        self.public_url = ""
        self.shared = False

    def configured(self) -> Configured:
        urls = self.world.urls
        if urls is None:
            raise AssertionError("the world is not started")
        ledger_url, key = settings_of(self.folder)
        settings = Settings(
            connector_database_url=ledger_url,
            connector_secret_key=key,
            connector_public_url=self.public_url,
        )
        addresses = {"lensmor": urls.lensmor, "salesfinity": urls.salesfinity}
        providers = {
            name: entry.settings(api_key=SecretStr(KEYS[name]), base_url=addresses[name], requests_per_minute=6000)
            for name, entry in REGISTRY.items()
        }
        login = SalesforceSettings(
            instance_url=urls.salesforce, client_id=CLIENT_ID, client_secret=SecretStr(CLIENT_SECRET)
        )
        return Configured(settings, {"salesforce": login}, providers, self.folder / ".env")

    @contextmanager
    def services(self) -> Iterator[Services]:
        configured = self.configured()
        crm = connect_crm(configured, self.world.clock)
        ledger = open_ledger(configured)
        configured_names = {name for one in self.mappings.values() for name in one.providers()}
        names = configured_names | still_at_work(configured, ledger)
        providers = connect_providers(configured, names, ledger, self.world.clock)
        try:
            crm.login()
            yield Services(
                ledger=ledger,
                crm=crm,
                providers=providers,
                limits=self.limits,
                clock=self.world.clock,
                owner="test",
                wait_s=self.wait_s,
                workers=1,
                shared=self.shared,
            )
        finally:
            for provider in providers.values():
                provider.close()
            ledger.close()
            crm.close()

    def sync(
        self,
        selections: Mapping[str, Selection] | None = None,
        command: str = "sync",
        api: CrmApi = CrmApi.REST,
    ) -> Report:
        """Run one pass as a new process would. Checks that the report is complete and free of personal data."""
        with self.services() as services, services.ledger.hold_run_lock(self.mappings):
            report = run_pass(services, RunSpec(command, self.mappings, selections or {}, api=api))
        assert sum(report.outcomes.values()) == report.selected
        text = json.dumps(report.to_json())
        assert "@example" not in text
        assert "+1 415" not in text
        assert "+1415" not in text
        return report

    def backfill(self, api: CrmApi = CrmApi.BULK) -> Report:
        """Enrich every record that meets the mappings' conditions, regardless of its flag."""
        chosen = {name: replace(flagged(one), flag=None) for name, one in self.mappings.items()}
        return self.sync(chosen, "backfill", api)

    def plan(self, selections: Mapping[str, Selection] | None = None) -> FrozenPlan:
        """The frozen plan of a run that started now."""
        with self.services() as services:
            now = self.world.clock.now()
            records = Spool()
            summary = preview(Run(services, "plan", self.mappings, now), selections or {}, records)
            loaded = {name: (name, LoadedMapping(Path(name), one, {})) for name, one in self.mappings.items()}
            sources = {name: source for name, source in services.sources.items() if name in summary.credits}
            return freeze(summary, records, loaded, sources, PlanOrigin("sim", now, bool(selections)))

    def preview(self) -> Preview:
        """The preview of a run that started now."""
        with self.services() as services:
            return preview(Run(services, "plan", self.mappings, self.world.clock.now()), {}, Spool())

    def apply(self, plan: FrozenPlan) -> Report:
        """Execute a frozen plan as a new process would. Checks that the report is complete."""
        with self.services() as services, services.ledger.hold_run_lock(self.mappings):
            report = run_pass(services, RunSpec("apply", self.mappings, {}, plan))
        assert sum(report.outcomes.values()) == report.selected
        return report

    def syncs(self, most: int, minutes: float = 15) -> list[Report]:
        """Run at most `most` passes, `minutes` apart, until a pass selects no record."""
        reports: list[Report] = []
        while len(reports) < most:
            reports.append(self.other().sync())
            if not reports[-1].selected:
                break
            self.world.clock.advance(minutes=minutes)
        return reports

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger without the clients. It is closed at the end of the block."""
        ledger = open_ledger(self.configured())
        try:
            yield ledger
        finally:
            ledger.close()

    @contextmanager
    def run(self) -> Iterator[Run]:
        """A started run, for tests that call its stages themselves."""
        with self.services() as services:
            run_id = services.ledger.runs.start("sync", list(self.mappings), services.clock.now())
            yield Run(services, run_id, self.mappings, services.clock.now())

    def other(self, *mappings: MappingFile) -> "Harness":
        """A new process on the same ledger, with these mappings; by default with the same ones."""
        other = Harness(self.world, self.folder, *(mappings or self.mappings.values()))
        other.limits, other.wait_s, other.public_url = self.limits, self.wait_s, self.public_url
        return other


def reasons_of(report: Report, outcome: str) -> dict[str, int]:
    """The number of each reason for an outcome, summed over all channels."""
    total: Counter[str] = Counter()
    for by_outcome in report.reasons.values():
        total.update(by_outcome.get(outcome, {}))
    return dict(total)


def with_reserve(limits: AccountLimits, reserve: int) -> AccountLimits:
    """The same limits with another reserve."""
    return replace(limits, reserve=reserve)


def values(world: World, object_name: str, ids: Sequence[str], field: str) -> list[object]:
    """The values of one field, in the order of the ids."""
    return [world.org.get(object_name, record_id)[field] for record_id in ids]
