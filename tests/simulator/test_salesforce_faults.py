"""Misbehaviour on request, and logins: the client's view, and the state of the org."""

import base64
import json
import time
from collections.abc import Iterator

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceGeneralError,
    SalesforceRefusedRequest,
)
from test_salesforce_driver import DATA, START, VERSION, Driver, Host, errors_of

from connector.simulator.salesforce.auth import JWT_BEARER


@pytest.fixture(scope="module", name="host")
def _host() -> Iterator[Host]:
    with Host() as host:
        yield host


@pytest.fixture(name="driver")
def _driver(host: Host) -> Driver:
    return host.fresh()


@pytest.mark.parametrize(
    ("action", "error", "done"),
    [
        ("drop_before", requests.ConnectionError, False),
        ("drop_after", requests.ConnectionError, True),
        ("truncated", requests.JSONDecodeError, True),
        ("cut_body", requests.exceptions.ChunkedEncodingError, True),
        ("html", SalesforceGeneralError, False),
        ("status", SalesforceGeneralError, False),
        ("expire_token", SalesforceExpiredSession, False),
    ],
)
def test_a_spoiled_update(driver: Driver, action: str, error: type[Exception], done: bool) -> None:
    lead = driver.lead()
    driver.arm("update_many", action)
    with pytest.raises(error):
        driver.update_many({"id": lead, "Phone": "1"})
    assert driver.org.updates_count("Lead", lead) == done
    assert driver.site.requests["update_many"] == 1
    dropped = action in ("drop_before", "drop_after", "cut_body")
    assert (driver.site.log[0][1] == 0) == dropped


def test_the_next_request_is_served_again(driver: Driver) -> None:
    lead = driver.lead()
    driver.arm("*", "drop_before", times=2)
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            driver.sf.limits()
    assert driver.update_many({"id": lead, "Phone": "1"})[0]["success"]


def test_statuses_and_their_texts(driver: Driver) -> None:
    driver.arm(
        "query", "status", status=403, errorCode="REQUEST_LIMIT_EXCEEDED", message="ConcurrentRequests", retry_after=7
    )
    with pytest.raises(SalesforceRefusedRequest) as caught:
        driver.sf.query("SELECT Id FROM Lead")
    assert errors_of(caught.value)[0]["message"] == "ConcurrentRequests"

    driver.arm("query", "status", status=429, retry_after=7)
    assert driver.raw("GET", f"{DATA}/query?q=SELECT+Id+FROM+Lead").headers["Retry-After"] == "7"

    driver.arm("query", "html", status=502)
    with pytest.raises(SalesforceGeneralError) as page:
        driver.sf.query("SELECT Id FROM Lead")
    assert (page.value.status, str(page.value.content)[:15]) == (502, "<!DOCTYPE html>")


def test_a_status_may_come_after_the_effect(driver: Driver) -> None:
    lead = driver.lead()
    driver.arm("update_one", "status", subject=lead, status=503, after_effect=True)
    with pytest.raises(SalesforceGeneralError):
        driver.handle("Lead").update(lead, {"Phone": "1"})
    assert driver.org.get("Lead", lead)["Phone"] == "1"


def test_a_late_answer_times_out_after_the_effect(driver: Driver) -> None:
    lead = driver.lead()
    driver.arm("update_many", "delay", seconds=0.3)
    body = {"records": [{"attributes": {"type": "Lead"}, "id": lead, "Phone": "1"}]}
    with pytest.raises(requests.exceptions.ReadTimeout):
        driver.sf.restful("composite/sobjects", method="PATCH", json=body, timeout=0.05)
    assert driver.org.get("Lead", lead)["Phone"] == "1"


def test_faults_find_their_record(driver: Driver) -> None:
    spoiled, other = driver.lead(), driver.lead()
    driver.arm("update_many", "drop_after", subject=spoiled[:15])
    assert driver.update_many({"id": other, "Phone": "1"})[0]["success"]
    with pytest.raises(requests.ConnectionError):
        driver.update_many({"id": other, "Phone": "2"}, {"id": spoiled, "Phone": "2"})


