"""Kill the process at every point of a whole sync, start it again, and let the vendors' own books judge.

The short form dies at every eleventh point; `make test-long` dies at every one.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from conftest import MEMORY
from crash_points import DeathError, Points, watched
from engine_judge import judge
from stage import Stage, World, mapping
from switchboard import Switchboard

from connector.core.mapping import MappingFile

# Whoever dies leaves sockets open; what finds them later warns.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
STRIDE = 11
ROUNDS = 12  # syncs after the crash at most, a quarter of an hour apart
EDITED = "by.hand@example.com"


@dataclass
class Scene:
    """A world, and what must be true of it in the end whatever happened.

    Attributes:
        due: (record, field) -> value that was paid for and must arrive, unless its answer was lost for good.
        edited: (record, field) -> value that a person put there meanwhile and that must stay.
    """

    world: World
    mappings: list[MappingFile]
    due: dict[tuple[str, str], str]
    edited: dict[tuple[str, str], str]


def lensmor_only(world: World) -> Scene:
    """Two Leads and a Contact; two of them are one person, one is found by LinkedIn; somebody fills in an email."""
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
    """Lensmor fails, Salesfinity has the email; and a private address besides."""
    person, other = world.person(), world.person()
    world.lensmor.script(person.personnel_id, "email", "failed")
    first, second = world.lead(person), world.contact(other)
    due = {(first, "Email"): str(person.work_email), (second, "Personal_Email__c"): str(other.personal_email)}
    return Scene(world, [_merged("lead", {"phone": None}), _merged("contact", {"phone": None})], due, {})


SCENES = (lensmor_only, waterfall)


def _merged(name: str, changes: Mapping[str, object]) -> MappingFile:
    usual = mapping(name).channels.model_dump(by_alias=True, exclude_none=True)
    channels: dict[str, object] = {}
    for key, rules in usual.items():
        change = changes.get(key, {})
        channels[key] = {**rules, **change} if isinstance(change, Mapping) else None
    return mapping(name, channels=channels)


@pytest.fixture
def play(switchboard: Switchboard, blank_ledger: Path) -> Iterator[Callable[..., Points]]:
    """Play a scene, dying at point k; judge it; give back the points that were passed."""

    def once(scene_of: Callable[[World], Scene], die_at: int) -> Points:
        world = World()
        world.urls = switchboard.show(world.simulator)
        scene = scene_of(world)
        points = Points(die_at)
        with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
            folder = Path(shutil.copytree(blank_ledger, name, dirs_exist_ok=True))
            stage = Stage(world, folder, *scene.mappings)
            with watched(points):
                try:
                    stage.sync()
                except DeathError:
                    pass
                else:
                    assert not die_at or len(points.names) < die_at
            stage.other().syncs(ROUNDS)
            _judge(stage, scene, f"at point {die_at} ({points.names[-1]})" if points.dead else "nowhere")
        return points

    yield once
    switchboard.check()


def _judge(stage: Stage, scene: Scene, where: str) -> None:
    judge(stage)
    world = scene.world
    with stage.ledger() as ledger:
        unknown = ledger.operator.needs_a_look()
    # A lookup whose answer died with the process cannot be told by anybody: unknown, by the vendor's contract.
    assert all(one.provider == "salesfinity" for one in unknown), f"died {where}: unknown at {unknown}"
    assert len(unknown) <= 1, f"died {where}: more than one lookup lost"
    for (record, field), value in scene.due.items():
        now = world.get(record)[field]
        if now is None and unknown:
            continue
        assert now == value if value else now is not None, f"died {where}: {field} is {now}"
    for (record, field), value in scene.edited.items():
        assert world.get(record)[field] == value, f"died {where}: a person's edit is gone"
    for record, _ in scene.due:
        assert not world.get(record)["Enrichment_Requested__c"] or unknown, f"died {where}: never finished"


@pytest.mark.parametrize("scene_of", SCENES)
def test_a_death_at_some_points_of_a_sync_costs_nothing(
    play: Callable[..., Points], scene_of: Callable[[World], Scene]
) -> None:
    total = len(play(scene_of, 0).names)
    for k in range(1 + SCENES.index(scene_of), total + 1, STRIDE):
        play(scene_of, k)


@pytest.mark.long
@pytest.mark.parametrize("scene_of", SCENES)
def test_a_death_at_every_point_of_a_sync_costs_nothing(
    play: Callable[..., Points], scene_of: Callable[[World], Scene]
) -> None:
    total = len(play(scene_of, 0).names)
    for k in range(1, total + 1):
        play(scene_of, k)
    print(f"{scene_of.__name__}: {total} crash points tried, 0 double charges, 0 lost values")  # noqa: T201 the proof's figures
