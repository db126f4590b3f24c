"""The operations pages: a login with the trigger token, and forms that only a person on these pages can send."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from connector.app.operations import Operations
from connector.core.addresses import web_address
from connector.core.errors import ConfigurationError, LockedError
from connector.core.limits import MAX_ROW_ID
from connector.report.html import operations as html
from connector.report.html.render import policy
from connector.server.crowd import address_of
from connector.server.guards import body_of, has_token, same
from connector.server.routes import Handler, Routes
from connector.server.sessions import FAILURES_WITHIN_S, LONGEST_S, LoginLimit, Session, Sessions

COOKIE = "connector_session"
MOST_FORM_BYTES = 8 * 1024
MOST_FORM_FIELDS = 8
SEE_OTHER = 303
_RUN_ID = r"[A-Za-z0-9-]{1,60}"
_THEN = re.compile(rf"/(runs(/{_RUN_ID})?|attention|decisions|requests)?")
_DECISIONS = frozenset(html.EFFECTS)
STALE = (
    "This page belongs to a login that has ended, or it did not come from these pages. Nothing was done. Load the page "
    "again, and press the button there."
)


@dataclass(frozen=True, slots=True)
class _Caller:
    """Who asks: a person with a session, or a program with the token in a header."""

    session: Session | None

    def frame(self) -> html.Frame:
        """What surrounds the caller's pages."""
        if self.session is None:
            return html.Frame()
        return html.Frame(self.session.token, self.session.take_message())


class _LoginNeededError(Exception):
    """The caller has neither a session nor the token."""


