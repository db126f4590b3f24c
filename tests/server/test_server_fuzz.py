"""No input causes a fault, and every refusal is JSON with a fixed message."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import ledger_harness_nearby  # noqa: F401 makes ledger_harness importable
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_harness import LedgerHarness
from server_harness import ASK, CALLBACKS, MESSAGES, SECRET, TOKEN, ServerHarness, SharedServer, copied, lead
from soap_letters import letter, note, with_type

from connector.server.site import Secrets
from connector.store import tables as t

pytest_plugins = ("server_fixtures",)
FUZZ = settings(
    max_examples=150, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
PLAIN = {"text/plain; version=0.0.4; charset=utf-8", "text/xml; charset=utf-8", "application/json"}


@pytest.fixture(scope="module")
def served(
    shared_server: SharedServer, blank_ledger: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerHarness]:
    """One site for all examples, with a paid request for callbacks."""
    made = ServerHarness(
        shared_server, copied(blank_ledger, tmp_path_factory.mktemp("server")), Secrets(TOKEN, {"salesforce": SECRET})
    )
    stored = LedgerHarness(made.ledger)
    stored.plan("70011")
    stored.lose(stored.batch())
    yield made
    made.ledger.close()


def right_address(served: ServerHarness) -> str:
    (purchase,) = served.rows(t.purchase)
    return served.ledger.seal.address(purchase["attempt_id"])


words = st.text(max_size=12) | st.sampled_from(["lead", "contact", lead(1), "00Q000000000001", "flow-1", "", "\ud800"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "mapping": st.sampled_from(["lead", "contact"]) | values,
        "record_ids": st.lists(st.sampled_from([lead(1), lead(2), "00Q000000000001"]) | words, max_size=4) | values,
        "request_id": st.from_regex(r"[a-z.-]{1,4}", fullmatch=True) | values,
        "more": values,
    },
)
callbacks = st.fixed_dictionaries({"_id": words | values}, optional={"external_id": words | values, "email": values})
letters = st.one_of(
    st.just(letter(note(1))),
    st.builds(letter, st.builds(note, st.integers(0, 10**12 - 1)), org=st.sampled_from(["00D000000000001", "x"])),
    st.builds(lambda text, cut: text[:cut], st.just(letter(note(1), note(2))), st.integers(0, 900)),
    st.builds(
        lambda text, place, put: text[:place] + put + text[place:],
        st.just(letter(note(1))),
        st.integers(0, 900),
        st.sampled_from(["<", ">", "&", "&amp;", '"', "]]>", "<!--", "<?x?>", "\0", "é", "<a/>", "xmlns:sf=''"]),
    ),
    st.builds(with_type, st.text(max_size=20), st.text(max_size=5)),
)
raw_bodies = st.one_of(
    st.binary(max_size=60),
    requests.map(lambda found: json.dumps(found).encode()),
    values.map(lambda found: json.dumps(found).encode()),
    callbacks.map(lambda found: json.dumps(found).encode()),
    letters.map(lambda text: text.encode("utf-8", "surrogatepass")),
)
types = st.sampled_from(["application/json", "text/xml; charset=UTF-8", "text/plain", ""]) | st.text(
    st.characters(min_codepoint=32, max_codepoint=126), max_size=20
).map(str.strip)
authorizations = st.sampled_from([f"Bearer {TOKEN}", "Bearer x", "Basic eDp4", "bearer", ""])
odd = st.text(max_size=10).map(lambda text: httpx.URL(f"http://x/{httpx.QueryParams({'a': text})}").raw_path.decode())
segments = st.sampled_from(
    ["v1", "enrichments", "callbacks", "salesfinity", "%2e%2e", "%00", "%ff", ":", "é", "*", "."]
)
paths = st.one_of(
    st.sampled_from([ASK, f"{ASK}/flow-1", "/healthz", "/readyz", "/metrics", "/openapi.json", MESSAGES + SECRET]),
    st.lists(segments, max_size=5).map(lambda found: "/" + "/".join(found)),
    odd,
)
queries = st.sampled_from(["", "?mapping=lead", "?mapping=%ff", "?mapping=contact&mapping=lead", "?%00", "?a=b=c&&"])


def check(response: httpx.Response) -> None:
    assert response.status_code < 500, response.text
    assert response.headers.get("content-type", "application/json") in PLAIN
    if response.status_code >= 400 and response.request.method != "HEAD":
        assert list(response.json()) == ["error"]
        assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


@given(
    method=st.sampled_from(["GET", "POST", "POST", "POST", "HEAD", "PUT", "OPTIONS", "TRACE"]),
    path=paths,
    query=queries,
    content_type=types,
    authorization=authorizations,
    body=raw_bodies,
)
@FUZZ
def test_no_request_causes_a_fault(
    served: ServerHarness, method: str, path: str, query: str, content_type: str, authorization: str, body: bytes
) -> None:
    headers = {"Content-Type": content_type, "Authorization": authorization}
    url = f"{served.client.base_url}".rstrip("/") + path + query
    check(served.client.request(method, url, headers=headers, content=body))


@given(body=requests | values)
@FUZZ
def test_no_body_of_the_trigger_api_causes_a_fault(served: ServerHarness, body: object) -> None:
    check(served.ask_for(body))


@given(body=letters, query=queries, encoding=st.sampled_from(["utf-8", "utf-16", "utf-32", "latin-1", "utf-7"]))
@FUZZ
def test_no_outbound_message_causes_a_fault(served: ServerHarness, body: str, query: str, encoding: str) -> None:
    check(served.send(body.encode(encoding, "replace"), query=query))


@given(body=callbacks | values)
@FUZZ
def test_no_callback_causes_a_fault(served: ServerHarness, body: object) -> None:
    check(served.call_back(right_address(served), body))


@given(address=st.text(max_size=20))
@FUZZ
def test_no_callback_address_causes_a_fault(served: ServerHarness, address: str) -> None:
    encoded = "".join(f"%{byte:02x}" for byte in address.encode("utf-8", "surrogatepass"))
    response = served.client.post(CALLBACKS + encoded, json={"_id": "66f0c0ffee"})
    check(response)
    assert response.status_code == 404
