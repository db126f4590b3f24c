"""Renders the operations pages. A page for a logged-in person has buttons; for a caller with the token it has none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from connector.core.operations import AttentionList, DecisionLine, Overview, RequestLine, RunLine, RunList
from connector.core.pages import RunPage
from connector.core.states import RequestItemState
from connector.report.html.render import Nav, NavItem, page_of_run, render

PAGES = (
    NavItem("/", "Overview"),
    NavItem("/runs", "Runs"),
    NavItem("/attention", "Attention"),
    NavItem("/decisions", "Decisions"),
    NavItem("/requests", "Requests"),
)
# What each decision does, as a person should know before pressing the button.
EFFECTS = {
    "retry-write": ("Write again", "the next run tries to write the value once more; no cost"),
    "give-up": ("Give up", "it counts as failed and charged; the next run asks the next source"),
    "delivered": ("Delivered by hand", "you saw the result at the vendor and entered it in the CRM"),
    "allow-repeat": ("Allow a repeat", "one more purchase, which may be charged twice"),
}
PARKED = {**EFFECTS, "give-up": ("Do without", "the paid value is not written; the next run asks the next source")}
Tokens = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Frame:
    """What surrounds a page.

    Attributes:
        tokens: makes the token of a button from its action; None if the caller has no session.
        message: shown at the top.
    """

    tokens: Tokens | None = None
    message: str = ""


def action_of(purchase_id: int, decision: str) -> str:
    """The name of a decision's button, which its token signs."""
    return f"resolve {purchase_id} {decision}"


LOGOUT = "logout"


def login_page(then: str, message: str = "") -> str:
    """The login form; `then` is the page to go to."""
    return render("login.html", Nav(()), then=then, message=message, logout="")


def message_page(title: str, message: str, frame: Frame | None = None) -> str:
    """A page with a message only, such as a refusal."""
    return _render("message.html", "", frame or Frame(), title=title, text=message)


def overview_page(view: Overview, frame: Frame) -> str:
    """The state of the deployment."""
    tiles = [
        ("Records with open work", f"{view.records:,}"),
        ("Values that cannot be written now", f"{view.parked:,}"),
        ("Purchases to decide", f"{view.decisions:,}"),
    ]
    tiles += [
        (f"Balance at {one.provider}", "-" if one.balance is None else f"{one.balance:,}") for one in view.balances
    ]
    requests = sum(count for state, count in view.requests.items() if state != RequestItemState.DONE)
    return _render("overview.html", "/", frame, view=view, head=[*tiles, ("Requested records", f"{requests:,}")])


def runs_page(view: RunList, frame: Frame) -> str:
    """A part of the list of runs."""
    runs: Sequence[RunLine] = view.runs
    return _render("runs.html", "/runs", frame, runs=runs, older=view.older)


def run_page(view: RunPage, frame: Frame) -> str:
    """One run, as in its file."""
    return page_of_run(view, Nav(PAGES, "/runs"), **_shared(frame))


def attention_page(view: AttentionList, frame: Frame) -> str:
    """What needs a person."""
    return _render("attention.html", "/attention", frame, view=view)


def decisions_page(rows: Sequence[DecisionLine], frame: Frame) -> str:
    """The purchases that need a decision, with a button for each option."""
    tokens = frame.tokens
    buttons = {
        (row.purchase_id, option): tokens(action_of(row.purchase_id, option)) if tokens else ""
        for row in rows
        for option in row.options
    }
    return _render("decisions.html", "/decisions", frame, rows=rows, buttons=buttons, effects=EFFECTS, parked=PARKED)


def requests_page(rows: Sequence[RequestLine], frame: Frame) -> str:
    """The newest requests."""
    return _render("requests.html", "/requests", frame, rows=rows)


def _render(template: str, current: str, frame: Frame, **values: object) -> str:
    return render(template, Nav(PAGES, current), **_shared(frame), **values)


def _shared(frame: Frame) -> dict[str, object]:
    return {"message": frame.message, "logout": frame.tokens(LOGOUT) if frame.tokens else ""}