def test_errors_of_single_records(driver: Driver) -> None:
    first, second, third = (driver.lead() for _ in range(3))
    driver.arm("update_many", "row_error", subject=first, code="DUPLICATES_DETECTED", fields=["Email"])
    driver.arm("update_many", "row_error", subject=third, code="UNKNOWN_EXCEPTION", times=2)
    records = [{"id": record_id, "Phone": "1"} for record_id in (first, second, third)]

    codes = [
        [[error["statusCode"] for error in result["errors"]] for result in driver.update_many(*records)]
        for _ in range(3)
    ]
    assert codes == [
        [["DUPLICATES_DETECTED"], [], ["UNKNOWN_EXCEPTION"]],
        [[], [], ["UNKNOWN_EXCEPTION"]],
        [[], [], []],
    ]
    driver.arm("update_many", "row_error", code="SERVER_UNAVAILABLE")
    assert [result["success"] for result in driver.update_many(*records)] == [False] * 3


def test_an_unknown_fault_is_an_error(driver: Driver) -> None:
    driver.arm("limits", "surprise")
    with pytest.raises(SalesforceGeneralError) as caught:
        driver.sf.limits()
    assert caught.value.status == 500
    assert "surprise" not in driver.site.actions


def test_client_credentials(driver: Driver) -> None:
    lead = driver.lead()
    sf = driver.login()
    assert sf.sf_instance == driver.url.removeprefix("http://")
    assert sf.query("SELECT Id FROM Lead")["records"][0]["Id"] == lead

    form = {"grant_type": "client_credentials", "client_id": "sim-client-id", "client_secret": "sim-client-secret"}
    answer = driver.session.post(f"{driver.url}/services/oauth2/token", form, timeout=10).json()
    assert set(answer) == {"access_token", "instance_url", "id", "token_type", "scope", "issued_at", "signature"}
    assert answer["instance_url"] == driver.url
    assert answer["issued_at"] == str(int(START * 1000))
    driver.site.instance_url = "https://acme.my.salesforce.com"
    assert driver.login().sf_instance == "acme.my.salesforce.com"
    assert driver.login().limits()["DailyApiRequests"]["Max"] == 15_000


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "client_credentials", "client_id": "who"}, "invalid_client_id"),
        ({"grant_type": "client_credentials", "client_id": "sim-client-id", "client_secret": "x"}, "invalid_client"),
        ({"grant_type": "password", "client_id": "sim-client-id"}, "unsupported_grant_type"),
        ({}, "unsupported_grant_type"),
        ({"grant_type": JWT_BEARER, "assertion": "a.b"}, "invalid_grant"),
        ({"grant_type": JWT_BEARER, "assertion": "a.!!.c"}, "invalid_grant"),
    ],
)
def test_a_login_is_refused(driver: Driver, form: dict[str, str], error: str) -> None:
    answer = driver.session.post(f"{driver.url}/services/oauth2/token", form, timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert set(answer.json()) == {"error", "error_description"}


def test_a_wrong_secret_as_simple_salesforce_reports_it(driver: Driver) -> None:
    driver.site.clients.clear()
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        driver.login()
    assert caught.value.code == "invalid_client_id"
    driver.arm("token", "status", subject="sim-client-id", status=503, errorCode="temporarily_unavailable")
    with pytest.raises(SalesforceAuthenticationFailed, match="temporarily_unavailable"):
        driver.login()


@pytest.mark.parametrize("end", ["time", "admin"])
def test_an_expired_session(driver: Driver, end: str) -> None:
    lead = driver.lead()
    driver.site.token_seconds = 600
    lasting, given = driver.login(), driver.sf
    if end == "time":
        driver.clock.advance(601)
    else:
        driver.site.expire_tokens()

    with pytest.raises(SalesforceExpiredSession) as caught:
        given.query("SELECT Id FROM Lead")
    assert errors_of(caught.value) == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    assert driver.org.daily_used == 0
    assert lasting.query("SELECT Id FROM Lead")["records"][0]["Id"] == lead  # it logged in again automatically
    assert driver.site.requests["token"] == 2


def test_the_header_lost_by_simple_salesforce_reassigns_the_lead(driver: Driver) -> None:
    driver.org.assignment_rule_owner = "005Sm0000000009IAA"
    sf = driver.login()
    lead = driver.lead()
    driver.arm("update_many", "expire_token")
    body = {"records": [{"attributes": {"type": "Lead"}, "id": lead, "Phone": "1"}]}
    sf.restful("composite/sobjects", method="PATCH", json=body, headers={"Sforce-Auto-Assign": "FALSE"})
    assert driver.org.get("Lead", lead)["OwnerId"] == "005Sm0000000009IAA"


@pytest.fixture(scope="module", name="keys")
def _keys() -> tuple[str, str]:
    private = generate_private_key(public_exponent=65_537, key_size=2_048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode(), private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def assertion(private_key: str, **claims: object) -> dict[str, str]:
    usual = {
        "iss": "sim-client-id",
        "sub": "integration@example.com",
        "aud": "https://login.salesforce.com",
        "exp": str(int(START) + 180),
    }
    return {"grant_type": JWT_BEARER, "assertion": jwt.encode(usual | claims, private_key, algorithm="RS256")}


def test_jwt_bearer(driver: Driver, keys: tuple[str, str]) -> None:
    private, public = keys
    driver.site.login.jwt_public_key = public
    answer = driver.session.post(f"{driver.url}/services/oauth2/token", assertion(private), timeout=10)
    assert set(answer.json()) == {"access_token", "instance_url", "id", "token_type", "scope"}


def test_jwt_bearer_by_simple_salesforce(driver: Driver, keys: tuple[str, str]) -> None:
    driver.site.login.jwt_public_key = keys[1]
    driver.clock.advance(min(0.0, time.time() - START))  # the library uses the real time in its assertion
    sf = Salesforce(
        username="integration@example.com",
        consumer_key="sim-client-id",
        privatekey=keys[0],
        instance_url="acme.my",
        session=driver.session,
        version=VERSION,
    )
    assert sf.limits()["DailyApiRequests"]["Max"] == 15_000


@pytest.mark.parametrize(
    ("claims", "error", "description"),
    [
        ({"iss": "who"}, "invalid_client_id", "client identifier invalid"),
        ({"aud": "https://acme.my.salesforce.com"}, "invalid_grant", "Audience validation failed"),
        ({"exp": int(START)}, "invalid_grant", "expired assertion"),
        ({"exp": "soon"}, "invalid_grant", "expired assertion"),
        ({"sub": "stranger@example.com"}, "invalid_grant", "user hasn't approved this consumer"),
    ],
)
def test_jwt_claims_are_checked(
    driver: Driver, keys: tuple[str, str], claims: dict[str, object], error: str, description: str
) -> None:
    # PyJWT would refuse some of these claims itself, so the assertion is built by hand
    form = assertion(keys[0])
    head, payload, signature = form["assertion"].split(".")
    decoded = json.loads(base64.urlsafe_b64decode(payload + "=="))
    changed = base64.urlsafe_b64encode(json.dumps(decoded | claims).encode()).decode().rstrip("=")
    form["assertion"] = f"{head}.{changed}.{signature}"
    answer = driver.session.post(f"{driver.url}/services/oauth2/token", form, timeout=10).json()
    assert answer == {"error": error, "error_description": description}

    driver.site.login.jwt_public_key = keys[1]
    answer = driver.session.post(f"{driver.url}/services/oauth2/token", form, timeout=10).json()
    assert answer == {"error": "invalid_grant", "error_description": "invalid assertion"}
