"""Cassettes contain no secrets and no personal data: both are found and replaced."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from cassette_recording import CASSETTES, SCENES, path_of, record_real, record_simulated
from cassette_scrub import REQUEST_HEADERS, RESPONSE_HEADERS, Scrubber, secrets_in
from ruamel.yaml import YAML
from scene_setting import ADA, Scene, Setting
from vcr.request import Request

TOOL = CASSETTES.parent / "tools" / "record_cassettes.py"
HOST = "https://acme.my.salesforce.com"
SECRETS = {
    "authorization": "authorization:\n- Bearer abc",
    "basic": "Basic c2ltLWNsaWVudDpzZWNyZXQ=",
    "cookie": "Set-Cookie:\n- BrowserId=abc",
    "key header": "X-Api-Key: abc",
    "key": "uak_0a1b2c3d",
    "newer key": "sk_live_0a1b2c3d",
    "simulated key": "sim-lensmor-key",
    "secret": '"client_secret": "abc"',
    "assertion": "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhIn0.abc",
    "token": "00D5g000004XyzEAC!AQcAQH0dMHZfz972Szmpkb58urFRkgeBGsxL_QJWwYMfAbUeeG7c1E6",
    "org id": "https://login.salesforce.com/id/00D5g000004XyzE/005xx",
    "loopback": "http://127.0.0.1/x",
    "port": "https://platform.lensmor.com:8443/x",
    "email": "someone@acme.test",
    "phone": "+44 20 7946 0958",
}


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_no_cassette_holds_a_secret_or_a_persons_data(scene: Scene) -> None:
    text = path_of(scene).read_text(encoding="utf-8")
    assert secrets_in(text) == []
    for interaction in YAML(typ="safe", pure=True).load(text)["interactions"]:
        assert {name.lower() for name in interaction["request"]["headers"]} <= REQUEST_HEADERS
        assert {name.lower() for name in interaction["response"]["headers"]} <= RESPONSE_HEADERS
        assert secrets_in(json.dumps(interaction)) == []  # as one line: YAML folds long texts


@pytest.mark.parametrize("name", SECRETS)
def test_a_planted_secret_is_found(name: str) -> None:
    clean = path_of(SCENES[0]).read_text(encoding="utf-8")
    assert secrets_in(clean + SECRETS[name])


def test_a_realistic_exchange_is_scrubbed_consistently() -> None:
    scrubber = Scrubber({HOST: "https://example.my.salesforce.com", "the-client": "scrubbed"})
    person = {
        "fullName": "Jane Q. Real",
        "companyName": "Real Works",
        "title": "Head of Things",
        "email": "jane@real.test",
        "phone": "(020) 7946 0958",
        "linkedinUrl": "https://www.linkedin.com/in/jane-q-real/",
        "id": "70011",
    }
    body = {
        "person": person,
        "access_token": SECRETS["token"],
        "link": f"/secur/frontdoor.jsp?sid={SECRETS['token']}",
        "org": "00D5g000004XyzEAC",
        "client_id": "the-client",
    }
    headers = {"Content-Type": ["application/json"], "Set-Cookie": ["a=b"], "Server": ["sfdc"]}
    response = scrubber.response({"headers": headers, "body": {"string": json.dumps(body).encode()}})
    assert response["headers"] == {"Content-Type": ["application/json"]}
    scrubbed = json.loads(response["body"]["string"])
    assert secrets_in(json.dumps(scrubbed)) == []
    assert scrubbed["link"] == "/secur/frontdoor.jsp?sid=scrubbed-token"
    assert scrubbed["person"] == {
        "fullName": "Example Person",
        "companyName": "Example Works",
        "title": "Example",
        "email": "person-1@example.com",
        "phone": "+1 415 555 1002",
        "linkedinUrl": "https://www.linkedin.com/in/example-person-3/",
        "id": "70011",
    }

    sent = Request(
        "PATCH",
        f"{HOST}/services/data/v67.0/x?q=jane-q-real",
        json.dumps({"Email": "jane@real.test", "Phone": "(020) 7946 0958"}).encode(),
        {"Authorization": "Bearer x", "Content-Type": "application/json", "Cookie": "a=b"},
    )
    request = scrubber.request(sent)
    assert request.uri == "https://example.my.salesforce.com/services/data/v67.0/x?q=example-person-3"
    assert json.loads(request.body) == {"Email": "person-1@example.com", "Phone": "+1 415 555 1002"}
    assert dict(request.headers) == {"Content-Type": "application/json"}
    again = (request.uri, request.body)
    assert (scrubber.request(request).uri, request.body) == again, "a replay scrubs what is scrubbed already"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"access_token": "secret-token", "fullName": "Jane Q. Real", "phone": "020 7946 0958", "email": "jane@real.t',
        b"<html><p>jane@real.test +44 20 7946 0958</p></html>",
    ],
)
def test_pages_and_truncated_json_are_scrubbed(raw: bytes) -> None:
    text = Scrubber({}).body(raw).decode()
    assert not any(word in text for word in ("secret-token", "Jane", "7946", "jane@real"))
    assert secrets_in(text) == []


def test_a_leaking_recording_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cassette_recording.secrets_in", lambda _: ["an email"])
    with pytest.raises(ValueError, match="lensmor-success is not kept, for it holds an email"):
        record_simulated(SCENES[0], tmp_path)
    assert list(tmp_path.rglob("*.yaml")) == []


# -- recording from the real services ----------------------------------------------------------------------------


def test_a_real_recording_replays_with_the_constants(tmp_path: Path) -> None:
    """Played against the simulated site as if it were the real one: other ids, another address, the same code path."""
    from cassette_recording import replay
    from scene_setting import EVENT, PERSON
    from scenes_vendors import people

    from connector.simulator.clock import SimClock
    from connector.simulator.people import SimEvent, SimPerson
    from connector.simulator.server import Simulator

    def seed(sim: Simulator) -> None:
        people(sim)
        sim.lensmor.task_seconds = 0.0
        sim.lensmor.add_event(SimEvent("4711", "94711", "Fair", "2027-01-01", "2027-01-02", "Ghent", "Belgium"))
        sim.lensmor.add_person(
            SimPerson("998877", "Jane Real", linkedin_name="josé-real", event_ids=("94711",), email="jane@example.com")
        )

    success = SCENES[0]
    with Simulator(SimClock(), seed=seed) as sim:
        environment = {
            "LENSMOR_BASE_URL": sim.start().lensmor,
            "LENSMOR_API_KEY": "sim-lensmor-key",
            "RECORD_PERSONNEL_ID": "998877",
            "RECORD_EVENT_ID": "94711",
            "RECORD_LINKEDIN_NAME": "josé-real",
        }
        text = record_real(success, environment, tmp_path).read_text(encoding="utf-8")
    assert not any(real in text for real in ("998877", "94711", "Jane", "josé", "jos%", "Fair "))
    assert PERSON in text
    assert EVENT in text
    assert ADA in text
    assert replay(success, tmp_path)[1].all_played


def test_misbehaviour_is_never_recorded_at_a_real_service(tmp_path: Path) -> None:
    def never(_: Setting) -> None:
        raise AssertionError("played")

    scene = Scene("lensmor", "broken", never, SCENES[0].arrange)
    with pytest.raises(ValueError, match="misbehaves on request"):
        record_real(scene, {}, tmp_path)


@pytest.mark.parametrize("edge", ["lensmor", "salesfinity", "salesforce"])
@pytest.mark.parametrize("accepted", [False, True])
def test_the_command_needs_confirmation_and_settings(
    edge: str, accepted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith(("LENSMOR_", "SALESF", "RECORD_"))]:
        monkeypatch.delenv(name)
    arguments = ["--real", edge, "--into", str(tmp_path), *(["--accept-costs"] if accepted else [])]
    assert runpy.run_path(str(TOOL))["main"](arguments) == 2
    told = capsys.readouterr().err
    assert "costs" in told
    assert ("is not set" if accepted else "--accept-costs") in told
    assert "nothing was sent" in told.lower()
    assert list(tmp_path.iterdir()) == []


def test_the_documented_command(tmp_path: Path) -> None:
    arguments = ["--edge", "salesfinity", "--scene", "refused", "--into", str(tmp_path)]
    command = [sys.executable, str(TOOL), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 our own
    assert (done.returncode, done.stderr) == (0, "")
    assert [str(path) for path in tmp_path.rglob("*.yaml")] == done.stdout.splitlines()
    assert f"tools/{TOOL.name}" in (CASSETTES / "README.md").read_text(encoding="utf-8")
