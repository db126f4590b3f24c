"""The Metadata API: reads and upserts components by SOAP, at most ten of one type in a request.

`upsertMetadata` may be repeated: it says for each component whether it was created. Shapes: Metadata API Developer
Guide, and answers that public projects recorded (seen November 2026). simple-salesforce's client for it is not used: it
needs zeep and lxml, and ignores the session with its timeouts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar
from xml.etree.ElementTree import Element as Node
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from connector.core.errors import ConfigurationError
from connector.core.printable import one_line
from connector.crm.salesforce.client import Client, SoapFaultError
from connector.crm.salesforce.components import NAMESPACE, Component, Element
from connector.net import UnreadableError

T = TypeVar("T")
MOST_PER_CALL = 10
_NS = f"{{{NAMESPACE}}}"
_TEXT_LENGTH = 200
_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    '<soapenv:Header xmlns="{namespace}"><SessionHeader><sessionId>{token}</sessionId></SessionHeader></soapenv:Header>'
    '<soapenv:Body xmlns="{namespace}">{body}</soapenv:Body></soapenv:Envelope>'
)


@dataclass(frozen=True, slots=True)
class Saved:
    """The result of an upsert; `problem` is Salesforce's reason if it was refused."""

    name: str
    problem: str = ""


class MetadataApi:
    """The Metadata API of one org.

    Args:
        client: sends the requests.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def read(self, kind: str, names: Sequence[str]) -> dict[str, tuple[Element, ...]]:
        """Read components; those that do not exist are absent.

        Raises:
            ConfigurationError: the user may not read the org's metadata.
        """
        found: dict[str, tuple[Element, ...]] = {}
        for part in _parts(names):
            wanted = "".join(f"<fullNames>{escape(name)}</fullNames>" for name in part)
            body = f"<readMetadata><type>{kind}</type>{wanted}</readMetadata>"
            root = self._send(f"reading the org's {kind} components", body)
            for record in root.iter(f"{_NS}records"):
                name = record.findtext(f"{_NS}fullName")
                if name:
                    found[name] = _elements(record)
        return found

    def upsert(self, components: Sequence[Component]) -> list[Saved]:
        """Create or change components of one type; returns one result each, in the same order.

        Raises:
            ConfigurationError: the user may not change the org's metadata.
        """
        saved: list[Saved] = []
        for part in _parts(components):
            body = f"<upsertMetadata>{''.join(one.soap() for one in part)}</upsertMetadata>"
            root = self._send(f"creating {part[0].type} components", body)
            results = {row.findtext(f"{_NS}fullName"): row for row in root.iter(f"{_NS}result")}
            saved += [Saved(one.name, _problem(results.get(one.name))) for one in part]
        return saved

    def _send(self, what: str, body: str) -> Node:
        def envelope(token: str) -> bytes:
            return _ENVELOPE.format(namespace=NAMESPACE, token=escape(token), body=body).encode()

        try:
            return self._client.soap(what, envelope, _parsed)
        except SoapFaultError as error:
            raise ConfigurationError(
                f"Salesforce refuses {what} ({error.code}): log in as a user with 'Modify Metadata Through Metadata "
                "API Functions', for example with SALESFORCE_ACCESS_TOKEN of an admin, or deploy the package with sf"
            ) from error


def _parsed(raw: bytes) -> Node:
    """The envelope of an answer.

    Raises:
        UnreadableError: it is none.
        SoapFaultError: Salesforce refuses the request.
    """
    try:
        root: Node = fromstring(raw, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise UnreadableError("answered with something else than XML") from error
    if not root.tag.endswith("}Envelope"):
        raise UnreadableError("answered with XML that is no SOAP envelope")
    for node in root.iter():
        if node.tag == "faultcode":
            raise SoapFaultError(one_line((node.text or "").rpartition(":")[2] or "no code", _TEXT_LENGTH))
    return root


def _problem(result: Node | None) -> str:
    if result is None:
        return "Salesforce's answer does not mention it"
    if (result.findtext(f"{_NS}success") or "").strip() == "true":
        return ""
    errors = [
        f"{error.findtext(f'{_NS}statusCode') or 'no code'}: {error.findtext(f'{_NS}message') or 'no reason given'}"
        for error in result.iter(f"{_NS}errors")
    ]
    return one_line("; ".join(errors) or "refused without a reason", _TEXT_LENGTH)


def _elements(node: Node) -> tuple[Element, ...]:
    return tuple(
        (child.tag.removeprefix(_NS), _elements(child) if len(child) else (child.text or "").strip()) for child in node
    )


def _parts(all_of_them: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(all_of_them), MOST_PER_CALL):
        yield all_of_them[start : start + MOST_PER_CALL]
