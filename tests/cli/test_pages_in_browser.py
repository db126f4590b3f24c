"""The report and the operations pages in chromium: both colour schemes, a phone's width, the keyboard alone, and axe.

`make browser packages` installs the browser and axe where possible; without them the tests are skipped.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from deployment import PATHS, TOKEN, Deployment, deployed, lose_an_answer
from playwright.sync_api import Browser, Page, sync_playwright
from workspace import Workspace

pytest_plugins = ("cli_fixtures",)

CHROMIUM = shutil.which("chromium")
AXE = Path(__file__).parents[2] / ".packages" / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or not AXE.exists(), reason="needs chromium and axe: run `make browser packages`"
)
WIDTHS = (360, 1280)
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
TOO_WIDE = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.wide, .chart, .skip')
  && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 200))"""
FINDINGS = "axe.run(document).then(r => r.violations.map(v => `${v.impact}: ${v.id} ${v.nodes[0].html.slice(0, 120)}`))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        made = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


def opened(browser: Browser, width: int = 1280, scheme: Scheme = "light") -> tuple[Page, list[str]]:
    """A page of a new profile, and the errors that its console shows; scripts of the page itself do not run."""
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce"
    )
    page, errors = context.new_page(), list[str]()
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("request", lambda asked: errors.append(asked.url) if not _is_own(asked.url) else None)
    return page, errors


def _is_own(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "file:///"))


def log_in(page: Page, site: Deployment) -> None:
    """Log in with the keyboard alone: the first stop is the link to the content, the next one the field."""
    page.goto(f"{site.host}/decisions")
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "token":
            break
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.host}/decisions")


def check(page: Page) -> None:
    """Nothing is wider than the window, and axe finds nothing."""
    assert page.evaluate(TOO_WIDE) == [], page.url
    assert page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0, page.url
    page.add_script_tag(path=AXE)
    assert page.evaluate(FINDINGS) == [], page.url


def worked(workspace: Workspace) -> None:
    """A run with every kind of outcome, then one with a lost answer."""
    failing = workspace.person()
    workspace.simulator.lensmor.script(failing.personnel_id, "phone", "failed")
    for person in (failing, workspace.person(), workspace.person()):
        workspace.lead(person)
    workspace.lead(HasOptedOutOfEmail=True, DoNotCall=True)
    workspace.run("sync", "-m", "lead")
    lose_an_answer(workspace)


@pytest.mark.long
def test_every_page_is_accessible_in_both_schemes_and_widths(workspace: Workspace, browser: Browser) -> None:
    worked(workspace)
    for name, command in (("run", ("latest",)), ("period", ("--since", "30d"))):
        assert workspace.run("report", *command, "--html", f"{name}.html").code == 0
    with deployed(workspace) as site:
        run = site.client.get("/runs", headers={"Authorization": f"Bearer {TOKEN}"}).text.split('href="/runs/')[1]
        own = [*PATHS, f"/runs/{run.partition(chr(34))[0]}"]
        files = [f"file://{workspace.folder}/{name}.html" for name in ("run", "period")]
        for width in WIDTHS:
            for scheme in SCHEMES:
                page, errors = opened(browser, width, scheme)
                page.goto(f"{site.host}/")
                check(page)
                log_in(page, site)
                for address in (*files, *(f"{site.host}{path}" for path in own)):
                    page.goto(address)
                    check(page)
                assert errors == []
                page.context.close()


def test_a_decision_by_keyboard_alone(workspace: Workspace, browser: Browser) -> None:
    lose_an_answer(workspace)
    with deployed(workspace) as site:
        page, errors = opened(browser, 360)
        log_in(page, site)
        stops = tabbed_to(page, "Give up")
        assert stops[0] == "Skip to the content"
        assert [one for one in stops if one.startswith(("Delivered", "Allow", "Give"))] == [
            "Delivered by hand",
            "Allow a repeat",
            "Give up",
        ]
        page.keyboard.press("Enter")
        page.wait_for_selector("[role=status]")
        assert "is given up and counts as charged" in page.inner_text("[role=status]")
        assert site.states() == []
        assert errors == []


def test_a_second_press_has_no_effect(workspace: Workspace, browser: Browser) -> None:
    lose_an_answer(workspace)
    with deployed(workspace) as site:
        page, _ = opened(browser)
        log_in(page, site)
        other = page.context.new_page()
        other.goto(f"{site.host}/decisions")
        page.get_by_role("button", name="Give up").dblclick()
        page.wait_for_selector("[role=status]")
        assert site.states() == []
        other.get_by_role("button", name="Allow a repeat").click()
        other.wait_for_selector("[role=status]")
        assert "may be bought again" in other.inner_text("[role=status]"), "an operator may allow it after a failure"


def tabbed_to(page: Page, name: str) -> list[str]:
    """Press Tab until the element with this text has the focus; every stop shows it."""
    stops: list[str] = []
    while name not in stops:
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.innerText"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", stops
        assert len(stops) < 40, stops
    return stops


def test_a_button_after_the_logout_in_another_window_has_no_effect(workspace: Workspace, browser: Browser) -> None:
    lose_an_answer(workspace)
    with deployed(workspace) as site:
        page, _ = opened(browser)
        log_in(page, site)
        before = site.states()
        other = page.context.new_page()
        other.goto(f"{site.host}/runs")
        other.get_by_role("button", name="Log out").click()
        other.wait_for_url(f"{site.host}/login")
        page.get_by_role("button", name="Give up").click()
        page.wait_for_selector("h1:has-text('Nothing was done')")
        assert site.states() == before


def test_a_form_of_a_foreign_page_has_no_effect(workspace: Workspace, browser: Browser) -> None:
    lose_an_answer(workspace)
    with deployed(workspace) as site:
        page, _ = opened(browser)
        log_in(page, site)
        before = site.states()
        fields = "".join(f'<input name="{name}" value="{value}">' for name, value in site_button(page).items())
        foreign = workspace.folder / "foreign.html"
        foreign.write_text(f'<form method="post" action="{site.host}/decisions">{fields}<button>Win</button></form>')
        page.goto(f"file://{foreign}")
        page.get_by_role("button", name="Win").click()
        page.wait_for_selector("h1:has-text('Nothing was done')")
        assert site.states() == before


def site_button(page: Page) -> dict[str, str]:
    """The fields of the last button, as an attacker who had seen the page would know them."""
    found: dict[str, str] = page.evaluate(
        "Object.fromEntries(new FormData([...document.querySelectorAll('main form')].at(-1)))"
    )
    return found