class Pages:
    """The operations pages of `connector serve`.

    Args:
        operations: reads the deployment and records decisions.
        token: the trigger token.
        public_url: the public address of the server; empty if there is none.
        clock: seconds that never go back.
    """

    def __init__(
        self, operations: Operations, token: str, public_url: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._operations = operations
        self._token = token
        self._public = web_address(public_url)
        self._public_url = public_url
        self._sessions = Sessions(clock)
        self._logins = LoginLimit(clock)

    def routes(self) -> Routes:
        """The routes: method, path and handler."""
        found: Routes = [
            ("GET", "/", self._page(lambda _request, frame: html.overview_page(self._operations.overview(), frame))),
            ("GET", "/runs", self._page(self._runs)),
            ("GET", "/runs/{run_id}", self._page(self._run)),
            (
                "GET",
                "/attention",
                self._page(lambda _r, frame: html.attention_page(self._operations.attention(), frame)),
            ),
            (
                "GET",
                "/decisions",
                self._page(lambda _r, frame: html.decisions_page(self._operations.decisions(), frame)),
            ),
            ("GET", "/requests", self._page(lambda _r, frame: html.requests_page(self._operations.requests(), frame))),
            ("POST", "/decisions", self._decide),
            ("GET", "/favicon.ico", _no_icon),
            ("GET", "/login", self._show_login),
            ("POST", "/login", self._log_in),
            ("POST", "/logout", self._log_out),
        ]
        return found

    def _page(self, render: Callable[[Request, html.Frame], str]) -> Handler:
        """A handler that shows a page to callers with a session or the token, and the login form to others."""

        async def shown(request: Request) -> Response:
            try:
                caller = self._caller(request)
            except _LoginNeededError:
                then = request.url.path if _THEN.fullmatch(request.url.path) else "/"
                return _to(f"/login?{urlencode({'then': then})}")
            try:
                return _html(await run_in_threadpool(lambda: render(request, caller.frame())))
            except ConfigurationError as error:
                return _html(html.message_page("Not found", f"{error}."), 404)
            except sa.exc.SQLAlchemyError:
                text = "The ledger does not answer now. Load the page again in a moment."
                return _html(html.message_page("Not available", text), 503)

        return shown

    def _runs(self, request: Request, frame: html.Frame) -> str:
        before = request.query_params.get("before", "")
        return html.runs_page(self._operations.runs(before if re.fullmatch(_RUN_ID, before) else ""), frame)

    def _run(self, request: Request, frame: html.Frame) -> str:
        run_id = str(request.path_params["run_id"])
        if not re.fullmatch(_RUN_ID, run_id):
            raise ConfigurationError("there is no such run")
        return html.run_page(self._operations.run(run_id), frame)

    def _caller(self, request: Request) -> _Caller:
        if has_token(request, self._token):
            return _Caller(None)
        session = self._sessions.find(request.cookies.get(COOKIE, ""))
        if session is None:
            raise _LoginNeededError
        return _Caller(session)

    # -- forms -------------------------------------------------------------------------------------------------

    async def _decide(self, request: Request) -> Response:
        try:
            caller = self._caller(request)
        except _LoginNeededError:
            return _refused_as_stale()
        form = await _form(request)
        purchase, decision = form.get("purchase", ""), form.get("decision", "")
        if not re.fullmatch(r"[0-9]{1,18}", purchase) or int(purchase) > MAX_ROW_ID or decision not in _DECISIONS:
            return _html(html.message_page("Not possible", "This form is not complete. Nothing was done."), 400)
        number, session = int(purchase), caller.session
        if session is not None:
            token = form.get("csrf", "")
            if not self._is_from_here(request) or not session.is_token(token, html.action_of(number, decision)):
                return _refused_as_stale()
            if not session.press(token):
                session.message = f"The button for purchase {number} was pressed before; nothing more was done."
                return _to("/decisions")
        told = await run_in_threadpool(lambda: self._resolve(number, decision))
        if session is None:
            return _html(html.message_page("Decision", told))
        session.message = told
        return _to("/decisions")

    def _resolve(self, purchase: int, decision: str) -> str:
        try:
            done = self._operations.resolve(purchase, decision)
        except ConfigurationError as error:
            return f"Nothing was done: {error}."
        except LockedError:
            return "Nothing was done: a run is busy with the ledger. Press the button again in a few minutes."
        except sa.exc.SQLAlchemyError:
            return "The ledger did not answer, so the decision may not be recorded: look at the purchase below."
        return f"{done[:1].upper()}{done[1:]}."

    async def _show_login(self, request: Request) -> Response:
        return _html(html.login_page(_then(request.query_params.get("then", ""))))

    async def _log_in(self, request: Request) -> Response:
        form = await _form(request)
        then, address = _then(form.get("then", "")), address_of(request.client)
        if not self._is_from_here(request):
            return _html(html.login_page(then, "The form did not come from these pages. Enter the token here."), 403)
        if not self._logins.allows(address):
            wait = {"Retry-After": f"{FAILURES_WITHIN_S:.0f}"}
            return _html(html.login_page(then, "Too many wrong tokens. Wait a minute, then try again."), 429, wait)
        if not same(form.get("token", ""), self._token):
            self._logins.failed(address)
            return _html(html.login_page(then, "This is not the token of this server."), 401)
        self._sessions.end(request.cookies.get(COOKIE, ""))
        answer = _to(then)
        answer.set_cookie(
            COOKIE,
            self._sessions.begin(),
            max_age=int(LONGEST_S),
            httponly=True,
            samesite="lax",
            secure=self._is_secure(request),
        )
        return answer

    async def _log_out(self, request: Request) -> Response:
        cookie = request.cookies.get(COOKIE, "")
        session, form = self._sessions.find(cookie), await _form(request)
        if session is None:
            return _to("/login")
        if not self._is_from_here(request) or not session.is_token(form.get("csrf", ""), html.LOGOUT):
            return _refused_as_stale()
        self._sessions.end(cookie)
        answer = _to("/login")
        answer.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=self._is_secure(request))
        return answer

    def _is_from_here(self, request: Request) -> bool:
        """Whether a form was sent from a page of this server, as far as the browser says."""
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return False
        origin = request.headers.get("origin")
        if origin is None:
            return True
        found, host = web_address(origin), web_address(f"http://{request.headers.get('host', '')}")
        if found is None:
            return False
        if self._public is not None and _same_place(origin, self._public_url):
            return True
        return host is not None and origin.partition("://")[2].lower() == request.headers["host"].lower()

    def _is_secure(self, request: Request) -> bool:
        """Whether the person's browser uses HTTPS: directly, or through the public address."""
        if request.url.scheme == "https":
            return True
        origin = request.headers.get("origin", "")
        return origin.startswith("https://") and _same_place(origin, self._public_url)


async def _no_icon(_request: Request) -> Response:
    """Browsers ask for it on their own."""
    return Response(status_code=204)


def _same_place(origin: str, address: str) -> bool:
    scheme, _, rest = address.partition("://")
    return origin.lower() == f"{scheme}://{rest.partition('/')[0]}".lower()


def _then(given: str) -> str:
    """The page to show after the login: one of these pages only."""
    return given if _THEN.fullmatch(given) else "/"


async def _form(request: Request) -> Mapping[str, str]:
    """Read a form.

    Raises:
        HTTPException: 415 for another content type, 400 if it has too many fields, 413 and 408 as for `body_of`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "the body must be a form")
    raw = await body_of(request, MOST_FORM_BYTES)
    try:
        return dict(parse_qsl(raw.decode("utf-8", "replace"), max_num_fields=MOST_FORM_FIELDS))
    except ValueError:
        raise HTTPException(400, "the form has too many fields") from None


def _html(page: str, status: int = 200, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    own = {
        "Content-Security-Policy": f"{policy()}; frame-ancestors 'none'",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    return HTMLResponse(page, status, {**own, **(headers or {})})


def _to(path: str) -> RedirectResponse:
    return RedirectResponse(quote(path, safe="/?=&%"), SEE_OTHER)


def _refused_as_stale() -> HTMLResponse:
    return _html(html.message_page("Nothing was done", STALE), 403)
