"""Whether the ledger is that of this org, these vendor accounts and these mappings."""

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
    """Refuse a ledger of another org, vendor account or mapping; record those that it does not know yet.

    Args:
        configured: the settings.
        ledger: that is about to be used.
        crm: logged in; None for commands that do not use it.
        providers: the names of those that are used.
        mappings: that are used.
        record: keep what is new; commands without effects do not.

    Raises:
        ConfigurationError: naming both, for each that is another one.
    """
    orgs = [] if crm is None else [_org(configured, crm)]
    vendors = [
        VendorIdentity(name, configured.providers[name].base_url.rstrip("/"), configured.providers[name].account)
        for name in providers
    ]
    flags = [FlagUse(found.crm, found.object, found.select.flag_field, name) for name, found in mappings.items()]
    ledger.identity.bind(orgs, vendors, flags, ledger.database.clock(), record=record)


def _org(configured: Configured, crm: Crm) -> OrgIdentity:
    """The org by its own id; one that cannot be read is no reason to stop, the address is known all the same."""
    try:
        org_id = crm.org_id()
    except ConnectorError:
        org_id = ""
    return OrgIdentity(crm.name, org_id, urlsplit(configured.crms[crm.name].address).netloc.lower())
