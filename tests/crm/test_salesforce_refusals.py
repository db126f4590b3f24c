"""Refusals of whole requests, each with its cause: logins, scopes, versions, moved orgs, odd bodies, optional reads."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import product

import httpx
import pytest
from org_harness import Harness, OrgHost, Wire, token_answer

from connector.core.errors import ConfigurationError, ConnectorError, DownError, PassingError, QuotaError, StopError
from connector.crm.interface import ObjectInfo, Selection, Update
from connector.crm.salesforce import Login, client
from connector.crm.salesforce.client import ATTEMPTS
from connector.crm.salesforce.refusals import refused_login
from connector.crm.salesforce.site import SalesforceCrm

ORG = "https://acme.my.salesforce.com"
LEAD = "00QSm0000000001AAA"
Answer = Callable[[httpx.Request], tuple[int, object]]


@pytest.fixture(scope="module")
def host() -> Iterator[OrgHost]:
    with OrgHost() as host:
        yield host


@pytest.fixture
def harness(host: OrgHost) -> Harness:
    return host.fresh()


def wired(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, answer: Answer, headers: Mapping[str, str] | None = None
) -> tuple[SalesforceCrm, Wire]:
    """A client of an org that answers by a function; its token requests succeed."""

    def answer_all(request: httpx.Request) -> tuple[int, object]:
        return (200, token_answer()) if "oauth2" in str(request.url) else answer(request)

    wire = Wire(answer_all, headers or {})
    wire.install(monkeypatch)
    return harness.crm(harness.login(instance_url=ORG)), wire


def raised(do: Callable[[], object]) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        do()
    return caught.value


def error_body(code: str, message: str = "no") -> list[dict[str, str]]:
    return [{"errorCode": code, "message": message}]


# -- logins ------------------------------------------------------------------------------------------------------

REFUSED = [
    ("invalid_grant", "ip restricted", "Network Access"),
    ("invalid_grant", "inactive user", "activate the run-as user"),
    ("invalid_grant", "user is inactive", "activate the run-as user"),
    ("inactive_user", "", "activate the run-as user"),
    ("invalid_grant", "inactive organization", "the org is inactive or locked"),
    ("inactive_org", "", "the org is inactive or locked"),
    ("invalid_grant", "audience is invalid", "SALESFORCE_JWT_AUDIENCE"),
    ("invalid_grant", "Audience validation failed", "SALESFORCE_JWT_AUDIENCE"),
    ("invalid_grant", "user hasn't approved this consumer", "pre-authorise the user"),
    ("invalid_grant", "user hasn\u2019t approved this consumer", "pre-authorise the user"),
    ("invalid_app_access", "user is not admin approved to access this app", "pre-authorise the user"),
    ("invalid_grant", "no client credentials user enabled", "run-as user"),
    ("invalid_grant", "authentication failure", "SALESFORCE_CLIENT_SECRET"),
    ("invalid_grant", "authentication failure - Invalid Password", "SALESFORCE_CLIENT_SECRET"),
    ("invalid_grant", "expired authorization code", "this machine's clock"),
    ("invalid_grant", "expired access/refresh token", "the login has expired"),
    ("invalid_grant", "invalid assertion", "SALESFORCE_PRIVATE_KEY_FILE"),
    ("invalid_grant", "request not supported on this domain", "My Domain"),
    ("invalid_grant", "something new", "client credentials flow"),
    ("invalid_client", "invalid client credentials", "SALESFORCE_CLIENT_SECRET"),
    ("invalid_client_id", "client identifier invalid", "SALESFORCE_CLIENT_ID"),
    ("invalid_client", "", "SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET"),
    ("app_not_found", "External client app is not installed in this org", "does not know the app"),
    ("unsupported_grant_type", "grant type not supported", "enable the flow"),
    ("unauthorized_client", "", "enable the flow"),
    ("invalid_scope", "the requested scope is invalid", "Manage user data via APIs (api)"),
    ("redirect_uri_mismatch", "redirect_uri must match configuration", "no callback address"),
    ("OAUTH_APP_BLOCKED", "this app is blocked by admin", "Connected Apps OAuth Usage"),
    ("invalid_request", "", "enable the OAuth flow"),
    ("a_code_of_tomorrow", "a phrase of tomorrow", "a phrase of tomorrow"),
]


def test_each_refused_login_has_its_own_remedy(host: OrgHost, subtests: pytest.Subtests) -> None:
    for code, description, remedy in REFUSED:
        with subtests.test(code=code, description=description, remedy=remedy):
            harness = host.fresh()
            harness.arm("token", "status", status=400, errorCode=code, message=description)
            error = raised(harness.crm().login)
            assert (type(error), error.exit_code) == (ConfigurationError, 2)
            assert remedy in str(error)
            assert code in str(error)
            assert (harness.count("token"), harness.slept) == (1, [])


TOO_MANY: list[tuple[str, str]] = [
    ("invalid_grant", "login rate exceeded"),
    ("invalid_grant", "Login Rate Exceeded"),
    ("rate_limit_exceeded", ""),
    ("invalid_grant", "exceeded the maximum number of logins"),
]


def test_too_many_logins_stop_the_run_and_name_no_setting(host: OrgHost, subtests: pytest.Subtests) -> None:
    for code, description in TOO_MANY:
        with subtests.test(code=code, description=description):
            harness = host.fresh()
            harness.arm("token", "status", status=400, errorCode=code, message=description)
            error = raised(harness.crm().login)
            assert isinstance(error, StopError)
            assert error.exit_code == 4
            assert "login rate exceeded" in str(error)
            assert "SALESFORCE_" not in str(error)


def test_the_remedies_of_different_causes_differ() -> None:
    causes = ("ip restricted", "inactive user", "audience is invalid", "user hasn't approved this consumer", "x")
    assert len({str(refused_login("invalid_grant", cause)) for cause in causes}) == len(causes)


def test_a_description_is_shown_without_what_it_quotes() -> None:
    text = "no app abc-client for ada@example.com (+1 415 555 0100), secret s3cr3t-value"
    error = refused_login("invalid_new", text, ("abc-client", "s3cr3t-value", None))
    assert "no app … for … (…), secret …" in str(error)


def test_a_login_refused_by_a_rule_after_it_worked_leaves_the_queue(harness: Harness) -> None:
    crm = harness.ready()
    harness.site.expire_tokens()
    harness.arm("token", "status", status=400, errorCode="invalid_grant", message="ip restricted")
    error = raised(lambda: crm.describe("Lead"))
    assert (type(error), error.exit_code) == (DownError, 4)
    assert "Network Access" in str(error)


def test_a_fresh_token_that_every_request_refuses_lacks_the_scope(harness: Harness) -> None:
    for operation in ("limits", "describe", "query"):
        harness.arm_forever(
            operation, "status", status=401, errorCode="INVALID_SESSION_ID", message="not valid for API"
        )
    error = raised(harness.crm().login)
    assert (type(error), error.exit_code) == (ConfigurationError, 2)
    assert "Manage user data via APIs (api)" in str(error)
    assert "HTTP 401, INVALID_SESSION_ID" in str(error)
    assert (harness.count("token"), harness.count("limits"), harness.slept) == (2, 2, [])


# -- the limits, which are useful and not needed -----------------------------------------------------------------


NO_LIMITS: list[tuple[int, str]] = [
    (403, "INSUFFICIENT_ACCESS"),
    (403, "API_CURRENTLY_DISABLED"),
    (400, "FUNCTIONALITY_NOT_ENABLED"),
    (405, "METHOD_NOT_ALLOWED"),
    (404, "NOT_FOUND"),
    (500, "UNKNOWN_EXCEPTION"),
    (503, "SERVER_UNAVAILABLE"),
]


def test_limits_that_cannot_be_read_stop_nothing(host: OrgHost, subtests: pytest.Subtests) -> None:
    for status, code in NO_LIMITS:
        with subtests.test(status=status, code=code):
            harness = host.fresh()
            lead = harness.lead()
            harness.arm_forever("limits", "status", status=status, errorCode=code)
            crm = harness.crm()
            crm.login()
            assert crm.read("Lead", [lead], ["Email"])[lead] is not None
            assert crm.usage().daily_limit == 15_000, "the header of any answer has the quota"


def test_the_quota_of_a_refused_limits_request_is_kept_too(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"Sforce-Limit-Info": "api-usage=850/1000"}
    crm, wire = wired(harness, monkeypatch, lambda _: (403, error_body("INSUFFICIENT_ACCESS")), headers)
    with pytest.raises(QuotaError, match="850 of 1000"):
        crm.login()
    with pytest.raises(QuotaError):
        crm.describe("Lead")
    assert len(wire.sent) == 2


@pytest.mark.parametrize("code", ["REQUEST_LIMIT_EXCEEDED", "API_DISABLED_FOR_ORG"])
def test_limits_refused_for_the_whole_org_stop_the_run(harness: Harness, code: str) -> None:
    harness.arm_forever("limits", "status", status=403, errorCode=code)
    assert type(raised(harness.crm().login)) is QuotaError


USAGE: list[tuple[str, tuple[int, int] | None]] = [
    ("api-usage=17/15000", (17, 15_000)),
    ("api-usage=25/5000; per-app-api-usage=17/250(appName=sample-app)", (25, 5000)),
    ("per-app-api-usage=17/250(appName=sample-app); api-usage=25/5000", (25, 5000)),
    ("per-app-api-usage=17/250(appName=sample-app)", None),
    ("api-usage=" + "9" * 5000 + "/1", None),
    ("api-usage=1/" + "9" * 50_000, None),
    ("api-usage=\u0663/\u0669", None),
    ("api-usage=-1/5", None),
    ("api-usage=1.5/5", None),
    ("api-usage=nan/inf", None),
    ("api-usage", None),
    ("", None),
]


def test_the_usage_header_in_odd_forms(host: OrgHost, subtests: pytest.Subtests) -> None:
    for header, quota in USAGE:
        with subtests.test(header=header, quota=quota), pytest.MonkeyPatch.context() as monkeypatch:
            harness = host.fresh()
            crm, _ = wired(harness, monkeypatch, lambda _: (200, {}), {"Sforce-Limit-Info": header})
            crm.login()
            used = (crm.usage().daily_used, crm.usage().daily_limit)
            assert used == (quota or (None, None))


# -- versions ----------------------------------------------------------------------------------------------------


def test_a_version_newer_than_the_org_is_named_with_those_it_offers(harness: Harness) -> None:
    error = raised(harness.crm(version="99.0").login)
    assert isinstance(error, ConfigurationError)
    assert "this org does not know API version 99.0; set SALESFORCE_API_VERSION (it offers 31.0 to " in str(error)


VERSIONS: list[object] = [None, b"<html>no</html>", 5, [], [{"version": "66.0"}, {"version": "x"}, 7]]


def refuse_the_version(harness: Harness, monkeypatch: pytest.MonkeyPatch, status: int, versions: object) -> None:
    def answer(request: httpx.Request) -> tuple[int, object]:
        if request.url.path.rstrip("/") == "/services/data" and versions is not None:
            return 200, versions
        return status, error_body("NOT_FOUND", "The requested resource does not exist")

    crm, wire = wired(harness, monkeypatch, answer)
    error = raised(crm.login)
    assert error.exit_code == 2
    assert "this org does not know API version 67.0; set SALESFORCE_API_VERSION" in str(error)
    listing = wire.sent[-1]
    assert "authorization" not in listing.headers
    assert crm.usage().other_calls == 2


def test_a_version_that_every_path_refuses(host: OrgHost, subtests: pytest.Subtests) -> None:
    for versions, status in product(VERSIONS, (404, 410)):
        with subtests.test(versions=versions, status=status), pytest.MonkeyPatch.context() as monkeypatch:
            refuse_the_version(host.fresh(), monkeypatch, status, versions)


def test_an_unknown_object_is_not_taken_for_an_unknown_version(harness: Harness) -> None:
    harness.arm_forever("limits", "status", status=403, errorCode="INSUFFICIENT_ACCESS")
    crm = harness.crm()
    crm.login()
    error = raised(lambda: crm.describe("Nonsense__c"))
    assert "object Nonsense__c" in str(error)
    assert "SALESFORCE_API_VERSION" not in str(error)


# -- addresses ---------------------------------------------------------------------------------------------------

NEW = "https://acme-new.my.salesforce.com/services/oauth2/token?secret=x"


def rename_the_domain(harness: Harness, monkeypatch: pytest.MonkeyPatch, status: int, at: str) -> None:
    def answer(request: httpx.Request) -> tuple[int, object]:
        if at in str(request.url):
            return status, b""
        return 200, token_answer() if "oauth2" in str(request.url) else {"fields": [{"name": "Id"}]}

    wire = Wire(answer, {"Location": NEW})
    wire.install(monkeypatch)
    crm = harness.crm(harness.login(instance_url=ORG))

    def everything() -> None:
        crm.login()
        crm.describe("Lead")
        if at == "query":
            list(crm.select(Selection("Lead", ())))
        crm.update("Lead", [Update(LEAD, {"Phone": "1"})])

    error = raised(everything)
    assert isinstance(error, ConfigurationError)
    assert error.exit_code == 2
    assert "acme.my.salesforce.com redirects to acme-new.my.salesforce.com" in str(error)
    assert "SALESFORCE_INSTANCE_URL=https://acme-new.my.salesforce.com" in str(error)
    assert "secret" not in str(error)
    assert {request.url.host for request in wire.sent} == {"acme.my.salesforce.com"}
    assert harness.slept == []


def test_a_renamed_domain_names_the_new_host_and_gets_no_credential(host: OrgHost, subtests: pytest.Subtests) -> None:
    for at, status in product(("oauth2", "limits", "describe", "query", "composite"), (301, 302, 303, 307, 308)):
        with subtests.test(at=at, status=status), pytest.MonkeyPatch.context() as monkeypatch:
            rename_the_domain(host.fresh(), monkeypatch, status, at)


ELSEWHERE: list[tuple[str, str]] = [
    ("https://login.example.com/", "redirects to login.example.com"),
    ("/login", "redirects to acme.my.salesforce.com"),
    ("https://acme.my.salesforce.com.example.com/", "redirects to acme.my.salesforce.com.example.com"),
    ("https://\u2603/", "an address without a readable name"),
]


def test_a_login_page_elsewhere_is_not_taken_for_the_orgs_new_address(host: OrgHost, subtests: pytest.Subtests) -> None:
    for location, shown in ELSEWHERE:
        with subtests.test(location=location, shown=shown), pytest.MonkeyPatch.context() as monkeypatch:
            harness = host.fresh()
            wire = Wire(lambda _: (302, b""), {"Location": location})
            wire.install(monkeypatch)
            error = raised(harness.crm(harness.login(instance_url=ORG)).login)
            assert isinstance(error, ConfigurationError)
            assert shown in str(error)
            assert "set SALESFORCE_INSTANCE_URL=" not in str(error)
            assert "check SALESFORCE_INSTANCE_URL" in str(error)


# -- bodies ------------------------------------------------------------------------------------------------------

BODIES: dict[str, tuple[bytes, str]] = {
    "null": (b"null", "answered with JSON that is neither an object nor a list"),
    "number": (b"5", "answered with JSON that is neither an object nor a list"),
    "true": (b"true", "answered with JSON that is neither an object nor a list"),
    "text": (b'"ok"', "answered with JSON that is neither an object nor a list"),
    "page": (b"<html><body>Maintenance</body></html>", "answered with a web page instead of JSON"),
    "empty": (b"", "answered with an empty body instead of JSON"),
    "cut": (b'{"records": [', "answered with text that is not JSON"),
    "deep": (b"[" * 100_000, "answered with JSON that is nested too deeply"),
    "long number": (b'{"a": ' + b"1" * 5000 + b"}", "holds a number that is too long"),
    "large": (b" " * (32 * 2**20) + b"{}", "sent an answer of more than 32 MB"),
}


def answer_nonsense(harness: Harness, monkeypatch: pytest.MonkeyPatch, name: str, at: str) -> None:
    body, why = BODIES[name]
    crm, _ = wired(harness, monkeypatch, lambda _: (200, body))
    if at == "read":
        monkeypatch.setattr(SalesforceCrm, "describe", lambda *_: ObjectInfo("Lead", {}))
    calls: dict[str, Callable[[], object]] = {
        "limits": crm.login,
        "describe": lambda: crm.describe("Lead"),
        "query": lambda: list(crm.select(Selection("Lead", ()))),
        "read": lambda: crm.read("Lead", [LEAD], []),
    }
    error = raised(calls[at])
    assert (type(error), error.exit_code) == (DownError, 4)
    assert why in str(error)
    assert "cannot be reached" not in str(error)
    assert len(harness.slept) == ATTEMPTS - 1


def test_a_200_that_is_no_answer_has_a_true_message(host: OrgHost, subtests: pytest.Subtests) -> None:
    for at, name in product(("limits", "describe", "query", "read"), BODIES):
        with subtests.test(at=at, name=name), pytest.MonkeyPatch.context() as monkeypatch:
            answer_nonsense(host.fresh(), monkeypatch, name, at)


def answer_a_write_with_nonsense(harness: Harness, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    body, why = BODIES[name]
    crm, wire = wired(harness, monkeypatch, lambda _: (200, body))
    with pytest.raises(PassingError) as caught:
        crm.update("Lead", [Update(LEAD, {"Phone": "1"})])
    assert why in str(caught.value)
    assert len(wire.sent) == 2


def test_a_write_with_such_an_answer_is_lost_and_compared_again(host: OrgHost, subtests: pytest.Subtests) -> None:
    for name in BODIES:
        with subtests.test(name=name), pytest.MonkeyPatch.context() as monkeypatch:
            answer_a_write_with_nonsense(host.fresh(), monkeypatch, name)


def test_lists_and_objects_of_the_wrong_kind_are_no_crash(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: list[object] = [[], {}, [None], {"records": 5}, {"fields": {}}, [[]]]
    for body in bodies:
        crm, _ = wired(harness, monkeypatch, lambda _, body=body: (200, body))  # type: ignore[misc]
        for call in (
            lambda crm=crm: crm.describe("Lead"),
            lambda crm=crm: list(crm.select(Selection("Lead", ()))),
            lambda crm=crm: crm.update("Lead", [Update(LEAD, {}), Update(LEAD, {})]),
        ):
            assert type(raised(call)) is DownError


def test_half_a_character_in_one_name_does_not_hide_the_page(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    page = b'{"done": true, "records": [{"Id": "%s", "LastName": "\\ud83d"}]}' % LEAD[:15].encode()
    crm, _ = wired(harness, monkeypatch, lambda _: (200, page))
    ((record,),) = list(crm.select(Selection("Lead", ("LastName",))))
    assert record.values["LastName"] == "\ufffd"


def test_a_compressed_bomb_is_cut_off(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb, token = gzip.compress(b" " * (40 * 2**20)), gzip.compress(json.dumps(token_answer()).encode())
    wire = Wire(lambda request: (200, token if "oauth2" in str(request.url) else bomb), {"Content-Encoding": "gzip"})
    wire.install(monkeypatch)
    crm = harness.crm(harness.login(instance_url=ORG))
    assert "more than 32 MB" in str(raised(lambda: crm.describe("Lead")))


@pytest.mark.parametrize("at", ["oauth2", "limits", "query", "composite"])
def test_a_body_that_drips_ends_after_thirty_seconds(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    now_s = [0.0]

    class Drops(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                now_s[0] += 2.0
                yield b" "

    def send(_: object, request: httpx.Request) -> httpx.Response:
        if at in str(request.url):
            return httpx.Response(200, stream=Drops())
        body = token_answer() if "oauth2" in str(request.url) else {}
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(body).encode()))

    monkeypatch.setattr("httpx.HTTPTransport.handle_request", send)
    login = Login(ORG, client_id="id", client_secret="secret")
    crm = SalesforceCrm(client.Client(login, "67.0", 20, harness.slept.append, clock=lambda: now_s[0]))
    harness.opened.append(crm)

    def everything() -> None:
        crm.login()
        if at == "query":
            list(crm.select(Selection("Lead", ())))
        crm.update("Lead", [Update(LEAD, {"Phone": "1"})])

    assert "gave no complete answer within 30 s" in str(raised(everything))
    assert now_s[0] == 30.0 * (1 if at == "composite" else ATTEMPTS)


HEADERS: list[dict[str, str]] = [
    {"Retry-After": "Mon, 20 Nov 9999999999 07:00:00 GMT"},
    {"Retry-After": "9" * 5000},
    {"Content-Type": "application/json; charset=no-such"},
    {"Set-Cookie": "a=b; Expires=Mon, 20 Nov 9999999999 07:00:00 GMT"},
    {"Date": "never"},
    {"ETag": "\x7f" * 500},
]


def answer_with_headers(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], status: int
) -> None:
    answers = iter([(status, {} if status == 200 else error_body("ANY"))])
    crm, _ = wired(harness, monkeypatch, lambda _: next(answers, (200, {})), headers)
    crm.login()


def test_no_header_ends_a_run(host: OrgHost, subtests: pytest.Subtests) -> None:
    for status, headers in product((200, 403, 429, 503), HEADERS):
        with subtests.test(status=status, headers=headers), pytest.MonkeyPatch.context() as monkeypatch:
            answer_with_headers(host.fresh(), monkeypatch, headers, status)


# -- the simulator's own limits ----------------------------------------------------------------------------------


def reach_a_limit_of_the_simulator(harness: Harness, status: int) -> None:
    crm = harness.ready()
    text = "the simulator does not support 'GROUP BY ROLLUP' (see docs/simulator.md)"
    harness.arm_forever("query", "status", status=status, errorCode="SIMULATOR_LIMIT", message=text)
    error = raised(lambda: list(crm.select(Selection("Lead", ()))))
    assert (type(error), error.exit_code) == (ConfigurationError, 2)
    assert text in str(error)
    assert (harness.count("query"), harness.slept) == (1, [])


def test_the_simulators_own_limit_reaches_the_user_word_by_word(host: OrgHost, subtests: pytest.Subtests) -> None:
    for status in (400, 404, 501, 500):
        with subtests.test(status=status):
            reach_a_limit_of_the_simulator(host.fresh(), status)
