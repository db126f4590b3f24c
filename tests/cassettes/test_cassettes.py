"""The recorded exchanges, replayed through the real clients: requests must match, answers must be understood."""

from pathlib import Path

import pytest
import scenes_vendors
from cassette_recording import CASSETTES, SCENES, path_of, record_simulated, replay
from ruamel.yaml import YAML
from scene_setting import DOCUMENTED, Scene, Setting
from vcr.errors import CannotOverwriteExistingCassetteException

EDGES = ("lensmor", "salesfinity", "salesforce")
NAMES = ("success", "partial", "rate_limited", "refused", "broken")


def test_every_edge_has_exactly_the_expected_cassettes() -> None:
    assert {(scene.edge, scene.name) for scene in SCENES} == {(edge, name) for edge in EDGES for name in NAMES}
    kept = {path.relative_to(CASSETTES) for path in CASSETTES.rglob("*") if path.is_file()}
    assert kept == {path_of(scene).relative_to(CASSETTES) for scene in SCENES} | {Path("README.md")}


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_every_cassette_replays_completely(scene: Scene) -> None:
    setting, cassette = replay(scene)
    assert cassette.all_played
    assert cassette.play_count == len(cassette)
    assert setting.opened


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_cassettes_contain_only_documented_addresses(scene: Scene) -> None:
    recorded = YAML(typ="safe", pure=True).load(path_of(scene))
    uris = [interaction["request"]["uri"] for interaction in recorded["interactions"]]
    assert uris
    assert all(uri.startswith(DOCUMENTED[scene.edge] + "/") for uri in uris)


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_a_new_recording_replays(scene: Scene, tmp_path: Path) -> None:
    record_simulated(scene, tmp_path)
    _, cassette = replay(scene, tmp_path)
    assert cassette.all_played


def test_an_unrecorded_request_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The replay can fail: a different body, here with another event, is a different request."""
    monkeypatch.setattr(scenes_vendors, "EVENT", "52999")
    partial = next(scene for scene in SCENES if str(scene) == "lensmor-partial")
    with pytest.raises(CannotOverwriteExistingCassetteException, match="52999"):
        replay(partial)


def test_an_incomplete_replay_fails() -> None:
    first = SCENES[0]

    def only_the_balance(setting: Setting) -> None:
        assert setting.vendor("lensmor").balance() == 100_000

    _, cassette = replay(Scene(first.edge, first.name, only_the_balance, first.arrange))
    assert not cassette.all_played


def test_a_failed_scene_replaces_nothing(tmp_path: Path) -> None:
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
