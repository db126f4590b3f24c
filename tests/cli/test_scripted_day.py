"""An admin's day, from an empty folder; every output is compared with a reviewed transcript in docs/transcripts.

`--keep-figures` writes the transcripts. Times, ids of runs, addresses and paths are masked.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Said
from pytest_httpserver import HTTPServer
from workspace import Workspace

from connector.simulator.new_org import forget_connector

pytest_plugins = ("cli_fixtures",)
TRANSCRIPTS = Path(__file__).parents[2] / "docs" / "transcripts"
MASKS = (
    (r'\{"time": .*\n', ""),  # log lines, which are JSON without a terminal
    (r"\d{8}T\d{6}-[0-9a-f]{6}", "20261201T090000-a1b2c3"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "2026-12-01 09:00"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z?", "2026-12-01T09:00:00Z"),
    (r"\d{4}-\d\d-\d\d", "2026-12-01"),
    (r"http://(127\.0\.0\.1|localhost):\d+", "https://crm.example.com"),
    (r"\b\d+(\.\d+)? s\b", "2 s"),
    (r"(Asking the vendors|Writing to Salesforce): \d+ open", r"\1: 4 open"),  # how far it is at that moment
    (r"[ \t]+(?=\n)", ""),
)
Step = Callable[..., Said]


def masked(text: str, folder: Path) -> str:
    for pattern, replacement in MASKS:
        text = re.sub(pattern, replacement, text)
    return text.replace(str(folder), "/srv/crm")


@pytest.fixture
def step(workspace: Workspace, request: pytest.FixtureRequest) -> Step:
    """Run a command; its output must be that of a transcript."""

    def run(name: str, code: int, *args: str, answer: str | None = None) -> Said:
        made = workspace.run(*args, answer=answer)
        assert made.code == code, made
        shown = f"$ connector {' '.join(args)}\n{made.shown}"
        keep(request, name, masked(shown, workspace.folder))
        return made

    return run


def keep(request: pytest.FixtureRequest, name: str, text: str) -> None:
    file = TRANSCRIPTS / f"{name}.txt"
    if request.config.getoption("keep_figures"):
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text, f"see the output, then: pytest {__file__} --keep-figures"


def test_a_day(workspace: Workspace, step: Step, httpserver: HTTPServer, request: pytest.FixtureRequest) -> None:
    httpserver.expect_request("/hook").respond_with_data("ok")
    shutil.rmtree(workspace.folder / "mappings")
    forget_connector(workspace.simulator)
    org, people = workspace.org, [workspace.person() for _ in range(6)]

    step("init", 0, "init", "--people", "5", "--region", "US")
    step("doctor-before", 2, "doctor", "-m", "lead")
    step("provision", 0, "provision", "-m", "lead", "--apply", "--yes", "--assign", "integration@example.com")
    workspace.set(CONNECTOR_ALERT_WEBHOOK_URL=httpserver.url_for("/hook"))
    step("doctor", 0, "doctor", "-m", "lead")

    leads = [
        org.insert(
            "Lead",
            {
                "LastName": "Sample",
                "Company": "Example Works",
                "LinkedIn_Profile__c": f"https://www.linkedin.com/in/{person.linkedin_name}",
                **more,
            },
        )
        for person, more in zip(
            people, ({}, {}, {}, {"HasOptedOutOfEmail": True, "DoNotCall": True}, {}, {}), strict=True
        )
    ]
    workspace.simulator.lensmor.script(people[1].personnel_id, "phone", "failed")
    chosen = workspace.folder / "chosen.csv"
    chosen.write_text("Id\n" + "".join(f"{one}\n" for one in leads[:4]))
    step("plan", 0, "plan", "-m", "lead", "--ids", "chosen.csv")
    step("backfill-no", 2, "backfill", "-m", "lead", "--ids", "chosen.csv", answer="n\n")
    assert workspace.paid_posts == 0
    step("backfill", 0, "backfill", "-m", "lead", "--ids", "chosen.csv", answer="y\n")
    first = workspace.run("runs", "--json").json["runs"][0]["run_id"]

    org.edit("Lead", leads[0], {"Email": "edited@example.net"})
    org.edit("Lead", leads[4], {"Enrichment_Requested__c": True})
    step("sync", 0, "sync", "-m", "lead")

    org.edit("Lead", leads[5], {"Enrichment_Requested__c": True})
    org.hide_field("Lead", "Email_Unlock_Status__c")
    before = workspace.paid_posts
    step("sync-broken", 2, "sync", "-m", "lead")
    assert workspace.paid_posts == before
    sent = next(json.loads(asked.data)["text"] for asked, _ in httpserver.log)
    keep(request, "alert", masked(f"{sent}\n", workspace.folder))

    org.grant_field("Lead", "Email_Unlock_Status__c")
    step("sync-repaired", 0, "sync", "-m", "lead")
    step("report", 0, "report", first, "--html", "run.html")
    step("undo", 3, "undo", first, "--yes")
    assert org.get("Lead", leads[0])["Email"] == "edited@example.net", "a person's edit stays"
    assert org.get("Lead", leads[1])["Email"] is None
    step("runs", 0, "runs")
    assert workspace.simulator.charges.doubles() == []
