"""plan --out and apply: a file without personal data, a question, and refusals with the next step."""

import json
import re
from pathlib import Path

import pytest
from workspace import NEVER_SHOWN, Workspace, outcome_of

pytest_plugins = ("cli_fixtures",)


def frozen(workspace: Workspace, *more: str) -> Path:
    result = workspace.run("plan", "-m", "lead", "--out", "plan.json", *more)
    assert result.code == 0
    assert "connector apply plan.json" in result.err
    return workspace.folder / "plan.json"


def test_a_plan_is_frozen_and_applied(workspace: Workspace) -> None:
    lead = workspace.lead()
    path = frozen(workspace)
    assert workspace.paid_posts == 0
    text = path.read_text()
    assert json.loads(text)["ceiling"] == {"lensmor": 165, "salesfinity": 1}
    assert not [word for word in NEVER_SHOWN if word in text]
    assert sorted(found.name for found in workspace.folder.iterdir()) == [".env", "mappings", "plan.json"]
    result = workspace.run("apply", "plan.json", "--yes", "--json")
    assert result.code == 0
    assert (result.json["command"], outcome_of(result.json)) == ("apply", {"delivered": 1})
    assert workspace.org.get("Lead", lead)["Email"] is not None
    again = workspace.run("apply", "plan.json", "--yes", "--json")
    assert (again.code, again.json["selected"]) == (0, 0)
    assert "1 of 1 records were finished by earlier runs" in again.err


def test_apply_asks_and_accepts_a_no(workspace: Workspace) -> None:
    workspace.lead()
    frozen(workspace)
    result = workspace.run("apply", "plan.json", answer="n\n")
    assert result.code == 2
    assert "at most 165 lensmor, 1 salesfinity credits" in result.err
    assert workspace.paid_posts == 0
    assert workspace.run("apply", "plan.json", answer="y\n").code == 0


def test_apply_without_a_terminal_needs_yes(workspace: Workspace) -> None:
    workspace.lead()
    frozen(workspace)
    result = workspace.run("apply", "plan.json")
    assert result.code == 2
    assert "--yes" in result.err
    assert workspace.paid_posts == 0


def test_a_changed_record_is_left_and_exits_4(workspace: Workspace) -> None:
    changed = workspace.lead()
    frozen(workspace)
    workspace.org.edit("Lead", changed, {"Title": "New"})
    result = workspace.run("apply", "plan.json", "--yes", "--json")
    assert result.code == 4
    assert outcome_of(result.json) == {"deferred": 1}
    assert workspace.paid_posts == 0


def test_a_plan_of_chosen_records(workspace: Workspace) -> None:
    lead = workspace.lead(Enrichment_Requested__c=False, Title="Buyer")
    workspace.lead(Enrichment_Requested__c=False)
    frozen(workspace, "--where", "Title = 'Buyer'")
    result = workspace.run("apply", "plan.json", "--yes", "--json")
    assert outcome_of(result.json) == {"delivered": 1}
    assert workspace.org.get("Lead", lead)["Email"] is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "plan.json cannot be read"),
        ("", "is not a plan of this connector"),
        ("[]", "is not a plan of this connector"),
        ('{"version": 1}', "wrong or missing: plan_id"),
    ],
)
def test_a_file_that_is_not_a_plan_is_refused_with_the_remedy(
    workspace: Workspace, text: str | None, words: str
) -> None:
    if text is not None:
        (workspace.folder / "plan.json").write_text(text)
    result = workspace.run("apply", "plan.json", "--yes")
    assert result.code == 2
    assert words in result.err
    assert "make a new plan: connector plan -m NAME --out plan.json" in result.err


def test_a_plan_for_another_mapping_account_price_or_org_is_void(workspace: Workspace) -> None:
    workspace.lead()
    path = frozen(workspace)
    document = json.loads(path.read_text())
    document["mappings"][0]["digest"] = "another"
    document["org"] = "other.my.salesforce.com"
    path.write_text(json.dumps(document))
    workspace.set(LENSMOR_ACCOUNT="second", LENSMOR_EMAIL_CREDITS="20")
    result = workspace.run("apply", "plan.json", "--yes")
    assert result.code == 2
    for words in (
        "mapping lead has changed",
        "org other.my.salesforce.com",
        "LENSMOR_ACCOUNT is not the one",
        "prices of lensmor have changed",
    ):
        assert words in result.err
    assert workspace.paid_posts == 0


def test_a_plan_to_an_unwritable_file_is_refused(workspace: Workspace) -> None:
    workspace.lead()
    result = workspace.run("plan", "-m", "lead", "--out", "nowhere/plan.json")
    assert result.code == 2
    assert "nowhere/plan.json cannot be written" in result.err


# -- what it costs -----------------------------------------------------------------------------------------------


def test_a_frozen_plan_is_shown_without_a_login(workspace: Workspace) -> None:
    for _ in range(3):
        workspace.lead()
    workspace.lead(Lensmor_Personnel_Id__c=None, LinkedIn_URL__c=None)
    assert workspace.run("plan", "-m", "lead", "--out", "plan.json").code == 0
    (workspace.folder / ".env").unlink()
    shown = workspace.run("plan", "--show", "plan.json")
    assert shown.code == 0, shown
    assert re.search(r"^lead +Lead +work email +3$", shown.out, re.MULTILINE)
    assert re.search(r"^lead +Lead +phone +3$", shown.out, re.MULTILINE)
    assert re.search(r"^lensmor +default +.*phone 150.* +495$", shown.out, re.MULTILINE)
    assert "1 record of them cost nothing" in shown.out
    document = workspace.run("plan", "--show", "plan.json", "--json").json
    assert document["ceiling"] == {"lensmor": 495, "salesfinity": 3}
    assert document["mappings"][0]["buys"] == {"work_email": 3, "phone": 3}
    assert workspace.paid_posts == 0


@pytest.mark.parametrize("options", [("-m", "lead"), ("--limit", "1"), ("--out", "other.json")])
def test_showing_takes_no_option_that_makes_a_plan(workspace: Workspace, options: tuple[str, ...]) -> None:
    result = workspace.run("plan", "--show", "plan.json", *options)
    assert result.code == 2
    assert "--show shows a plan that was made before" in result.err


def test_a_plan_names_its_history_and_the_balance_afterwards(workspace: Workspace) -> None:
    first = [workspace.person() for _ in range(4)]
    workspace.simulator.lensmor.script(first[0].personnel_id, "email", "no_value")
    for person in first:
        workspace.lead(person)
    workspace.run("sync", "-m", "lead")
    for _ in range(2):
        workspace.lead()
    document = workspace.run("plan", "-m", "lead", "--json").json
    forecast = document["credits"]["lensmor"]
    assert forecast["hit_rates"]["work_email"] == {"answers": 4, "with_value": 3}
    assert forecast["hit_rates"]["phone"] == {"answers": 4, "with_value": 4}
    assert forecast["worst_case"] == 2 * 165
    assert forecast["balance_after"] == forecast["balance"] - 2 * 165
    text = workspace.run("plan", "-m", "lead").out
    assert re.search(r"^lensmor +work email +75 % +4$", text, re.MULTILINE)


def test_the_balance_afterwards_counts_the_caps(workspace: Workspace) -> None:
    workspace.set(CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR="100")
    for _ in range(2):
        workspace.lead()
    forecast = workspace.run("plan", "-m", "lead", "--json").json["credits"]["lensmor"]
    assert forecast["balance_after"] == forecast["balance"] - 100
