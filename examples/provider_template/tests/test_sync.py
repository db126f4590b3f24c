"""A whole sync with Findwell beside Lensmor and Salesfinity, through the connector's commands alone."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from findwell.site import KEY, PRICES, FindwellSite, Running

MAPPING = Path(__file__).parents[1] / "lead.yaml"
SPEED = 200.0
PATIENCE_S = 36_000  # three real minutes: a slow machine needs longer than the usual wait for the same run
CONNECTOR = (sys.executable, "-c", "from connector.cli.entry import main; main()")


def knows_half(known_as: str) -> bool:
    """Some people are known to the site, others not, always the same ones."""
    return hashlib.sha256(known_as.encode()).digest()[0] % 2 == 0


@pytest.fixture
def site() -> FindwellSite:
    began_s = time.monotonic()
    return FindwellSite(lambda: (time.monotonic() - began_s) * SPEED, knows_half)


@pytest.fixture
def folder(tmp_path: Path, site: FindwellSite) -> Iterator[Path]:
    """A folder with the settings of a rehearsal; its sites run while the test does."""
    with Running(site) as running, simulated(tmp_path) as env_file:
        with env_file.open("a") as file:
            file.write(f"FINDWELL_BASE_URL={running.url}\nFINDWELL_API_KEY={KEY}\n")
            file.write(f"CONNECTOR_WAIT_SECONDS={PATIENCE_S}\n")
        yield tmp_path


@contextmanager
def simulated(folder: Path, mapping: Path = MAPPING) -> Iterator[Path]:
    """The simulated Salesforce, Lensmor and Salesfinity, with their settings in `.env`."""
    env_file = folder / ".env"
    command = [*CONNECTOR, "simulate", "-m", str(mapping), "--speed", str(SPEED), "--write-env", str(env_file)]
    with subprocess.Popen(command, cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = ""
            while "Ctrl-C stops" not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            yield env_file
        finally:
            process.terminate()
            process.stderr.read()


def environment() -> dict[str, str]:
    """Of a command: no settings but those of its `.env` file."""
    own = ("CONNECTOR_", "SALESFORCE_", "LENSMOR_", "SALESFINITY_", "FINDWELL_", "HUBSPOT_")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    """The standard output of one command."""
    done = subprocess.run([*CONNECTOR, *arguments], cwd=folder, env=environment(), capture_output=True, text=True,
                          timeout=300, check=False)  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout


def test_a_sync_asks_findwell_first_and_the_others_for_the_rest(folder: Path, site: FindwellSite) -> None:
    report = json.loads(run(folder, "sync", "-m", str(MAPPING), "--json"))
    bought = {name: {channel: found["bought"] for channel, found in channels.items()}
              for name, channels in report["purchases"].items()}  # fmt: skip
    assert bought["findwell"]["work_email"] > 0
    assert bought["findwell"]["phone"] > 0
    assert bought["lensmor"]["work_email"] > 0
    assert bought["salesfinity"]["work_email"] > 0
    assert report["channels"]["work_email"]["delivered"] > report["purchases"]["findwell"]["work_email"]["delivered"]
    assert report["credits"]["findwell"]["charged"] == site.sold > 0
    found = report["purchases"]["findwell"]
    assert site.sold == sum(PRICES[word] * found[channel]["delivered"]
                            for channel, word in (("work_email", "email"), ("phone", "phone")))  # fmt: skip
    assert len(set(site.orders)) == len(site.orders), "nobody is charged twice"

    again = json.loads(run(folder, "sync", "-m", str(MAPPING), "--json"))
    assert again["purchases"].get("findwell", {}) == {}
    assert again["credits"]["findwell"]["charged"] == 0
    assert again["crm"]["salesforce"]["records_written"] == 0


def test_the_commands_know_the_vendor(folder: Path) -> None:
    checked = run(folder, "doctor", "-m", str(MAPPING))
    assert "findwell" in checked
    assert "credits" in json.loads(run(folder, "plan", "-m", str(MAPPING), "--json"))
    schema = json.loads(run(folder, "schema"))
    person = schema["$defs"]["PersonFields"]["properties"]
    assert {"full_name", "company_domain", "linkedin_url", "personnel_id"} <= person.keys()
    with (folder / ".env").open("a") as file:
        file.write("CONNECTOR_MAX_CREDITS_PER_DAY_FINDWELL=10\nFINDWELL_EMAIL_CREDIT=3\n")
    refused = subprocess.run([*CONNECTOR, "plan", "-m", str(MAPPING)], cwd=folder, env=environment(),
                             capture_output=True, text=True, check=False)  # fmt: skip
    assert refused.returncode == 2
    assert "FINDWELL_EMAIL_CREDITS" in refused.stderr, "a misspelt setting is answered with the right name"


def test_other_mappings_do_not_need_its_settings(tmp_path: Path) -> None:
    other = Path(__file__).parents[3] / "mappings" / "lead.yaml"
    with simulated(tmp_path, other):
        assert "findwell" not in json.loads(run(tmp_path, "plan", "-m", str(other), "--json"))["credits"]
