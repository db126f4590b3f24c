"""Log lines and notes of commands: what each option shows, and that no line has anything about a person."""

import json
import re
from typing import Any

from test_cli_terminal import terminal
from workspace import Workspace, outcome_of

pytest_plugins = ("cli_fixtures",)
HEAD = ["time", "level", "logger", "message"]
CHARGED = {"lensmor": 165}  # an email and a phone of one person


def lines(text: str) -> list[dict[str, Any]]:
    """The JSON lines in an output."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def of_logger(name: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in found if line["logger"] == name]


def run_line(text: str) -> dict[str, Any]:
    """The line at the end of the only run."""
    (found,) = of_logger("connector.runs", [line for line in lines(text) if line["level"] == "info"])
    assert found["message"] == "run ended"
    return found


def test_a_pipe_gets_notes_as_text_and_the_end_of_the_run_as_json(workspace: Workspace) -> None:
    workspace.lead()
    ran = workspace.run("sync", "-m", "lead", "--json")
    assert "Mapping lead: " in ran.err
    assert "Reading records" in ran.err.splitlines()
    (line,) = lines(ran.err)
    assert list(line)[:4] == HEAD
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
    assert (line["level"], line["logger"], line["message"]) == ("info", "connector.runs", "run ended")
    report = ran.json
    assert {name: line[name] for name in ("run_id", "command", "mappings", "state", "selected")} == {
        name: report[name] for name in ("run_id", "command", "mappings", "state", "selected")
    }
    assert line["exit_code"] == ran.code == 0
    assert line["outcomes"] == outcome_of(report) == {"delivered": 1}
    assert line["charged"] == {name: one["charged"] for name, one in report["credits"].items()}
    assert line["charged"]["lensmor"] == CHARGED["lensmor"]
    assert line["held"] == dict.fromkeys(report["credits"], 0)
    assert line["seconds"] >= 0


def test_every_kind_of_run_has_one_line(workspace: Workspace) -> None:
    workspace.lead()
    planned = workspace.run("plan", "-m", "lead", "--out", "plan.json")
    assert of_logger("connector.runs", lines(planned.err)) == []
    applied = workspace.run("apply", "plan.json", "--yes", "--json")
    assert run_line(applied.err)["command"] == "apply"
    undone = workspace.run("undo", applied.json["run_id"], "--yes", "--json")
    assert (run_line(undone.err)["command"], run_line(undone.err)["mappings"]) == ("undo", [])
    filled = workspace.run("backfill", "-m", "lead", "--where", "LastName != null", "--yes", "--json")
    assert run_line(filled.err)["command"] == "backfill"
    assert run_line(filled.err)["run_id"] == filled.json["run_id"]


def test_a_run_that_stops_or_fails_has_a_line_with_its_exit_code(workspace: Workspace) -> None:
    workspace.lead()
    workspace.arm("lensmor", "getCreditsBalance", "status", times=50, status=401)
    failed = workspace.run("sync", "-m", "lead", "--json")
    line = run_line(failed.err)
    assert (line["state"], line["exit_code"]) == ("failed", failed.code)
    assert failed.code == 2
    assert line["selected"] == 0


def test_verbose_shows_stages_and_requests_without_addresses(workspace: Workspace) -> None:
    workspace.lead()
    ran = workspace.run("sync", "-m", "lead", "--verbose", "--json")
    found = lines(ran.err)
    stages = [line["stage"] for line in of_logger("connector.runs", found) if line["level"] == "debug"]
    assert stages == ["recover", "select", "buy", "write", "classify", "close"]
    requests = of_logger("connector.requests", found)
    names = {(line["system"], line["operation"]) for line in requests}
    expected = {
        ("salesforce", "logging in"),
        ("salesforce", "writing records"),
        ("lensmor", "read balance"),
        ("lensmor", "unlock work_email"),
        ("lensmor", "read phone task"),
    }
    assert expected <= names
    for line in requests:
        usual = {"system", "operation", "status", "attempts", "seconds"}
        assert line.keys() - set(HEAD) == usual
        assert 200 <= line["status"] < 300
        assert line["attempts"] >= 1
        assert not re.search(r"https?:|/|@|\d{5}", line["operation"])


def test_a_repeated_request_counts_its_attempts(workspace: Workspace) -> None:
    workspace.lead()
    workspace.arm("lensmor", "getCreditsBalance", "status", times=2, status=503)
    ran = workspace.run("sync", "-m", "lead", "--verbose")
    first, *_ = [line for line in lines(ran.err) if line.get("operation") == "read balance"]
    assert (first["system"], first["attempts"], first["status"]) == ("lensmor", 3, 200)


def test_quiet_writes_no_line_about_a_run(workspace: Workspace) -> None:
    workspace.lead()
    assert workspace.run("sync", "-m", "lead", "--quiet").err == ""
    assert workspace.run("sync", "-m", "lead", "--quiet", "--log-format", "json").err == ""


def test_text_lines_of_runs_need_verbose(workspace: Workspace) -> None:
    workspace.lead()
    usual = workspace.run("sync", "-m", "lead", "--log-format", "text")
    assert "run ended" not in usual.err
    verbose = workspace.run("sync", "-m", "lead", "--log-format", "text", "--verbose")
    (line,) = [one for one in verbose.err.splitlines() if "run ended" in one]
    assert re.match(r"\d\d:\d\d:\d\dZ info: run ended  logger=connector\.runs run_id=\S+ command=sync ", line)


def test_json_makes_every_line_json(workspace: Workspace) -> None:
    workspace.lead()
    ran = workspace.run("sync", "-m", "lead", "--log-format", "json", "--json")
    found = lines(ran.err)
    assert len(found) == len(ran.err.splitlines())
    notes = [line["message"] for line in of_logger("connector.notes", found)]
    assert "Reading records" in notes
    assert any(note.startswith("Mapping lead: ") for note in notes)
    refused = workspace.run("sync", "-m", "nobody", "--log-format", "json")
    assert refused.code == 2
    (error,) = lines(refused.err)
    assert (error["level"], error["logger"]) == ("error", "connector.notes")
    assert error["message"].startswith("error: ")
    after = workspace.run("sync", "-m", "nobody")
    assert after.err.startswith("error: ")


def test_quiet_and_verbose_contradict_each_other(workspace: Workspace) -> None:
    refused = workspace.run("status", "--quiet", "--verbose")
    assert refused.code == 2
    assert "contradict" in refused.err


def test_a_terminal_shows_text_and_no_line_unless_verbose(workspace: Workspace) -> None:
    workspace.lead()
    with terminal(workspace, "sync", "-m", "lead", columns=200) as shown:
        assert shown.finish() == 0, shown.raw
    assert "run ended" not in shown.raw
    assert '{"time"' not in shown.raw
    workspace.lead()
    with terminal(workspace, "sync", "-m", "lead", "--verbose", columns=200) as shown:
        assert shown.finish() == 0, shown.raw
    assert re.search(r"\d\d:\d\d:\d\dZ debug: request ended  logger=connector\.requests system=lensmor", shown.raw)
    assert "info: run ended" in shown.raw
    assert '{"time"' not in shown.raw
