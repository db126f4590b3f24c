"""Checks that the ledger belongs to this org, these vendor accounts and these mappings."""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from connector.app.wiring import Configured
from connector.core.errors import ConnectorError
from connector.core.mapping import MappingFile
from connector.crm.interface import Crm
from connector.store.identity import FlagUse, OrgIdentity, VendorIdentity
from connector.store.ledger import Ledger


def bind(
    configured: Configured,
    ledger: Ledger,
    crm: Crm | None,
    providers: Iterable[str],
    mappings: Mapping[str, MappingFile],
    *,
    record: bool = True,
) -> None:
    """Refuse a ledger of another org, vendor account or mapping; record those that are new to it.

    Args:
        configured: the settings.
        ledger: the ledger that is about to be used.
        crm: logged in; None for commands that do not use it.
        providers: the names of the providers in use.
        mappings: the mappings in use.
        record: whether to store new ones; commands without effects do not.

    Raises:
        ConfigurationError: something differs; the message names both values.
    """
    orgs = [] if crm is None else [_org(configured, crm)]
    vendors = [
        VendorIdentity(name, configured.providers[name].base_url.rstrip("/"), configured.providers[name].account)
        for name in providers
    ]
    flags = [FlagUse(found.crm, found.object, found.select.flag_field, name) for name, found in mappings.items()]
    ledger.identity.bind(orgs, vendors, flags, ledger.database.clock(), record=record)


def _org(configured: Configured, crm: Crm) -> OrgIdentity:
    """The org by its id and its address; an id that cannot be read is left empty."""
    try:
        org_id = crm.org_id()
    except ConnectorError:
        org_id = ""
    return OrgIdentity(crm.name, org_id, urlsplit(configured.crms[crm.name].address).netloc.lower())
