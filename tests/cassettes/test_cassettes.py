"""The recorded exchanges, replayed through the true clients: what is sent must match, what comes must be understood."""

from pathlib import Path

import pytest
import scenes_vendors
from cassette_recording import CASSETTES, SCENES, path_of, record_simulated, replay
from ruamel.yaml import YAML
from scene_setting import DOCUMENTED, Scene, Setting
from vcr.errors import CannotOverwriteExistingCassetteException

EDGES = ("lensmor", "salesfinity", "salesforce")
NAMES = ("success", "partial", "rate_limited", "refused", "broken")


def test_every_edge_has_every_scene_and_there_is_no_other_cassette() -> None:
    assert {(scene.edge, scene.name) for scene in SCENES} == {(edge, name) for edge in EDGES for name in NAMES}
    kept = {path.relative_to(CASSETTES) for path in CASSETTES.rglob("*") if path.is_file()}
    assert kept == {path_of(scene).relative_to(CASSETTES) for scene in SCENES} | {Path("README.md")}


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_a_cassette_plays_to_its_end(scene: Scene) -> None:
    setting, cassette = replay(scene)
    assert cassette.all_played
    assert cassette.play_count == len(cassette)
    assert setting.opened


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_only_documented_addresses_stand_in_a_cassette(scene: Scene) -> None:
    recorded = YAML(typ="safe", pure=True).load(path_of(scene))
    uris = [interaction["request"]["uri"] for interaction in recorded["interactions"]]
    assert uris
    assert all(uri.startswith(DOCUMENTED[scene.edge] + "/") for uri in uris)


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_what_is_recorded_today_plays_as_well(scene: Scene, tmp_path: Path) -> None:
    record_simulated(scene, tmp_path)
    _, cassette = replay(scene, tmp_path)
    assert cassette.all_played


def test_a_request_that_is_not_in_the_cassette_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The replay can fail: another body, here another event, is another request."""
    monkeypatch.setattr(scenes_vendors, "EVENT", "52999")
    partial = next(scene for scene in SCENES if str(scene) == "lensmor-partial")
    with pytest.raises(CannotOverwriteExistingCassetteException, match="52999"):
        replay(partial)


def test_a_cassette_that_is_not_played_to_its_end_is_noticed() -> None:
    first = SCENES[0]

    def only_the_balance(setting: Setting) -> None:
        assert setting.vendor("lensmor").balance() == 100_000

    _, cassette = replay(Scene(first.edge, first.name, only_the_balance, first.arrange))
    assert not cassette.all_played


def test_a_scene_that_fails_replaces_nothing(tmp_path: Path) -> None:
    first = SCENES[0]

    def fail(setting: Setting) -> None:
        setting.vendor("lensmor").balance()
        raise AssertionError("not as expected")

    kept = path_of(first, tmp_path)
    kept.parent.mkdir()
    kept.write_text("what was kept", encoding="utf-8")
    with pytest.raises(AssertionError, match="not as expected"):
        record_simulated(Scene(first.edge, first.name, fail, first.arrange), tmp_path)
    assert kept.read_text(encoding="utf-8") == "what was kept"
    assert list(kept.parent.iterdir()) == [kept]
