"""Kill the process at every point of a whole command and start it again; the vendors' own ledgers are the reference.

The short form dies at some points of each scene; `make test-long` dies at every one.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest
from backups import Backup
from crash_points import DeathError, Points, watched
from engine_judge import judge
from harness import Harness, World, mapping
from ledgers import Ledgers
from service_harness import ServiceHarness
from shared_sites import SharedSites

from connector.core.frozen import FrozenPlan
from connector.core.mapping import MappingFile
from connector.engine.undo import undo
from connector.store.database import Database

# A dead process leaves sockets open, which cause warnings later.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
STRIDE = {"lensmor_only": 197, "waterfall": 223}
OTHERS_STRIDE = 251
ROUNDS = 12  # at most this many syncs after the crash, a quarter of an hour apart
EDITED = "by.hand@example.com"
GONE = "(empty)"  # in place of a value: the field must be empty


@dataclass
class Scene:
    """A world, and the state that it must reach despite a crash.

    Attributes:
        due: (record, field) -> value that was paid for and must arrive, unless its answer was lost for good.
        edited: (record, field) -> value that a person entered meanwhile and that must stay.
        act: The steps that die; by default a sync.
        prepare: Earlier steps, which do not die.
        finish: Later steps of a scheduler or an admin; by default syncs until nothing is open.
        lost: The most purchases that may stay unknown: Salesfinity lookups whose answer died with the process.
        lost_twice: Whether a death and a fault may meet the same request, which is then not sent a third time.
    """

    world: World
    mappings: list[MappingFile]
    due: dict[tuple[str, str], str]
    edited: dict[tuple[str, str], str]
    act: Callable[[Harness], object] = Harness.sync
    prepare: Callable[[Harness], object] = lambda _stage: None
    finish: Callable[[Harness], object] = lambda harness: harness.other().syncs(ROUNDS)
    lost: int = 1
    lost_twice: bool = False


def lensmor_only(world: World) -> Scene:
    """Two Leads and a Contact: two share a person, one is known by LinkedIn only; a person fills in one email."""
    shared, by_link, filled = world.person(), world.person(), world.person()
    lead, contact = world.lead(shared), world.contact(shared)
    linked = world.lead(by_link, Lensmor_Personnel_Id__c=None, Lensmor_Event_Id__c=None)
    touched = world.lead(filled)
    world.clock.at(4, lambda: world.edit(touched, Email=EDITED))
    channels = {"work_email": {"from": ["lensmor"]}}
    contact_channels = {**channels, "personal_email": None}
    due = {(record, "Email"): str(who.email) for record, who in ((lead, shared), (contact, shared), (linked, by_link))}
    due |= {(record, "MobilePhone"): "" for record in (lead, contact, linked, touched)}
    mappings = [_merged("lead", channels), _merged("contact", contact_channels)]
    return Scene(world, mappings, due, {(touched, "Email"): EDITED})


def waterfall(world: World) -> Scene:
    """Lensmor fails and Salesfinity has the email; a second record needs a private address."""
    person, other = world.person(), world.person()
    world.lensmor.script(person.personnel_id, "email", "failed")
    first, second = world.lead(person), world.contact(other)
    due = {(first, "Email"): str(person.work_email), (second, "Personal_Email__c"): str(other.personal_email)}
    return Scene(world, [_merged("lead", {"phone": None}), _merged("contact", {"phone": None})], due, {})


def lost_answers(world: World) -> Scene:
    """One answer is lost after its effect and one before; Salesforce loses an answer too."""
    people = [world.person() for _ in range(3)]
    leads = [world.lead(person) for person in people]
    world.arm("lensmor", "submitEmailUnlock", "drop_after")
    world.arm("lensmor", "submitPhoneUnlock", "drop_before")
    world.arm("salesforce", "update_many", "drop_after")
    due = {(lead, "Email"): str(person.email) for lead, person in zip(leads, people, strict=True)}
    due |= {(lead, "MobilePhone"): "" for lead in leads}
    return Scene(world, [_merged("lead", {"work_email": {"from": ["lensmor"]}})], due, {}, lost=3, lost_twice=True)


def refused_writes(world: World) -> Scene:
    """A rule refuses emails until it is removed, and one row is locked for a while."""
    people = [world.person() for _ in range(3)]
    leads = [world.lead(person) for person in people]
    rule = ["no emails"]
    world.org.add_validation("Lead", lambda row: bool(rule and row["Email"] and row["Id"] == leads[0]))
    world.org.lock(leads[1], times=2)
    world.clock.at(1800, rule.clear)
    due = {(lead, "Email"): str(person.email) for lead, person in zip(leads, people, strict=True)}
    due |= {(lead, "MobilePhone"): "" for lead in leads}

    def finish(harness: Harness) -> None:
        harness.other().syncs(3)
        world.clock.advance(days=1)  # a removed rule goes unnoticed: the value is offered again once a day
        harness.other().syncs(ROUNDS)

    return Scene(world, [_merged("lead", {"work_email": {"from": ["lensmor"]}})], due, {}, finish=finish)


def frozen_plan(world: World) -> Scene:
    """Applying a frozen plan dies, and is repeated until the plan is done."""
    people = [world.person() for _ in range(3)]
    leads = [world.lead(person) for person in people]
    due = {(lead, "Email"): str(person.email) for lead, person in zip(leads, people, strict=True)}
    plans: list[FrozenPlan] = []

    def act(harness: Harness) -> None:
        plans.append(harness.plan())
        harness.apply(plans[0])

    def finish(harness: Harness) -> None:
        for _ in range(ROUNDS):
            plans[:] = plans or [harness.other().plan()]
            if not harness.other().apply(plans[0]).selected:
                break
            world.clock.advance(minutes=16)
        # The repeat of a lost request takes a hold of its own; if the ceiling has no budget for it, a sync pays.
        harness.other().syncs(ROUNDS)

    return Scene(world, [_merged("lead", {"work_email": {"from": ["lensmor"]}})], due, {}, act, finish=finish)


def undone(world: World) -> Scene:
    """A sync is undone; the undo dies and is repeated; a person's edit stays."""
    first, second = world.lead(world.person(), Email_Unlock_Status__c="Asked"), world.lead(world.person())
    runs: list[str] = []

    def undo_it(harness: Harness) -> None:
        with harness.services() as services, services.ledger.hold_run_lock():
            undo(services, runs[0])

    def act(harness: Harness) -> None:
        runs.append(harness.sync().run_id)
        world.edit(second, Email=EDITED)
        undo_it(harness.other())

    def finish(harness: Harness) -> None:
        if not runs:  # the sync died and returned no run id
            harness.other().syncs(ROUNDS)
            with harness.ledger() as ledger:
                runs.extend(run.id for run in ledger.runs.newest(50) if run.command == "sync")
            world.edit(second, Email=EDITED)
        for run_id in list(runs):
            runs[0] = run_id
            undo_it(harness.other())

    blank = {(first, "Email"): GONE, (first, "MobilePhone"): GONE, (first, "Email_Unlock_Status__c"): "Asked"}
    return Scene(
        world,
        [_merged("lead", {"work_email": {"from": ["lensmor"]}})],
        blank,
        {(second, "Email"): EDITED},
        act,
        finish=finish,
    )


