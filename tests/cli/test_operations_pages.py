"""The operations pages of `serve`: what they show, and that a form has an effect once, from a page of its session."""

import re
from urllib.parse import urlsplit

import pytest
from deployment import BEARER, PATHS, TOKEN, Deployment, deployed, lose_an_answer
from workspace import NEVER_SHOWN, Workspace

from connector.report.html.render import policy
from connector.server.pages import COOKIE
from connector.server.sessions import FAILURES_WITHIN_S, IDLE_S, LONGEST_S, MOST_FAILURES

pytest_plugins = ("cli_fixtures",)


@pytest.fixture
def lost(workspace: Workspace) -> Workspace:
    """A workspace with an unknown purchase at a vendor that keeps no record of people."""
    lose_an_answer(workspace)
    return workspace


def test_without_a_login_every_page_leads_to_the_form_and_back(workspace: Workspace) -> None:
    with deployed(workspace) as site:
        for path in (*PATHS, "/runs/20261120T100000-a1b2c3"):
            answer = site.client.get(path)
            assert answer.status_code == 303
            form = site.client.get(answer.headers["location"])
            assert f'name="then" value="{path}"' in form.text
        elsewhere = site.client.get("/login?then=https://example.com/")
        assert 'name="then" value="/"' in elsewhere.text
        answer = site.log_in()
        assert (answer.status_code, answer.headers["location"]) == (303, "/decisions")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "secure" not in cookie, "the page was opened over HTTP on this machine"
        for path in PATHS:
            assert site.client.get(path).status_code == 200


def test_pages_name_nobody_and_load_nothing(lost: Workspace) -> None:
    with deployed(lost) as site:
        run_id = re.findall(r'href="(/runs/[^"]+)"', site.client.get("/runs", headers=BEARER).text)[0]
        for path in (*PATHS, run_id, "/login"):
            answer = site.client.get(path, headers=BEARER)
            assert answer.status_code == 200
            assert [text for text in (*NEVER_SHOWN, TOKEN) if text in answer.text] == []
            assert answer.headers["content-security-policy"] == f"{policy()}; frame-ancestors 'none'"
            assert answer.headers["cache-control"] == "no-store"
            assert "<script" not in answer.text
            assert re.findall(r'(?:src|action)="(?!/)', answer.text) == []


def test_the_overview_has_the_figures_of_the_ledger(lost: Workspace) -> None:
    status, money = lost.run("status", "--json").json, lost.run("credits", "--json").json
    with deployed(lost) as site:
        page = site.client.get("/", headers=BEARER).text
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert f"Records with open work {status['open_records']}" in text
    assert f"Purchases to decide {len(status['needs_a_look'])}" in text
    for provider, account in money["providers"].items():
        assert f"Balance at {provider} {account['balance']:,}" in text
        assert f"{provider} {account['balance']:,} {account['held']} {account['charged']:,}" in text
    assert "serve (lead)" in text


def test_a_button_works_once(lost: Workspace) -> None:
    with deployed(lost) as site:
        site.log_in()
        buttons = site.buttons()
        assert [one["decision"] for one in buttons] == ["delivered", "allow-repeat", "give-up"]
        ((purchase, state),) = site.states()
        assert (purchase, state) == (buttons[0]["purchase"], "Unknown")
        assert site.press(buttons[2]).headers["location"] == "/decisions"
        page = site.client.get("/decisions").text
        assert f"Purchase {purchase} is given up and counts as charged" in page
        assert site.states() == []
        assert "is given up" not in site.client.get("/decisions").text, "a message is shown once"
        again = site.press(buttons[2])
        assert again.status_code == 303
        assert "was pressed before; nothing more was done" in site.client.get("/decisions").text
        other = site.press(buttons[0])
        assert other.status_code == 303
        assert "Nothing was done: purchase" in site.client.get("/decisions").text, "its state allows no decision"
        assert lost.run("status", "--json").json["needs_a_look"] == []


@pytest.mark.parametrize(
    ("change", "headers"),
    [
        ({"csrf": ""}, {}),
        ({"csrf": "x.y"}, {}),
        ({"decision": "allow-repeat"}, {}),  # the token of another button
        ({}, {"Origin": "https://example.com"}),
        ({}, {"Origin": "null"}),
        ({}, {"Origin": "http://127.0.0.1:1"}),
        ({}, {"Sec-Fetch-Site": "cross-site"}),
        ({}, {"Sec-Fetch-Site": "same-site"}),
        ({}, {"Cookie": f"{COOKIE}=another"}),
    ],
)
def test_a_form_from_elsewhere_has_no_effect(lost: Workspace, change: dict[str, str], headers: dict[str, str]) -> None:
    with deployed(lost) as site:
        site.log_in()
        before, give_up = site.states(), site.buttons()[2]
        assert before
        if "Cookie" in headers:
            site.client.cookies.clear()
        answer = site.press(give_up | change, **headers)
        assert answer.status_code == 403
        assert "Nothing was done" in answer.text
        assert site.states() == before


