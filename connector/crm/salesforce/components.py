"""Metadata components, and their two forms: a file of a source-format package, and an element of a SOAP request.

Source: Metadata API Developer Guide (November 2026). Names of elements are Salesforce's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
Element = tuple[str, "str | Sequence[Element]"]

# Where a source-format package keeps each type, and how its files end.
_FOLDERS = {
    "PermissionSet": ("permissionsets", "permissionset"),
    "Flow": ("flows", "flow"),
    "ExternalCredential": ("externalCredentials", "externalCredential"),
    "NamedCredential": ("namedCredentials", "namedCredential"),
    "ExternalServiceRegistration": ("externalServiceRegistrations", "externalServiceRegistration"),
}
_OF_OBJECT = {"CustomField": ("fields", "field"), "ListView": ("listViews", "listView")}
_ROOT = "force-app/main/default"


@dataclass(frozen=True, slots=True)
class Component:
    """One component of an org's metadata.

    Attributes:
        type: Salesforce's name of the type.
        name: the full name; that of a field or a list view begins with its object.
        elements: its content, in order.
        detail: its purpose, for a person.
    """

    type: str
    name: str
    elements: tuple[Element, ...]
    detail: str = ""

    @property
    def path(self) -> str:
        """The component's file in a source-format package."""
        if self.type in _OF_OBJECT:
            folder, suffix = _OF_OBJECT[self.type]
            parent, _, own = self.name.partition(".")
            return f"{_ROOT}/objects/{parent}/{folder}/{own}.{suffix}-meta.xml"
        folder, suffix = _FOLDERS[self.type]
        return f"{_ROOT}/{folder}/{self.name}.{suffix}-meta.xml"

    def file(self) -> str:
        """The content of that file."""
        own = (("fullName", self.name.partition(".")[2]),) if self.type in _OF_OBJECT else ()
        body = "\n".join(_lines((*own, *self.elements), "    "))
        head = f'<?xml version="1.0" encoding="UTF-8"?>\n<{self.type} xmlns="{NAMESPACE}">'
        return f"{head}\n{body}\n</{self.type}>\n"

    def soap(self) -> str:
        """The component in a request of the Metadata API."""
        body = "".join(_lines((("fullName", self.name), *self.elements), ""))
        return f'<metadata xsi:type="{self.type}">{body}</metadata>'


def _lines(elements: Sequence[Element], indent: str) -> Iterator[str]:
    for name, content in elements:
        if isinstance(content, str):
            yield f"{indent}<{name}>{escape(content)}</{name}>"
        else:
            yield f"{indent}<{name}>"
            yield from _lines(content, indent and indent + "    ")
            yield f"{indent}</{name}>"


def yes_or_no(value: bool) -> str:
    """A boolean, as XML writes it."""
    return "true" if value else "false"