def requested(world: World) -> Scene:
    """The CRM's automation sends its request again and again; the process that holds the run lock dies."""
    people = [world.person() for _ in range(2)]
    leads = [world.lead(person, Enrichment_Requested__c=False) for person in people]

    def ask(harness: Harness) -> ServiceHarness:
        service = ServiceHarness(harness.other())
        service.ask(*leads)
        service.work()
        return service

    def finish(harness: Harness) -> None:
        for _ in range(ROUNDS):
            service = ask(harness)
            world.clock.advance(minutes=15)
        assert service.request_state().state == "done"

    due = {(lead, "Email"): str(person.email) for lead, person in zip(leads, people, strict=True)}
    due |= {(lead, "MobilePhone"): "" for lead in leads}
    mappings = [_merged("lead", {"work_email": {"from": ["lensmor"]}}).model_copy(update={"schedule": None})]
    return Scene(world, mappings, due, {}, ask, finish=finish)


def restored(world: World) -> Scene:
    """Yesterday's ledger is restored after two people were bought; their records and a third are flagged again."""
    people = [world.person() for _ in range(3)]
    leads = [world.lead(person, Enrichment_Requested__c=False) for person in people]

    def prepare(harness: Harness) -> None:
        world.lead(world.person())
        harness.sync()
        world.clock.advance(hours=1)
        backup = Backup(harness)
        for lead in leads[:2]:
            world.flag(lead)
        harness.other().sync()
        backup.restore()
        for lead in leads:
            world.edit(lead, Email=None, Enriched_At__c=None, Enrichment_Requested__c=True)

    due = {(lead, "Email"): str(person.email) for lead, person in zip(leads, people, strict=True)}
    mappings = [_merged("lead", {"work_email": {"from": ["lensmor"]}, "phone": None})]
    return Scene(world, mappings, due, {}, prepare=prepare)


