"""How Findwell knows people who have no LinkedIn address: by full name and company domain, both together."""

import re
import unicodedata

from connector.core.identifiers import IdentifierKind, PersonKeys, Shape, Unusable
from connector.core.model import CrmRecord

SEPARATOR = "|"
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}")


def _read(record: CrmRecord, keys: PersonKeys) -> str | Unusable | None:
    """`name|domain`, normalised; a name alone identifies nobody."""
    name = " ".join(unicodedata.normalize("NFC", keys.text("full_name", record)).casefold().split())
    address = keys.text("company_domain", record).casefold()
    if not name or not address:
        return None
    domain = re.sub(r"^(https?://)?(www\.)?", "", address).partition("/")[0]
    if not _DOMAIN.fullmatch(domain):
        return Unusable(f"{keys.fields.get('company_domain', 'company_domain')} holds no domain of a company")
    if SEPARATOR in name:
        return Unusable(f"{keys.fields.get('full_name', 'full_name')} holds no name of a person")
    return f"{name}{SEPARATOR}{domain}"


NAME_AND_DOMAIN = IdentifierKind(
    name="name_and_domain",
    words="name with a company domain",
    keys={
        "full_name": "Field with the person's full name; needs company_domain too.",
        "company_domain": "Field with the company's website or domain; needs full_name too.",
    },
    read=_read,
    shape=Shape.WORDS,
)
