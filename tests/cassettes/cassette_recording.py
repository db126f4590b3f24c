"""Recording scenes and playing them: one VCR configuration for both."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import scenes_salesforce
import scenes_vendors
import vcr
from cassette_scrub import Scrubber, secrets_in
from scene_setting import ADA, DOCUMENTED, EVENT, LEADS, PERSON, VERSION, Scene, Setting

from connector.simulator.clock import SimClock
from connector.simulator.server import Simulator

CASSETTES = Path(__file__).parents[2] / "cassettes"
SCENES = (*scenes_vendors.SCENES, *scenes_salesforce.SCENES)
START = 1_795_168_800.0  # 2026-11-20T10:00:00Z: every recording has the same times
SIMULATED = {
    "lensmor": "sim-lensmor-key",
    "salesfinity": "sim-salesfinity-key",
    "client_id": "sim-client-id",
    "client_secret": "sim-client-secret",
    "wrong": "not-the-key",
}
REPLAYED = dict.fromkeys(SIMULATED, "no-key-is-needed")
INVENTED_NAMES = frozenset({ADA, "bo-sample-example", "nobody-of-this-name"})
MATCH_ON = ("method", "scheme", "host", "port", "path", "query", "body")


def path_of(scene: Scene, folder: Path = CASSETTES) -> Path:
    """The path of the scene's cassette."""
    return folder / scene.edge / f"{scene.name}.yaml"


def player(scrubber: Scrubber, mode: str) -> Any:  # noqa: ANN401 vcr has no types
    """The VCR configuration for recording and replaying."""
    return vcr.VCR(
        record_mode=mode,
        match_on=MATCH_ON,
        before_record_request=scrubber.request,
        before_record_response=scrubber.response,
        decode_compressed_response=True,
    )


def replay(scene: Scene, folder: Path = CASSETTES) -> tuple[Setting, Any]:
    """Replay a scene from its cassette, through the real clients at the documented addresses; nothing is sent.

    Returns:
        The setting, and the cassette, which records the played requests.
    """
    setting = Setting(DOCUMENTED, REPLAYED)
    try:
        with player(Scrubber({}, INVENTED_NAMES), "none").use_cassette(str(path_of(scene, folder))) as cassette:
            scene.play(setting)
    finally:
        setting.close()
    return setting, cassette


def record_simulated(scene: Scene, folder: Path = CASSETTES) -> Path:
    """Play a scene against the simulated sites and record the exchanges."""
    now = [START]
    with Simulator(SimClock(source=lambda: now[0]), seed=scene.arrange) as sim:
        urls = sim.start()
        by_edge = {"lensmor": urls.lensmor, "salesfinity": urls.salesfinity, "salesforce": urls.salesforce}

        def wait(seconds: float) -> None:
            now[0] += seconds

        known = {by_edge[edge]: DOCUMENTED[edge] for edge in by_edge}
        known |= {url.replace("http:", "https:"): DOCUMENTED[edge] for edge, url in by_edge.items()}
        setting = Setting(by_edge, SIMULATED, wait=wait)
        return _record(scene, setting, Scrubber(known, INVENTED_NAMES), folder)


def record_real(scene: Scene, environment: Mapping[str, str], folder: Path = CASSETTES) -> Path:
    """Play a scene against the real service. It spends `scene.costs`.

    Raises:
        KeyError: a setting is missing from the environment.
        ValueError: the scene can only be played against the simulated sites.
    """
    if scene.costs is None:
        raise ValueError(f"{scene} needs a site that misbehaves on request")
    setting, known = _real_setting(scene.edge, environment)
    return _record(scene, setting, Scrubber(known, INVENTED_NAMES), folder)


def _real_setting(edge: str, environment: Mapping[str, str]) -> tuple[Setting, dict[str, str]]:
    if edge == "salesforce":
        url = environment["SALESFORCE_INSTANCE_URL"].rstrip("/")
        secrets = {
            "client_id": environment["SALESFORCE_CLIENT_ID"],
            "client_secret": environment["SALESFORCE_CLIENT_SECRET"],
        }
        people = {LEADS[0]: environment["RECORD_LEAD_ID"]}
    else:
        url = environment.get(f"{edge.upper()}_BASE_URL", DOCUMENTED[edge]).rstrip("/")
        secrets = {edge: environment[f"{edge.upper()}_API_KEY"]}
        people = {ADA: environment["RECORD_LINKEDIN_NAME"]}
        if edge == "lensmor":
            people |= {PERSON: environment["RECORD_PERSONNEL_ID"], EVENT: environment["RECORD_EVENT_ID"]}
    known = {real: constant for constant, real in people.items()} | {url: DOCUMENTED[edge]}
    known |= {form: constant for constant, real in people.items() for form in (quote(real), quote(quote(real)))}
    known |= dict.fromkeys(secrets.values(), "scrubbed")
    version = environment.get("SALESFORCE_API_VERSION", VERSION)
    known[f"/v{version}/"] = f"/v{VERSION}/"
    return Setting({edge: url}, secrets, people, wait=time.sleep, version=version), known


def _record(scene: Scene, setting: Setting, scrubber: Scrubber, folder: Path) -> Path:
    """Record to a new file, which replaces the cassette only if the scene succeeds and nothing leaks."""
    kept = path_of(scene, folder)
    with tempfile.TemporaryDirectory() as temporary:
        fresh = Path(temporary) / kept.name
        try:
            with player(scrubber, "all").use_cassette(str(fresh)):
                scene.play(setting)
        finally:
            setting.close()
        text = fresh.read_text(encoding="utf-8")
    leaks = secrets_in(text)
    if leaks:
        raise ValueError(f"{scene} is not kept, for it holds {', '.join(leaks)}")
    kept.parent.mkdir(parents=True, exist_ok=True)
    fresh = kept.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    return fresh.replace(kept)