def shared_by_mappings(world: World) -> Scene:
    """Two people, each behind a Lead and a Contact; the Leads' cap pays for one, the Contacts' cap for the other."""
    people = [world.person() for _ in range(2)]
    records = [(world.lead(person), world.contact(person)) for person in people]
    due = {(one, "Email"): str(who.email) for pair, who in zip(records, people, strict=True) for one in pair}
    channels = {"work_email": {"from": ["lensmor"]}, "phone": None, "personal_email": None}
    mappings = [_capped(_merged(name, channels), 15) for name in ("lead", "contact")]

    def finish(harness: Harness) -> None:
        harness.other().syncs(ROUNDS)
        world.clock.advance(days=1)  # the hold of a lost request fills the day's cap, so its repeat waits
        harness.other().syncs(ROUNDS)

    return Scene(world, mappings, due, {}, finish=finish)


def clock_set_twice(world: World) -> Scene:
    """The clock is set an hour forward while a task runs, and two hours back later."""
    people = [world.person() for _ in range(2)]
    leads = [world.lead(person) for person in people]
    world.clock.at(3, lambda: world.clock.set(hours=1))
    world.clock.at(9, lambda: world.clock.set(hours=-2))
    due = {(lead, "Email"): str(person.email) for lead, person in zip(leads, people, strict=True)}
    return Scene(world, [_merged("lead", {"work_email": {"from": ["lensmor"]}})], due, {})


def by_jobs(world: World) -> Scene:
    """A backfill reads and writes by jobs; a row is locked, one is refused, and people edit before and after."""
    people = [world.person() for _ in range(4)]
    leads = [world.lead(person, Enrichment_Requested__c=False) for person in people]
    filled = world.lead(world.person(), Enrichment_Requested__c=False)
    rule = ["no emails"]
    world.org.add_validation("Lead", lambda row: bool(rule and row["Email"] and row["Id"] == leads[0]))
    world.org.lock(leads[1], times=2)
    world.clock.at(3, lambda: world.edit(filled, Email=EDITED))
    world.clock.at(900, rule.clear)
    due = {(lead, "Email"): str(person.email) for lead, person in zip(leads, people, strict=True)}
    due |= {(lead, "MobilePhone"): "" for lead in leads}

    def finish(harness: Harness) -> None:
        harness.other().backfill()
        harness.other().syncs(ROUNDS)
        world.clock.advance(days=1)  # a removed rule goes unnoticed: the value is offered again once a day
        harness.other().backfill()
        harness.other().syncs(ROUNDS)

    mappings = [_merged("lead", {"work_email": {"from": ["lensmor"]}})]
    return Scene(world, mappings, due, {(filled, "Email"): EDITED}, Harness.backfill, finish=finish)


def by_failing_jobs(world: World) -> Scene:
    """The job that writes fails halfway, and answers about it are lost."""
    people = [world.person() for _ in range(3)]
    leads = [world.lead(person, Enrichment_Requested__c=False) for person in people]
    world.arm("salesforce", "ingest_job", "job_failed")
    for operation in ("ingest_create", "ingest_upload", "ingest_state", "query_job_create", "query_job_results"):
        world.arm("salesforce", operation, "drop_after")
    due = {(lead, "Email"): str(person.email) for lead, person in zip(leads, people, strict=True)}

    def finish(harness: Harness) -> None:
        for _ in range(3):
            harness.other().backfill()
            world.clock.advance(minutes=16)
        harness.other().syncs(ROUNDS)

    mappings = [_merged("lead", {"work_email": {"from": ["lensmor"]}, "phone": None})]
    return Scene(world, mappings, due, {}, Harness.backfill, finish=finish)


