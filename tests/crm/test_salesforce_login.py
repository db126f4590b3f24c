"""Ways to log in, and how each of them is refused: at first a matter of settings, later a service that is down."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from org_harness import CLIENT_ID, SECRET, Harness, OrgHost, Wire, token_answer

from connector.core.errors import ConfigurationError, ConnectorError, DownError
from connector.crm.salesforce import Login
from connector.crm.salesforce.domain import domain_of
from connector.crm.salesforce.site import SalesforceCrm

PEM, PKCS8 = Encoding.PEM, PrivateFormat.PKCS8


@pytest.fixture(scope="module")
def host() -> Iterator[OrgHost]:
    with OrgHost() as host:
        yield host


@pytest.fixture
def harness(host: OrgHost) -> Harness:
    return host.fresh()


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65_537, key_size=2_048)


@pytest.fixture(scope="module")
def key_file(key: RSAPrivateKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "server.key"
    path.write_bytes(key.private_bytes(PEM, PKCS8, NoEncryption()))
    return path


def public(key: RSAPrivateKey) -> str:
    return key.public_key().public_bytes(PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def refused(crm: SalesforceCrm) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        crm.login()
    return caught.value


# -- ways that work --------------------------------------------------------------------------------------------


def test_client_credentials(harness: Harness) -> None:
    harness.crm().login()
    login, limits = harness.arrivals
    assert (login.method, login.path, login.form) == (
        "POST",
        "/services/oauth2/token",
        {"grant_type": "client_credentials"},
    )
    assert base64.b64decode(login.headers["authorization"].removeprefix("Basic ")).decode() == f"{CLIENT_ID}:{SECRET}"
    assert limits.headers["authorization"].startswith("Bearer 00D")


def test_jwt_bearer(harness: Harness, key: RSAPrivateKey, key_file: Path) -> None:
    harness.site.login.jwt_public_key = public(key)
    harness.crm(harness.jwt_login(key_file)).login()
    assertion = harness.arrivals[0].form["assertion"]
    claims = json.loads(base64.urlsafe_b64decode(assertion.split(".")[1] + "=="))
    assert (claims["iss"], claims["sub"]) == (CLIENT_ID, "integration@example.com")
    assert claims["aud"] == "https://login.salesforce.com"


def test_an_existing_token(harness: Harness) -> None:
    harness.site.accept_token("a-token-from-elsewhere")
    crm = harness.crm(Login(harness.url, access_token="a-token-from-elsewhere"))
    crm.login()
    assert harness.count("token") == 0
    assert harness.arrivals[0].headers["authorization"] == "Bearer a-token-from-elsewhere"


def test_a_token_that_ends_is_replaced_without_a_word(harness: Harness) -> None:
    lead = harness.lead()
    crm = harness.ready()
    harness.site.expire_tokens()
    found = crm.read("Lead", [lead], ["LastName"])[lead]
    assert found is not None
    assert found.values["LastName"] == "Okafor"
    assert (harness.count("token"), harness.slept) == (1, [])
    tokens = {a.headers["authorization"] for a in harness.arrivals if not a.is_login}
    assert len(tokens) == 2


# -- ways that do not ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"client_secret": "wrong-secret"}, "SALESFORCE_CLIENT_SECRET"),
        ({"client_id": "somebody-else"}, "SALESFORCE_CLIENT_ID"),
    ],
)
def test_wrong_client_credentials(harness: Harness, changes: dict[str, object], setting: str) -> None:
    error = refused(harness.crm(harness.login(**changes)))
    assert (type(error), error.exit_code) == (ConfigurationError, 2)
    assert setting in str(error)
    assert "wrong-secret" not in str(error)
    assert "somebody-else" not in str(error)
    assert (harness.count("token"), harness.slept) == (1, [])


def test_a_login_refused_later_leaves_the_queue(harness: Harness) -> None:
    crm = harness.ready()
    harness.site.expire_tokens()
    harness.site.clients.clear()
    error = refused(crm)
    assert (type(error), error.exit_code) == (DownError, 4)


def test_a_given_token_cannot_be_renewed(harness: Harness) -> None:
    error = refused(harness.crm(Login(harness.url, access_token="expired-token")))
    assert type(error) is ConfigurationError
    assert "SALESFORCE_ACCESS_TOKEN" in str(error)
    assert "expired-token" not in str(error)

    harness.site.accept_token("good-token")
    crm = harness.ready(login=Login(harness.url, access_token="good-token"))
    harness.site.expire_tokens()
    later = refused(crm)
    assert type(later) is DownError
    assert "SALESFORCE_ACCESS_TOKEN" in str(later)
    assert harness.count("token") == 0


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"client_id": "somebody-else"}, "SALESFORCE_CLIENT_ID"),
        ({"username": "stranger@example.com"}, "pre-authorise the user"),
    ],
)
def test_a_refused_assertion(
    harness: Harness, key: RSAPrivateKey, key_file: Path, changes: dict[str, object], advice: str
) -> None:
    harness.site.login.jwt_public_key = public(key)
    error = refused(harness.crm(harness.jwt_login(key_file, **changes)))
    assert type(error) is ConfigurationError
    assert advice in str(error)
    assert "stranger" not in str(error)


def test_a_key_that_belongs_to_another_certificate(harness: Harness, key_file: Path) -> None:
    harness.site.login.jwt_public_key = public(generate_private_key(public_exponent=65_537, key_size=2_048))
    assert type(refused(harness.crm(harness.jwt_login(key_file)))) is ConfigurationError


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "binary", "public", "elliptic", "passphrase"])
def test_a_key_file_that_cannot_be_used_is_a_setting_to_correct(
    harness: Harness, key: RSAPrivateKey, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "server.key"
    contents = {
        "empty": b"",
        "text": b"not a key",
        "binary": b"\xff\xfe\x00\x01",
        "public": public(key).encode(),
        "elliptic": generate_ec_key(SECP256R1()).private_bytes(PEM, PKCS8, NoEncryption()),
        "passphrase": key.private_bytes(PEM, PKCS8, BestAvailableEncryption(b"x")),
    }
    if kind in contents:
        path.write_bytes(contents[kind])
    error = refused(harness.crm(harness.jwt_login(tmp_path if kind == "folder" else path)))
    assert (type(error), error.exit_code) == (ConfigurationError, 2)
    assert "SALESFORCE_PRIVATE_KEY_FILE" in str(error)
    assert "PRIVATE KEY-----" not in str(error)
    assert harness.arrivals == []


def test_an_org_that_cannot_be_reached(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> object:
        raise OSError("no route to host")

    monkeypatch.setattr("socket.create_connection", unreachable)
    error = refused(harness.crm())
    assert (type(error), error.exit_code) == (DownError, 4)
    assert "SALESFORCE_INSTANCE_URL" in str(error)
    assert len(harness.slept) == 4


TROUBLE: list[tuple[str, dict[str, object]]] = [
    ("html", {"status": 503}),
    ("html", {"status": 502}),
    ("status", {"status": 503, "errorCode": "temporarily_unavailable"}),
    ("status", {"status": 400, "errorCode": "unknown_error"}),
    ("truncated", {}),
    ("drop_before", {}),
    ("cut_body", {}),
]


def test_trouble_at_the_token_endpoint_passes(host: OrgHost, subtests: pytest.Subtests) -> None:
    """A maintenance page instead of a token must not send an admin looking for a wrong secret."""
    for action, params in TROUBLE:
        with subtests.test(action=action, params=params):
            harness = host.fresh()
            harness.arm("token", action, **params)
            harness.crm().login()
            assert (harness.count("token"), len(harness.slept)) == (2, 1)

            harness.arm_forever("token", action, **params)
            error = refused(harness.crm())
            assert (type(error), error.exit_code) == (DownError, 4)


ODD: list[tuple[int, object, type[ConnectorError]]] = [
    (200, {"access_token": "", "instance_url": "https://acme.my.salesforce.com"}, ConfigurationError),
    (200, {"access_token": None, "instance_url": "https://acme.my.salesforce.com"}, ConfigurationError),
    (200, {"access_token": "t\n"}, ConfigurationError),
    (200, {"access_token": "t x"}, ConfigurationError),
    (200, {"access_token": 5}, ConfigurationError),
    (200, None, DownError),
    (200, 5, DownError),
    (200, True, DownError),
    (200, b"<html>Log in</html>", DownError),
    (200, b"", DownError),
    (404, b"<html>Not here</html>", ConfigurationError),
    (405, b"", ConfigurationError),
    (429, b"<html>Later</html>", DownError),
    (200, [], DownError),
    (200, "ok", DownError),
    (500, ["wrong"], DownError),
    (400, {}, ConfigurationError),
    (400, {"error": "a <b>page</b> of ada@example.com"}, ConfigurationError),
    (400, {"error": ["invalid_grant"]}, ConfigurationError),
    (400, {"error": None, "error_description": ["ip restricted"]}, ConfigurationError),
]


def answer_oddly(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, status: int, body: object, expected: type[ConnectorError]
) -> None:
    wire = Wire(lambda _: (status, body))
    wire.install(monkeypatch)
    error = refused(harness.crm(harness.login(instance_url="https://acme.my.salesforce.com")))
    assert type(error) is expected
    assert "ada@example.com" not in str(error)
    assert SECRET not in str(error)


def test_odd_answers_of_the_token_endpoint(host: OrgHost, subtests: pytest.Subtests) -> None:
    for status, body, expected in ODD:
        with subtests.test(status=status, body=body, expected=expected), pytest.MonkeyPatch.context() as monkeypatch:
            answer_oddly(host.fresh(), monkeypatch, status, body, expected)


# -- addresses -------------------------------------------------------------------------------------------------


DOMAINS: list[tuple[str, str]] = [
    ("https://acme.my.salesforce.com", "acme.my"),
    ("https://ACME.my.Salesforce.com", "acme.my"),
    ("https://acme--uat.sandbox.my.salesforce.com", "acme--uat.sandbox.my"),
    ("https://acme-dev-ed.develop.my.salesforce.com", "acme-dev-ed.develop.my"),
    ("http://127.0.0.1:8080", "loopback.my"),
]


def test_domain_of_a_my_domain() -> None:
    wrong = [(url, domain, got) for url, domain in DOMAINS if (got := domain_of(url)) != domain]
    assert wrong == []


OTHER_ADDRESSES: list[str] = [
    "https://login.salesforce.com",
    "https://test.salesforce.com",
    "https://acme.lightning.force.com",
    "https://acme.my.salesforce.com.evil.example.com",
    "https://evil.example.com/.salesforce.com",
    "https://notsalesforce.com",
    "https://salesforce.com",
]


def test_other_addresses_are_refused_with_the_way_to_find_the_right_one(
    host: OrgHost, subtests: pytest.Subtests
) -> None:
    for url in OTHER_ADDRESSES:
        with subtests.test(url=url):
            harness = host.fresh()
            with pytest.raises(ConfigurationError, match="SALESFORCE_INSTANCE_URL must be the org's My Domain"):
                domain_of(url)
            assert type(refused(harness.crm(harness.login(instance_url=url)))) is ConfigurationError
            assert harness.slept == []


AUDIENCES: list[tuple[str, str]] = [
    ("https://acme.my.salesforce.com", "https://login.salesforce.com"),
    ("https://acme--uat.sandbox.my.salesforce.com", "https://test.salesforce.com"),
    ("https://acme--uat.my.salesforce.com", "https://test.salesforce.com"),
    ("https://fun-otter-1234-dev-ed.scratch.my.salesforce.com", "https://test.salesforce.com"),
    ("https://acme-dev-ed.develop.my.salesforce.com", "https://login.salesforce.com"),
    ("https://sandbox-scratch.my.salesforce.com", "https://login.salesforce.com"),
    ("https://acme-demo.trailblaze.my.salesforce.com", "https://login.salesforce.com"),
]


def test_the_token_is_asked_for_at_the_orgs_own_address(
    host: OrgHost, key_file: Path, subtests: pytest.Subtests
) -> None:
    for url, audience in AUDIENCES:
        with subtests.test(url=url, audience=audience), pytest.MonkeyPatch.context() as monkeypatch:
            harness = host.fresh()

            def answer(request: httpx.Request) -> tuple[int, object]:
                return 200, token_answer() if "oauth2" in str(request.url) else {"DailyApiRequests": {}}

            wire = Wire(answer)
            wire.install(monkeypatch)
            harness.crm(harness.jwt_login(key_file, instance_url=url)).login()
            harness.crm(harness.login(instance_url=url)).login()
            assert [str(request.url) for request in wire.sent] == [
                f"{url}/services/oauth2/token",
                f"{url}/services/data/v67.0/limits/",
            ] * 2
            assertion = wire.sent[0].content.decode().partition("assertion=")[2].partition("&")[0]
            claims = json.loads(base64.urlsafe_b64decode(assertion.split(".")[1] + "=="))
            assert claims["aud"] == audience


def test_the_audience_can_be_set(harness: Harness, monkeypatch: pytest.MonkeyPatch, key_file: Path) -> None:
    wire = Wire(lambda request: (200, token_answer() if "oauth2" in str(request.url) else {}))
    wire.install(monkeypatch)
    audience = "https://acme.my.site.com/portal"
    login = harness.jwt_login(key_file, instance_url="https://acme.my.salesforce.com", jwt_audience=audience)
    harness.crm(login).login()
    assertion = wire.sent[0].content.decode().partition("assertion=")[2].partition("&")[0]
    assert json.loads(base64.urlsafe_b64decode(assertion.split(".")[1] + "=="))["aud"] == audience


LACKS: list[tuple[Login, str | None]] = [
    (Login(""), "SALESFORCE_INSTANCE_URL; SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET"),
    (Login("", username="u"), "SALESFORCE_INSTANCE_URL; SALESFORCE_CLIENT_ID, SALESFORCE_USERNAME and"),
    (Login("", access_token="t"), "SALESFORCE_INSTANCE_URL"),
    (Login("https://x"), "SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET"),
    (Login("https://x", client_id="a"), "SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET"),
    (Login("https://x", client_secret="a"), "SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET"),
    (Login("https://x", client_id="a", username="u"), "SALESFORCE_PRIVATE_KEY_FILE together"),
    (Login("https://x", username="u", private_key_file=Path("k")), "SALESFORCE_CLIENT_ID"),
    (Login("https://x", client_id="a", username="u", private_key_file=Path("k")), None),
    (Login("https://x", client_id="a", client_secret="b"), None),
    (Login("https://x", access_token="t"), None),
]


def test_what_a_login_lacks(subtests: pytest.Subtests) -> None:
    for login, missing in LACKS:
        with subtests.test(login=login, missing=missing):
            found = login.missing()
            assert found == missing if missing is None else missing in (found or "")
