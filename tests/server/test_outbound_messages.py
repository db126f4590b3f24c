"""Outbound Messages: stored, then acknowledged in Salesforce's form; after any other answer Salesforce repeats them."""

import itertools
import time
from pathlib import Path
from xml.etree.ElementTree import fromstring

import httpx
import pytest
import sqlalchemy as sa
from defusedxml.ElementTree import fromstring as read_xml
from server_harness import MESSAGES, ORG, SECRET, TOKEN, ServerHarness, SharedServer, copied, error_of, lead, seen
from soap_letters import DECLARED, OUT, SOAP, letter, letter_about, note, with_type

from connector.server.site import Secrets
from connector.store import tables as t

pytest_plugins = ("server_fixtures",)
NO_MESSAGE = "the body is not a valid Outbound Message"
OTHER_ORG = "00D000000000002EAA"


def is_acknowledged(response: httpx.Response) -> bool:
    """Whether Salesforce reads this answer as an Ack."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].partition(";")[0] == "text/xml"
    root = fromstring(response.content)  # noqa: S314 our own answer
    assert root.tag == f"{{{SOAP}}}Envelope"
    (body,) = root
    assert body.tag == f"{{{SOAP}}}Body"
    (answer,) = body
    assert answer.tag == f"{{{OUT}}}notificationsResponse"
    (ack,) = answer
    assert ack.tag == f"{{{OUT}}}Ack"
    return ack.text == "true"


def leads(*numbers: int) -> list[tuple[str, str]]:
    return [("lead", lead(number)) for number in numbers]


def test_a_message_is_stored_and_acknowledged(server: ServerHarness) -> None:
    assert is_acknowledged(server.send(letter(note(1), note(2))))
    assert server.asked() == leads(1, 2)
    assert server.wakes == 1


def test_a_message_is_stored_before_it_is_acknowledged(server: ServerHarness) -> None:
    server.execute(
        sa.text("CREATE TRIGGER full BEFORE INSERT ON request_item BEGIN SELECT RAISE(ABORT, 'Zebra7Quagga'); END")
    )
    assert error_of(server.send(letter(note(1))), 503) == "the request could not be stored or read; send it again"
    server.execute(sa.text("DROP TRIGGER full"))
    assert server.rows(t.request) == []  # nor would the message count as a repeat when it is sent again
    assert is_acknowledged(server.send(letter(note(1))))
    assert server.asked() == leads(1)


def test_the_limit_is_a_hundred_notifications(server: ServerHarness) -> None:
    assert error_of(server.send(letter_about(range(101))), 400) == NO_MESSAGE
    assert server.asked() == []
    assert is_acknowledged(server.send(letter_about(range(100))))
    assert server.asked() == leads(*range(100))


def test_repeats_are_stored_once(server: ServerHarness) -> None:
    for numbers in itertools.chain([(1, 2, 3)], itertools.permutations((1, 2, 3), 2), [(3, 2, 1), (1, 1, 1)]):
        assert is_acknowledged(server.send(letter_about(numbers)))
    assert server.asked() == leads(1, 2, 3)
    assert server.wakes == 1
    assert is_acknowledged(server.send(letter_about((2, 4))))
    assert server.asked() == leads(1, 2, 3, 4)


def test_notifications_are_stored_in_a_fixed_order(server: ServerHarness) -> None:
    # On PostgreSQL, two messages that store the same notifications in different orders would deadlock.
    assert is_acknowledged(server.send(letter_about((3, 1, 2))))
    assert server.asked() == leads(1, 2, 3)


def test_a_notification_is_the_same_with_15_and_18_characters(server: ServerHarness) -> None:
    server.send(letter(note(1, notification_id="04l000000000009AAA")))
    server.send(letter(note(1, notification_id="04l000000000009")))
    assert server.asked() == leads(1)


def test_one_record_in_two_notifications_is_requested_twice(server: ServerHarness) -> None:
    server.send(letter(note(1), note(2, record_id=lead(1))))
    assert server.asked() == leads(1, 1)


@pytest.mark.parametrize("org", [ORG, ORG[:15], f" {ORG}\n"])
def test_the_org_may_be_named_with_15_or_18_characters(server: ServerHarness, org: str) -> None:
    assert is_acknowledged(server.send(letter(note(1, record_id="00Q000000000001"), org=org)))
    assert server.asked() == leads(1)


@pytest.mark.parametrize("org", [OTHER_ORG, OTHER_ORG[:15], "00d000000000001", "Zebra7Quagga"])
def test_another_org_is_refused(server: ServerHarness, org: str) -> None:
    response = server.send(letter(note(1), org=org))
    assert error_of(response, 400) == "this org is not served here"
    assert org not in response.text
    assert server.asked() == []


def test_without_a_configured_org_every_message_is_refused(
    shared_server: SharedServer, blank_ledger: Path, tmp_path: Path
) -> None:
    server = ServerHarness(
        shared_server, copied(blank_ledger, tmp_path), Secrets(TOKEN, {"salesforce": SECRET}), org=""
    )
    for org in (ORG, "x"):
        error_of(server.send(letter(note(1), org=org)), 400)
    server.ledger.close()


# -- which mapping ----------------------------------------------------------------------------------------------

MAPPING_WORDS = "no mapping or several mappings of this object are served here: name one with ?mapping="


@pytest.mark.parametrize("query", ["", "?mapping=lead", "?mapping="])
def test_the_object_determines_the_mapping(server: ServerHarness, query: str) -> None:
    assert is_acknowledged(server.send(letter(note(1, kind="sf:lead")), query=query))
    assert server.asked() == leads(1)


def test_two_mappings_of_one_object_are_distinguished_by_name(server: ServerHarness) -> None:
    message = letter(note(1, record_id="003000000000001AAA", kind="sf:Contact"))
    assert error_of(server.send(message), 400) == MAPPING_WORDS
    assert is_acknowledged(server.send(message, query="?mapping=contact-late"))
    assert server.asked() == [("contact-late", "003000000000001AAA")]


@pytest.mark.parametrize("query", ["?mapping=contact", "?mapping=Zebra7Quagga", "?mapping=lead%00"])
def test_a_mapping_of_another_object_is_refused(server: ServerHarness, query: str) -> None:
    assert error_of(server.send(letter(note(1)), query=query), 400) == MAPPING_WORDS


def test_a_message_is_stored_completely_or_not_at_all(server: ServerHarness) -> None:
    assert error_of(server.send(letter(note(1), note(2, kind="sf:Account"))), 400) == MAPPING_WORDS
    assert error_of(server.send(letter(note(1), note(2, record_id="no-id"))), 400) == (
        "a notification has no valid Salesforce id"
    )
    assert server.asked() == []


# -- who may ask ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["wrong", SECRET[:-1], SECRET + "x", SECRET.upper(), "%ff", "%00", f"{SECRET}/", ""])
def test_a_wrong_secret_is_an_unknown_route(server: ServerHarness, secret: str) -> None:
    unknown = server.client.post("/v1/salesforce/nothing/here", content=letter(note(1)))
    assert seen(server.send(letter(note(1)), secret)) == seen(unknown)
    assert seen(server.send("no xml", secret, content_type="text/plain")) == seen(unknown)
    assert error_of(unknown, 404) == "not found"
    assert server.asked() == []


def test_without_a_secret_the_route_does_not_exist(
    shared_server: SharedServer, blank_ledger: Path, tmp_path: Path
) -> None:
    server = ServerHarness(shared_server, copied(blank_ledger, tmp_path), Secrets(TOKEN))
    for secret in (SECRET, "None", "%00"):
        assert error_of(server.send(letter(note(1)), secret), 404) == "not found"
    server.ledger.close()


def test_the_token_of_the_trigger_api_is_not_accepted(server: ServerHarness) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "text/xml"}
    response = server.client.post(f"{MESSAGES}{TOKEN}", content=letter(note(1)), headers=headers)
    error_of(response, 404)


# -- what is no message -----------------------------------------------------------------------------------------

BILLION = (
    '<!ENTITY a "00Q000000000001EAA">'
    + "".join(f'<!ENTITY {name} "{f"&{of};" * 10}">' for of, name in itertools.pairwise("abcdefghij"))
)  # fmt: skip


def test_entities_and_document_types_are_refused(server: ServerHarness, tmp_path: Path) -> None:
    file = tmp_path / "id.txt"
    file.write_text(lead(1))
    for definition, used in (
        (f'<!ENTITY e SYSTEM "{file.as_uri()}">', "&e;"),
        (f'<!ENTITY % e SYSTEM "{server.shared_server.client.base_url}/healthz"> %e;', ""),
        (f'<!ENTITY e "{lead(1)}">', "&e;"),
        (BILLION, "&j;"),
        ("<!ELEMENT x ANY>", ""),
    ):
        began = time.monotonic()
        assert error_of(server.send(with_type(definition, used)), 400) == NO_MESSAGE
        assert time.monotonic() - began < 2
    assert error_of(server.send(f"{DECLARED}<!DOCTYPE x>{letter(note(1), declared='')}"), 400) == NO_MESSAGE
    assert server.asked() == []


GOOD = letter(note(1))


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "no xml",
        "{}",
        "<a>",
        GOOD[:-1],
        GOOD + "<a/>",
        GOOD.replace("Body>", "Head>"),
        GOOD.replace("soapenv:Envelope", "soapenv:Letter"),
        letter(note(1), soap="http://www.w3.org/2003/05/soap-envelope"),
        letter(note(1), out="http://soap.sforce.com/2005/09/inbound"),
        letter(note(1), out=""),
        letter(),
        letter(note(1), org=""),
        letter(note(1)).replace("OrganizationId", "Org"),
        letter(note(1), note(2).replace("sf:Id>", "sf:Name>")),
        letter(note(1), note(2, record_id=" ")),
        letter(note(1), note(2).replace("sObject", "sObjects")),
        letter(note(1), note(2).replace(' xsi:type="sf:Lead"', "")),
        letter(note(1), note(2, kind="sf:")),
        letter(note(1), note(2, notification_id=" ")),
        letter(note(1), note(2, notification_id="04l-00000000001")),
        letter(note(1), note(2, notification_id="04l")),
        letter(note(1), note(2, notification_id="04l" * 50)),
        letter(note(1)).replace("<ActionId>", f'</notifications><notifications xmlns="{OUT}">{note(2)}<ActionId>'),
        "<a>" * 100_000,
        "<a>" * 50_000 + "</a>" * 50_000,
    ],
)  # fmt: skip
def test_bodies_that_are_not_messages_are_refused(server: ServerHarness, raw: str) -> None:
    assert error_of(server.send(raw), 400) == NO_MESSAGE
    assert server.asked() == []


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("utf-16", "UTF-16"), ("utf-8-sig", "UTF-8"), ("latin-1", "ISO-8859-1"), ("ascii", "US-ASCII")],
)
def test_other_encodings_are_read_as_declared(server: ServerHarness, encoding: str, declared: str) -> None:
    text = letter(note(1), declared=f'<?xml version="1.0" encoding="{declared}"?>')
    assert is_acknowledged(server.send(text.encode(encoding)))
    assert server.asked() == leads(1)


@pytest.mark.parametrize("declared", ["Zebra7", "utf-7", "base64", "idna", "shift_jis", "utf-32", ""])
def test_an_unknown_encoding_is_refused(server: ServerHarness, declared: str) -> None:
    text = letter(note(1), declared=f'<?xml version="1.0" encoding="{declared}"?>')
    assert error_of(server.send(text), 400) == NO_MESSAGE


def test_bytes_invalid_in_the_encoding_are_refused(server: ServerHarness) -> None:
    for raw in (GOOD.encode().replace(b"ada@", b"\xff\xfe"), GOOD.encode("utf-16")[:-3], b"\x00" * 50):
        assert error_of(server.send(raw), 400) == NO_MESSAGE


def test_a_message_without_a_declaration_is_read(server: ServerHarness) -> None:
    assert is_acknowledged(server.send(letter(note(1), declared=""), content_type="application/xml"))


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "text/xmlx", "application/soap+xml", ""])
def test_another_content_type_is_refused(server: ServerHarness, content_type: str) -> None:
    assert error_of(server.send(GOOD, content_type=content_type), 415) == "the body must be text/xml"
    assert server.asked() == []


def test_a_message_that_is_too_large_is_refused(server: ServerHarness) -> None:
    padded = GOOD + " " * (1024 * 1024 - len(GOOD))
    assert error_of(server.send(padded + " "), 413) == "the body is too large"
    assert server.asked() == []
    assert is_acknowledged(server.send(padded))


def test_other_requests_are_answered_while_a_large_message_is_parsed(
    server: ServerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:

    def slow(raw: bytes, **options: bool) -> object:
        assert server.client.get("/healthz", timeout=2).status_code == 200
        return read_xml(raw, **options)

    monkeypatch.setattr("connector.crm.salesforce.messages.fromstring", slow)
    assert is_acknowledged(server.send(GOOD))