SCENES = (
    lensmor_only,
    waterfall,
    lost_answers,
    refused_writes,
    frozen_plan,
    undone,
    requested,
    restored,
    shared_by_mappings,
    clock_set_twice,
    by_jobs,
    by_failing_jobs,
)


def _capped(found: MappingFile, credits_: int) -> MappingFile:
    """The mapping with the same cap per run and per day."""
    caps = {"max_credits": {"lensmor": credits_}, "max_credits_per_day": {"lensmor": credits_}}
    return found.model_copy(update={"limits": found.limits.model_copy(update=caps)})


def _merged(name: str, changes: Mapping[str, object]) -> MappingFile:
    usual = mapping(name).channels.model_dump(by_alias=True, exclude_none=True)
    channels: dict[str, object] = {}
    for key, rules in usual.items():
        change = changes.get(key, {})
        channels[key] = {**rules, **change} if isinstance(change, Mapping) else None
    return mapping(name, channels=channels)


@pytest.fixture
def play(shared_sites: SharedSites, ledgers: Ledgers) -> Iterator[Callable[..., Points]]:
    """Play a scene that dies at point k, and judge it; returns the points that it passed."""

    def once(scene_of: Callable[[World], Scene], die_at: int) -> Points:
        world = World()
        world.urls = shared_sites.show(world.simulator)
        scene = scene_of(world)
        points = Points(die_at)
        with ledgers.new() as folder:
            harness = Harness(world, folder, *scene.mappings)
            scene.prepare(harness)
            with watched(points):
                try:
                    scene.act(harness)
                except DeathError:
                    pass
                else:
                    assert not die_at or len(points.names) < die_at
            scene.finish(harness)
            _judge(harness, scene, f"at point {die_at} ({points.names[-1]})" if points.dead else "nowhere")
        return points

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "migrate", lambda _self: None)  # new ledgers have the schema already
        yield once
    shared_sites.check()


def _judge(harness: Harness, scene: Scene, where: str) -> None:
    judge(harness)
    world = scene.world
    with harness.ledger() as ledger:
        unknown = [one for one in ledger.operator.needs_a_look() if not one.unsent]
    # If the answer to a lookup died with the process, its purchase stays unknown: the vendor has no way to find it.
    excused = scene.lost_twice or all(one.provider == "salesfinity" for one in unknown)
    assert excused, f"died {where}: unknown at {unknown}"
    assert len(unknown) <= scene.lost, f"died {where}: {len(unknown)} lookups lost"
    for (record, field), value in scene.due.items():
        now = world.get(record)[field]
        if now is None and unknown:
            continue
        right = now is None if value == GONE else now == value if value else now is not None
        assert right, f"died {where}: {field} is {now}"
    for (record, field), value in scene.edited.items():
        assert world.get(record)[field] == value, f"died {where}: a person's edit is gone"
    for record, _ in scene.due:
        assert not world.get(record)["Enrichment_Requested__c"] or unknown, f"died {where}: never finished"


@pytest.mark.parametrize("scene_of", SCENES)
def test_a_crash_at_some_points_costs_nothing(play: Callable[..., Points], scene_of: Callable[[World], Scene]) -> None:
    total = len(play(scene_of, 0).names)
    for k in range(1 + SCENES.index(scene_of), total + 1, STRIDE.get(scene_of.__name__, OTHERS_STRIDE)):
        play(scene_of, k)


@pytest.mark.long
@pytest.mark.parametrize("scene_of", SCENES)
def test_a_crash_at_every_point_costs_nothing(
    play: Callable[..., Points],
    scene_of: Callable[[World], Scene],
    figures: Callable[[str, str], None],
    request: pytest.FixtureRequest,
) -> None:
    total = len(play(scene_of, 0).names)
    for k in range(1, total + 1):
        play(scene_of, k)
    on_postgres = request.config.getoption("--store") == "postgres"
    name = scene_of.__name__.replace("_", " ") + (" (PostgreSQL)" if on_postgres else "")
    figures(
        f"crash at every step: {name}", f"{total} crash points tried, 0 double charges, 0 lost values, 0 lost edits"
    )
