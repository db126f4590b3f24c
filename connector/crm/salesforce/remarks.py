"""What `doctor` says about a Salesforce org: login, user, rights beyond the need, loops and clocks."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from connector.core.errors import ConfigurationError, ConnectorError
from connector.core.mapping import MappingFile
from connector.crm.interface import Crm, ObjectInfo, Remark
from connector.crm.salesforce.access import field_access
from connector.crm.salesforce.automation import flow_name
from connector.crm.salesforce.client import Client
from connector.crm.salesforce.components import Element
from connector.crm.salesforce.login import LoginKind
from connector.crm.salesforce.metadata_api import MetadataApi

MOST_SKEW = timedelta(seconds=60)
_SHOWN_FIELDS = 3
# Facts of November 2026. Logins by user name and password, which end with Summer '27, are not supported at all.
_KINDS = {
    LoginKind.CLIENT_CREDENTIALS: "client credentials of an External Client App; no end is announced for this login",
    LoginKind.JWT: "JWT bearer; no end is announced for this login. The certificate of the app has an end of its own",
    LoginKind.TOKEN: (
        "an access token, which ends within hours and cannot be renewed: use client credentials "
        "(SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET) for everything but an experiment"
    ),
}
_LOOPS_PAGE = "docs/salesforce-triggers.md, No loops"


def remarks(crm: Crm, client: Client, identity: tuple[str, str], mappings: Sequence[MappingFile]) -> Iterator[Remark]:
    """All remarks that can be made with this login; none of them stops a run.

    Args:
        crm: describes objects.
        client: sends other requests.
        identity: the ids of the org and of the user; empty if unknown.
        mappings: of this CRM.
    """
    kind = client.login.kind
    yield Remark("login type", _KINDS[kind], is_odd=kind is LoginKind.TOKEN)
    yield _who(*identity)
    yield from _clock(client)
    for mapping in mappings:
        try:
            info = crm.describe(mapping.object)
        except ConnectorError:
            continue  # the check of the mapping says why
        yield from _rights(mapping, info)
        yield _loops(client, mapping)


def _who(org: str, user: str) -> Remark:
    if not org:
        return Remark("org", "not known: the org did not tell its identity")
    return Remark("org", f"{org}, as user {user}")


def _clock(client: Client) -> Iterator[Remark]:
    skew = client.clock_skew
    if skew is None:
        return
    if abs(skew) <= MOST_SKEW:
        yield Remark("clock", "agrees with Salesforce's within a minute")
        return
    side = "ahead of" if skew > timedelta() else "behind"
    words = f"this machine's clock is {abs(skew).total_seconds():,.0f} s {side} Salesforce's: set it by NTP"
    yield Remark("clock", f"{words} (stamps are wrong, and a JWT login is refused)", is_odd=True)


def _rights(mapping: MappingFile, info: ObjectInfo) -> Iterator[Remark]:
    """Rights of the user that no run needs."""
    needed = {name for name, edits in field_access(mapping, info).items() if edits} | mapping.written_fields()
    others = sorted(field.name for field in info.fields.values() if field.permissionable and field.updateable)
    extra = [name for name in others if name not in needed]
    more = [word for word, may in (("create", info.createable), ("delete", info.deletable)) if may]
    subject = f"rights on {mapping.object}"
    if not extra and not more:
        yield Remark(subject, "no more than the mapping needs")
        return
    words = [f"{' and '.join(more)} records"] if more else []
    if extra:
        shown = ", ".join(extra[:_SHOWN_FIELDS]) + (", ..." if len(extra) > _SHOWN_FIELDS else "")
        words.append(f"edit {len(extra)} {'field' if len(extra) == 1 else 'fields'} that it does not write ({shown})")
    remedy = f"the permission set of 'connector provision -m {mapping.name}' has what it needs, and nothing else"
    yield Remark(subject, f"more than {mapping.name} needs: the user may {' and '.join(words)}; {remedy}", is_odd=True)


def _loops(client: Client, mapping: MappingFile) -> Remark:
    """Whether the connector's own write could start the flow of `provision`; other flows cannot be read."""
    subject, name = f"loops of {mapping.name}", flow_name(mapping)
    by_hand = f"flows that request enrichment must start only when {mapping.select.flag_field} turns on ({_LOOPS_PAGE})"
    try:
        found = MetadataApi(client).read("Flow", [name]).get(name)
    except ConfigurationError:
        return Remark(subject, f"not checked, because this login may not read flows: {by_hand}")
    if found is None:
        return Remark(subject, f"there is no flow {name}; {by_hand}")
    start = dict(_nested(found, "start"))
    if start.get("doesRequireRecordChangedToMeetCriteria") == "true":
        return Remark(subject, f"{name} starts only when the flag turns on")
    words = f"{name} also starts when a flagged record is saved again, by the connector too: let it run only when a"
    return Remark(subject, f"{words} record is updated to meet the condition ({_LOOPS_PAGE})", is_odd=True)


def _nested(elements: Sequence[Element], name: str) -> Iterator[tuple[str, str]]:
    for key, content in elements:
        if key == name and not isinstance(content, str):
            yield from ((inner, text) for inner, text in content if isinstance(text, str))
