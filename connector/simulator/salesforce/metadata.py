"""The Metadata API: `readMetadata` and `upsertMetadata` by SOAP, for the types that a set-up of the connector needs.

Sources: Metadata API Developer Guide, and recorded answers (seen November 2026). As in Salesforce, nobody sees a field
that was created here until a permission set grants access to it; the simulated API user then needs that permission set.
Other types, and other calls, are refused with SIMULATOR_LIMIT.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from connector.simulator.salesforce.auth import Tokens
from connector.simulator.salesforce.errors import Problem, RecordError
from connector.simulator.salesforce.exchange import Answer, Call, Operation
from connector.simulator.salesforce.metadata_shapes import ShapeError, check_shape
from connector.simulator.salesforce.org import Org
from connector.simulator.salesforce.saving import create
from connector.simulator.salesforce.schema import Field

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
_NS = f"{{{NAMESPACE}}}"
_SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_MOST = 10
_ASSIGNMENT = "PermissionSetAssignment"
_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
    'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="http://soap.sforce.com/2006/04/metadata" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>'
)
_FAULT = (
    '<soapenv:Fault><faultcode xmlns="">sf:{code}</faultcode><faultstring xmlns="">{code}: {text}</faultstring>'
    "</soapenv:Fault>"
)
_FIELD_TYPES = {
    "Text": "string", "Checkbox": "boolean", "Url": "url", "Picklist": "picklist", "DateTime": "datetime",
    "Email": "email", "Phone": "phone",
}  # fmt: skip
_LENGTHS = {"url": 255, "picklist": 255, "email": 80, "phone": 40}


class _FaultError(Exception):
    def __init__(self, code: str, text: str) -> None:
        super().__init__(code)
        self.code, self.text = code, text


@dataclass
class Metadata:
    """The org's components that were created by the Metadata API.

    Attributes:
        org: receives new fields.
        tokens: the valid access tokens.
        components: by (type, full name).
        may_modify: whether the API user may read and change metadata.
        assigned: the names of the permission sets that the API user has.
    """

    org: Org
    tokens: Tokens
    components: dict[tuple[str, str], Element] = field(default_factory=dict)
    may_modify: bool = True
    assigned: set[str] = field(default_factory=set)

    def operations(self) -> list[Operation]:
        """The SOAP route, and the assignment of permission sets, which has an effect on what the API user sees."""
        path = "/services/Soap/m/{api}"
        return [
            Operation("metadata", "POST", path, self.answer, versioned=False, guarded=False),
            Operation("assign_permission_set", "POST", f"/sobjects/{_ASSIGNMENT}", self.create_assignment),
        ]

    def answer(self, call: Call) -> Answer:
        """Answer one SOAP request; a fault has status 500."""
        try:
            return Answer(xml=_ENVELOPE.format(body=self._answer(call)))
        except _FaultError as error:
            text = _FAULT.format(code=error.code, text=escape(error.text))
            return Answer(xml=_ENVELOPE.format(body=text), status=500)

    def create_assignment(self, call: Call) -> Answer:
        """Assign a permission set to a user, once."""
        sent = call.json_object()
        user, chosen = str(sent.get("AssigneeId")), str(sent.get("PermissionSetId"))
        rows = self.org.records(_ASSIGNMENT)
        if any((row["AssigneeId"], row["PermissionSetId"]) == (user, chosen) for row in rows):
            words = f"Duplicate {_ASSIGNMENT}.  Assignee: {user[:15]}; Permission Set: {chosen[:15]}"
            raise RecordError(Problem("DUPLICATE_VALUE", words, ("AssigneeId", "PermissionSetId")))
        names = {row["Id"]: str(row["Name"]) for row in self.org.records("PermissionSet")}
        if chosen not in names:
            words = "Permission Set ID: id value of incorrect type"
            raise RecordError(Problem("MALFORMED_ID", words, ("PermissionSetId",)))
        made = create(self.org, self.org.kind(_ASSIGNMENT), sent, assign=False)
        if user == self.org.user_id:
            self.assigned.add(names[chosen])
            self._grant(self.components["PermissionSet", names[chosen]])
        return Answer({"id": made, "success": True, "errors": []}, 201)

    def _answer(self, call: Call) -> str:
        try:
            root = fromstring(call.body, forbid_dtd=True)
        except (ParseError, DefusedXmlException, ValueError) as error:
            raise _FaultError("INVALID_TYPE", "the request is not XML") from error
        token = root.findtext(f"{_SOAP}Header/{_NS}SessionHeader/{_NS}sessionId") or ""
        if not self.tokens.good(token):
            raise _FaultError("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader")
        if not self.org.usage.take():
            raise _FaultError("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        if not self.may_modify:
            raise _FaultError("INSUFFICIENT_ACCESS", "use of the Metadata API requires a user with the "
                              "ModifyAllData or ModifyMetadata permissions")  # fmt: skip
        body = root.find(f"{_SOAP}Body")
        request = body[0] if body is not None and len(body) else None
        name = "" if request is None else request.tag.removeprefix(_NS)
        handlers: dict[str, Callable[[Element], str]] = {"readMetadata": self._read, "upsertMetadata": self._upsert}
        if request is None or name not in handlers:
            raise _FaultError("SIMULATOR_LIMIT", f"the simulator does not support {name or 'an empty body'}")
        return f"<{name}Response>{handlers[name](request)}</{name}Response>"

    def _read(self, request: Element) -> str:
        kind = request.findtext(f"{_NS}type") or ""
        names = [node.text or "" for node in request.findall(f"{_NS}fullNames")]
        _check_count(names)
        found = [self._found(kind, name) for name in names]
        records = "".join(
            '<records xsi:nil="true"/>' if one is None else f'<records xsi:type="{kind}">{_inner(one)}</records>'
            for one in found
        )
        return f"<result>{records}</result>"

    def _found(self, kind: str, name: str) -> Element | None:
        """The component; a field that the org has from the start is described by its type alone."""
        present = self.components.get((kind, name))
        object_name, _, own = name.partition(".")
        described = self.org.find_kind(object_name) if kind == "CustomField" and present is None else None
        there = described.field(own) if described is not None else None
        if there is None or not there.custom:
            return present
        types = {one: name for name, one in _FIELD_TYPES.items()}
        made = Element("metadata")
        for tag, text in (("fullName", name), ("label", there.shown_label), ("type", types.get(there.type, "Text"))):
            child = Element(f"{_NS}{tag}")
            child.text = text
            made.append(child)
        return made

    def _upsert(self, request: Element) -> str:
        nodes = request.findall(f"{_NS}metadata")
        _check_count(nodes)
        kinds = {node.get(_TYPE, "") for node in nodes}
        if len(kinds) != 1:
            raise _FaultError("INVALID_TYPE", "all components of a call must have the same type")
        (kind,) = kinds
        return "".join(self._saved(kind, node) for node in nodes)

    def _saved(self, kind: str, node: Element) -> str:
        name = node.findtext(f"{_NS}fullName") or ""
        is_new = self._found(kind, name) is None
        try:
            check_shape(kind, name, node, _Names(self))
        except ShapeError as error:
            reason = f"<message>{escape(error.text)}</message><statusCode>{error.code}</statusCode>"
            result = f"<created>false</created><errors>{reason}</errors>{_full_name(name)}<success>false</success>"
            return f"<result>{result}</result>"
        self.components[kind, name] = node
        if kind == "CustomField" and is_new:
            self._add_field(name, node)
        if kind == "PermissionSet" and is_new:
            self.org.insert("PermissionSet", {"Name": name, "Label": node.findtext(f"{_NS}label")})
        if kind == "PermissionSet" and name in self.assigned:
            self._grant(node)
        created = str(is_new).lower()
        return f"<result><created>{created}</created>{_full_name(name)}<success>true</success></result>"

    def _add_field(self, name: str, node: Element) -> None:
        object_name, _, own = name.partition(".")
        type_ = _FIELD_TYPES[node.findtext(f"{_NS}type") or ""]
        is_box = type_ == "boolean"
        made = Field(
            own,
            type_,
            int(node.findtext(f"{_NS}length") or 0) or _LENGTHS.get(type_, 0),
            label=node.findtext(f"{_NS}label") or "",
            nillable=not is_box,
            default=False if is_box else None,
            choices=tuple(one.findtext(f"{_NS}fullName") or "" for one in node.iter(f"{_NS}value")),
            restricted=node.findtext(f"{_NS}valueSet/{_NS}restricted") == "true",
            external_id=node.findtext(f"{_NS}externalId") == "true",
        )
        self.org.add_field(object_name, made)
        self.org.hide_field(object_name, own)

    def _grant(self, node: Element) -> None:
        """Give the API user the field access of a permission set."""
        for row in node.findall(f"{_NS}fieldPermissions"):
            object_name, _, own = (row.findtext(f"{_NS}field") or "").partition(".")
            if row.findtext(f"{_NS}readable") == "true":
                self.org.grant_field(object_name, own)
            if row.findtext(f"{_NS}editable") != "true":
                self.org.make_read_only(object_name, own)


@dataclass(frozen=True)
class _Names:
    """What a component may refer to."""

    metadata: Metadata

    def has(self, kind: str, name: str) -> bool:
        if (kind, name) in self.metadata.components:
            return True
        if kind == "CustomObject":
            return self.metadata.org.find_kind(name) is not None
        object_name, _, own = name.partition(".")
        found = self.metadata.org.find_kind(object_name)
        return kind == "CustomField" and found is not None and found.field(own) is not None


def _check_count(found: Iterable[object]) -> None:
    if sum(1 for _ in found) > _MOST:
        raise _FaultError(
            "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {_MOST} records in one call"
        )


def _full_name(name: str) -> str:
    return f"<fullName>{escape(name)}</fullName>"


def _inner(node: Element) -> str:
    """The content of a component as XML."""
    return "".join(
        f"<{(tag := child.tag.removeprefix(_NS))}>{_inner(child) if len(child) else escape(child.text or '')}</{tag}>"
        for child in node
    )