@pytest.mark.parametrize("ending", ["logout", "idle", "old", "new login", "restart"])
def test_the_buttons_of_an_ended_session_have_no_effect(lost: Workspace, ending: str) -> None:
    with deployed(lost) as site:
        site.log_in()
        before, give_up = site.states(), site.buttons()[2]
        cookie = site.client.cookies[COOKIE]
        if ending == "logout":
            csrf = re.findall(r'action="/logout"><input type="hidden" name="csrf" value="([^"]+)"', _main(site))[0]
            assert site.client.post("/logout", data={"csrf": csrf}).headers["location"] == "/login"
            assert COOKIE not in site.client.cookies
        elif ending == "idle":
            site.seconds += IDLE_S + 1
        elif ending == "old":
            for _ in range(int(LONGEST_S / IDLE_S * 2) + 1):
                site.seconds += IDLE_S / 2
                site.client.get("/decisions")
        elif ending == "new login":
            site.log_in()
        if ending != "restart":
            if ending != "new login":
                site.client.cookies.set(COOKIE, cookie)
            assert site.press(give_up).status_code == 403
            assert site.states() == before
    if ending == "restart":
        with deployed(lost) as site:
            site.client.cookies.set(COOKIE, cookie)
            assert site.press(give_up).status_code == 403
            assert site.states() == before


def _main(site: Deployment) -> str:
    return site.client.get("/").text


def test_a_logout_needs_its_own_button(workspace: Workspace) -> None:
    with deployed(workspace) as site:
        site.log_in()
        assert site.client.post("/logout", data={"csrf": "x"}).status_code == 403
        assert site.client.get("/").status_code == 200


def test_wrong_tokens_are_limited_by_address(workspace: Workspace) -> None:
    with deployed(workspace) as site:
        for _ in range(MOST_FAILURES):
            assert site.log_in("wrong").status_code == 401
        answer = site.log_in()
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
        assert COOKIE not in site.client.cookies, "the right token is not tried either"
        assert site.client.get("/", headers=BEARER).status_code == 200, "programs are not affected"
        site.seconds += FAILURES_WITHIN_S + 1
        assert site.log_in().status_code == 303


def test_a_foreign_page_cannot_log_in(workspace: Workspace) -> None:
    with deployed(workspace) as site:
        assert site.log_in(Origin="https://example.com").status_code == 403
        assert COOKIE not in site.client.cookies


def test_behind_https_the_cookie_is_secure(workspace: Workspace) -> None:
    with deployed(workspace, "https://enrich.example.com/") as site:
        answer = site.log_in(Origin="https://enrich.example.com")
        assert answer.status_code == 303
        assert "secure" in answer.headers["set-cookie"].lower()
        assert site.log_in(Origin="http://enrich.example.com").status_code == 403


def test_another_host_name_is_not_served(workspace: Workspace) -> None:
    with deployed(workspace) as site:
        for path in (*PATHS, "/login"):
            assert site.client.get(path, headers={"Host": "rebound.example.com"}).status_code == 421
        assert site.log_in(Host="rebound.example.com", Origin="http://rebound.example.com").status_code == 421


def test_programs_use_the_token_in_a_header(lost: Workspace) -> None:
    with deployed(lost) as site:
        page = site.client.get("/decisions", headers=BEARER).text
        assert "<form" not in page, "a form needs a session"
        ((purchase, _),) = site.states()
        assert f"connector resolve {purchase} --give-up" in page
        wrong = site.client.post("/decisions", data={"purchase": purchase, "decision": "no"}, headers=BEARER)
        assert wrong.status_code == 400
        for number in ("", "-1", "1e3", "9" * 30):
            odd = site.client.post("/decisions", data={"purchase": number, "decision": "give-up"}, headers=BEARER)
            assert odd.status_code == 400
        done = site.client.post("/decisions", data={"purchase": purchase, "decision": "give-up"}, headers=BEARER)
        assert "is given up" in done.text
        assert site.states() == []


def test_requests_and_runs_are_listed(workspace: Workspace) -> None:
    lead = workspace.lead()
    for _ in range(3):
        workspace.run("sync", "-m", "lead")
    with deployed(workspace) as site:
        site.client.post(
            "/v1/enrichments", json={"mapping": "lead", "record_ids": [lead], "request_id": "r1"}, headers=BEARER
        )
        assert "r1" in site.client.get("/requests", headers=BEARER).text
        runs = re.findall(r'href="(/runs/[^"]+)"', site.client.get("/runs", headers=BEARER).text)
        assert len(runs) >= 3
        assert urlsplit(runs[0]).path.startswith("/runs/")
        older = site.client.get(f"/runs?before={runs[0].removeprefix('/runs/')}", headers=BEARER).text
        assert runs[0] not in older
        assert runs[-1] in older
        for wrong in ("latest-not", "%3Cscript%3E", "a" * 90):
            answer = site.client.get(f"/runs/{wrong}", headers=BEARER)
            assert answer.status_code == 404
            assert "<script" not in answer.text
