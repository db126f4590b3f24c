"""`connector provision` for Salesforce: what mappings need, as a source-format package and by the Metadata API."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from connector.core.errors import ConfigurationError, CrmRefusedError
from connector.core.mapped_fields import mapped_fields
from connector.core.mapping import MappingFile
from connector.crm.interface import Crm
from connector.crm.provisioning import Applied, Item, ItemState, Needed, Provisioner, TriggerApi
from connector.crm.salesforce import automation
from connector.crm.salesforce.access import field_access, grants, permission_set
from connector.crm.salesforce.bodies import QueryPage, RecordAssignment
from connector.crm.salesforce.client import Client
from connector.crm.salesforce.components import Component
from connector.crm.salesforce.library import format_soql
from connector.crm.salesforce.metadata_api import MetadataApi
from connector.crm.salesforce.new_fields import ENDING, NEVER_CREATED, is_creatable, new_field
from connector.crm.salesforce.request import Request

_KINDS = {
    "CustomField": "field",
    "PermissionSet": "permission set",
    "ListView": "list view",
    "Flow": "flow",
    "ExternalCredential": "external credential",
    "NamedCredential": "named credential",
    "ExternalServiceRegistration": "external service",
}
# Each type after those that it refers to.
_ORDER = (
    *("CustomField", "ExternalCredential", "NamedCredential", "ExternalServiceRegistration"),
    *("PermissionSet", "ListView", "Flow"),
)
_DEPLOY = ("sf project deploy start --source-dir force-app",)
_DUPLICATE = "DUPLICATE_VALUE"


@dataclass
class _Draft:
    """What one call of `prepare` collects."""

    components: list[Component] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    user_sets: list[str] = field(default_factory=list)


class SalesforceProvisioner(Provisioner):
    """One org.

    Args:
        crm: describes objects.
        client: sends other requests.
    """

    def __init__(self, crm: Crm, client: Client) -> None:
        self._crm = crm
        self._client = client
        self._metadata = MetadataApi(client)
        self._components: dict[tuple[str, str], Component] = {}

    def prepare(self, mappings: Sequence[MappingFile], trigger: TriggerApi | None) -> Needed:
        """By the description of each object, and by the metadata where the user may read it."""
        draft = _Draft()
        for mapping in mappings:
            self._of_mapping(draft, mapping, trigger)
        if trigger is not None:
            draft.components += automation.credentials(trigger)
        else:
            draft.notes.append(
                "The flow and its credentials are left out, because CONNECTOR_PUBLIC_URL is not set: records are found "
                "by their flag when a sync runs"
            )
        ordered = sorted(draft.components, key=lambda one: _ORDER.index(one.type))
        states = self._states(ordered)
        items = tuple(Item(_KINDS[one.type], one.name, states[one.type, one.name], one.detail) for one in ordered)
        self._components = {(_KINDS[one.type], one.name): one for one in ordered}
        files = {one.path: one.file() for one in ordered if one.type != "CustomField" or _is_missing(states, one)}
        return Needed(
            items,
            files | {"sfdx-project.json": self._project()},
            (*_DEPLOY, *(f"sf org assign permset --name {name} --on-behalf-of USERNAME" for name in draft.user_sets)),
            (*draft.notes, *_steps(trigger)),
            _access(draft.user_sets),
        )

    def _of_mapping(self, draft: _Draft, mapping: MappingFile, trigger: TriggerApi | None) -> None:
        info = self._crm.describe(mapping.object, refresh=True)
        access = field_access(mapping, info)
        unseen = {one.name: one for one in mapped_fields(mapping) if info.get(one.name) is None}
        new = [one for name, one in unseen.items() if one.use not in NEVER_CREATED and is_creatable(name)]
        draft.components += [new_field(mapping, one) for one in new]
        never = [name for name in access if info.get(name) is None and name not in {one.name for one in new}]
        hidden = self._hidden(mapping.object, never)
        for name in never:
            if not name.endswith(ENDING):
                draft.notes.append(_hidden_standard(mapping, name))
            elif name not in hidden:
                del access[name]
                draft.notes.append(_not_created(mapping, name))
        name = f"CRM_Enrichment_{automation.identifier(mapping.name)}"
        draft.components.append(permission_set(name, f"CRM enrichment: {mapping.name}", mapping.object, access))
        draft.user_sets.append(name)
        draft.components.append(automation.list_view(mapping))
        if trigger is not None:
            draft.components.append(automation.flow(mapping, trigger, self._client.version))

    def _hidden(self, object_name: str, names: Sequence[str]) -> set[str]:
        """Those custom fields that exist, although this user does not see them; none if that cannot be read."""
        full = [f"{object_name}.{name}" for name in names if name.endswith(ENDING)]
        if not full:
            return set()
        try:
            found = self._metadata.read("CustomField", full)
        except ConfigurationError:
            return set()
        return {name.partition(".")[2] for name in found}

    def _states(self, components: Sequence[Component]) -> dict[tuple[str, str], ItemState]:
        """Whether the org has each component; permission sets must also grant everything."""
        states: dict[tuple[str, str], ItemState] = {}
        for kind in _ORDER:
            mine = [one for one in components if one.type == kind]
            if not mine:
                continue
            try:
                found = self._metadata.read(kind, [one.name for one in mine])
            except ConfigurationError:
                return states | {(one.type, one.name): ItemState.UNSEEN for one in components}
            for one in mine:
                there = found.get(one.name)
                lacks = kind == "PermissionSet" and there is not None and not grants(one.elements) <= grants(there)
                states[kind, one.name] = (
                    ItemState.NEW if there is None else ItemState.CHANGED if lacks else ItemState.PRESENT
                )
        return states

    def apply(self, needed: Needed) -> list[Applied]:
        """One type after the other; what depends on a refused component is tried all the same, and says so."""
        done: list[Applied] = []
        for kind in _ORDER:
            items = [item for item in needed.missing if item.kind == _KINDS[kind]]
            components = [self._components[item.kind, item.name] for item in items]
            if components:
                saved = self._metadata.upsert(components)
                done += [Applied(item, one.problem) for item, one in zip(items, saved, strict=True)]
        return done

    def assign(self, needed: Needed, user: str) -> list[Applied]:
        """By `PermissionSetAssignment`; Salesforce answers DUPLICATE_VALUE for one that exists."""
        users = self._ids(
            str(format_soql("SELECT Id FROM User WHERE Username = {user}", user=user)), "finding the user"
        )
        if not users:
            raise ConfigurationError("the org has no user with this login name (Setup, Users): correct --assign")
        done: list[Applied] = []
        for item in needed.items:
            if item.kind != _KINDS["PermissionSet"] or item.name == automation.CALLER_SET:
                continue
            query = str(format_soql("SELECT Id FROM PermissionSet WHERE Name = {name}", name=item.name))
            (set_id, *_) = self._ids(query, "finding the permission set") or ("",)
            problem = "it does not exist" if not set_id else self._assigned(users[0], set_id)
            done.append(Applied(item, problem))
        return done

    def _assigned(self, user_id: str, set_id: str) -> str:
        body = RecordAssignment(assignee_id=user_id, permission_set_id=set_id)
        request = Request("other", "sobjects/PermissionSetAssignment", "POST", body=body)
        try:
            self._client.repeated("assigning the permission set", request)
        except CrmRefusedError as error:
            return "" if error.code == _DUPLICATE else str(error)
        return ""

    def _ids(self, soql: str, what: str) -> list[str]:
        rows = QueryPage.read(self._client.call("other", what, "query/", soql=soql)).records or []
        return [str(row.get("Id", "")) for row in rows]

    def _project(self) -> str:
        project = {
            "packageDirectories": [{"path": "force-app", "default": True}],
            "name": "crm-enrichment",
            "namespace": "",
            "sourceApiVersion": self._client.version,
        }
        return json.dumps(project, indent=2) + "\n"


def _is_missing(states: dict[tuple[str, str], ItemState], component: Component) -> bool:
    return states[component.type, component.name] is not ItemState.PRESENT


def _hidden_standard(mapping: MappingFile, name: str) -> str:
    return (
        f"The login does not see {mapping.object}.{name}, a standard field: the permission set grants access to it. If "
        "Salesforce answers that there is no such field, correct the mapping"
    )


def _not_created(mapping: MappingFile, name: str) -> str:
    return (
        f"{mapping.object}.{name} does not exist or is hidden, and is not created: a new field would be empty in every "
        "record. Check the name, grant access to it, or create it yourself"
    )


def _access(sets: Iterable[str]) -> str:
    names = ", ".join(sets)
    return f"Assign the permission sets ({names}) to the connector's user: Setup, Users, Permission Set Assignments"


def _steps(trigger: TriggerApi | None) -> tuple[str, ...]:
    """The steps that remain after a deployment."""
    steps: list[str] = []
    if trigger is not None:
        steps += [
            f"Enter the token: Setup, Named Credentials, External Credentials, {automation.CREDENTIAL}, principal "
            f"{automation.PRINCIPAL}: parameter {automation.SECRET} with the value of CONNECTOR_TRIGGER_TOKEN",
            f"Assign the permission set {automation.CALLER_SET} to the people whose changes start the flow",
            "Activate the flows (Setup, Flows); they are drafts",
        ]
    return tuple(steps)
