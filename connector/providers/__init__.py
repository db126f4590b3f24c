"""The vendors that can be asked; a third one is one file, and one line here."""

from collections.abc import Mapping

from connector.core.identifiers import IdentifierKind
from connector.providers import lensmor, salesfinity
from connector.providers.settings import Registration

REGISTRY: Mapping[str, Registration] = {
    lensmor.NAME: lensmor.REGISTRATION,
    salesfinity.NAME: salesfinity.REGISTRATION,
}


def identifier_kinds() -> tuple[IdentifierKind, ...]:
    """Every kind of identifier that some provider reads, once."""
    return tuple({kind.name: kind for entry in REGISTRY.values() for kind in entry.identifiers}.values())
