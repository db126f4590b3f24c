"""`report`: the page of a run has the figures of its report, and that of a period the sum of its runs."""

import re
from datetime import UTC, datetime

import pytest
from workspace import NEVER_SHOWN, Workspace

from connector.app.ledger_access import LedgerAccess
from connector.app.pages import period_page, run_page
from connector.app.past_runs import find_run
from connector.core.pages import RunPage
from connector.simulator.faults import FOREVER, Fault

pytest_plugins = ("cli_fixtures",)


def page_of(run: str = "latest") -> RunPage:
    access = LedgerAccess()
    with access.ledger() as ledger:
        return run_page(ledger, access.configured, find_run(ledger, run))


def some_leads(workspace: Workspace) -> None:
    failing = workspace.person()
    workspace.simulator.lensmor.script(failing.personnel_id, "phone", "failed")
    for person in (failing, workspace.person(), workspace.person()):
        workspace.lead(person)
    workspace.lead(HasOptedOutOfEmail=True, DoNotCall=True)
    workspace.lead(Lensmor_Personnel_Id__c=None, LinkedIn_URL__c=None)


def test_the_page_of_a_run_has_the_figures_of_its_report(workspace: Workspace) -> None:
    some_leads(workspace)
    report = workspace.run("sync", "-m", "lead", "--json").json
    page = page_of()
    assert dict(page.funnel)["selected"] == page.selected == report["selected"] == 5
    assert page.outcomes == {name: count for name, count in report["outcomes"].items() if count}
    assert {(one.provider, one.channel): one.credits for one in page.money} == {
        (provider, channel): figures["credits"]
        for provider, channels in report["purchases"].items()
        for channel, figures in channels.items()
        if any(figures.values())
    }
    assert {one.field: one.written for one in page.fields}["Email"] == 3
    assert all(one.written == one.restorable for one in page.fields if one.field != "Enrichment_Requested__c")
    assert sum(one.requests for one in page.timeline) == workspace.paid_posts
    assert sum(one.answers for one in page.timeline) == workspace.paid_posts
    assert sum(one.people for one in page.slowest) == 6


def test_the_file_stands_alone_and_has_no_personal_data(workspace: Workspace) -> None:
    some_leads(workspace)
    workspace.run("sync", "-m", "lead")
    made = workspace.run("report", "latest", "--html", "run.html")
    assert (made.code, made.out.strip()) == (0, "Written to run.html")
    page = (workspace.folder / "run.html").read_text(encoding="utf-8")
    assert [text for text in NEVER_SHOWN if text in page] == []
    assert "opted out (HasOptedOutOfEmail)" in page
    piped = workspace.run("report", "latest", "--html", "-")
    assert piped.out == page


def test_attention_leads_to_the_record_in_the_org(workspace: Workspace) -> None:
    lead = workspace.lead()
    errors = [{"code": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "no", "fields": ["Email"]}]
    rule = {"when_fields": ["Email"], "errors": errors}
    workspace.simulator.arm(Fault("salesforce", "update_many", "row_rule", FOREVER, params=rule))
    assert workspace.run("sync", "-m", "lead").code == 3
    (entry,) = page_of().attention
    assert entry.record_id == lead
    assert entry.url == f"{workspace.settings['SALESFORCE_INSTANCE_URL']}/{lead}"


def test_an_undo_leaves_nothing_to_restore(workspace: Workspace) -> None:
    workspace.lead()
    workspace.run("sync", "-m", "lead")
    run = page_of().run_id
    workspace.run("undo", run, "--yes")
    page = page_of(run)
    assert page.undone_by
    assert {one.restorable for one in page.fields} == {0}
    assert f"Undone by run {page.undone_by}" in workspace.run("report", run, "--html", "-").out


def test_a_period_is_the_sum_of_its_runs_without_undos(workspace: Workspace) -> None:
    reports = []
    for _ in range(2):
        some_leads(workspace)
        reports.append(workspace.run("sync", "-m", "lead", "--json").json)
    workspace.run("undo", "latest", "--yes")
    access = LedgerAccess()
    now = datetime.now(UTC)
    with access.ledger() as ledger:
        page = period_page(ledger, now.replace(year=now.year - 1), now)
    assert page.runs == 2
    assert page.selected == sum(report["selected"] for report in reports)
    assert page.outcomes["delivered"] == sum(report["outcomes"]["delivered"] for report in reports)
    charged = sum(report["credits"]["lensmor"]["charged"] for report in reports)
    assert sum(one.credits["lensmor"] for one in page.weeks) == charged
    assert [(one.name, one.runs) for one in page.mappings] == [("lead", 2)]
    shown = workspace.run("report", "--since", "365d", "--html", "-").out
    assert re.search(rf"<dd>{charged:,}</dd>", shown)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--html", "x.html"), "name a run (latest, or its id), or a period (--since 30d)"),
        (("latest", "--since", "3d", "--html", "x.html"), "name a run"),
        (("--since", "a while", "--html", "x.html"), "--since: write a whole number and m, h or d"),
        (("nothing", "--html", "x.html"), "no run has the id 'nothing'"),
        (("latest", "--html", "nowhere/x.html"), "nowhere/x.html cannot be written"),
    ],
)
def test_wrong_options_are_explained(workspace: Workspace, options: tuple[str, ...], words: str) -> None:
    workspace.lead()
    workspace.run("sync", "-m", "lead")
    result = workspace.run("report", *options)
    assert result.code == 2
    assert words in result.err
    assert not (workspace.folder / "x.html").exists()
