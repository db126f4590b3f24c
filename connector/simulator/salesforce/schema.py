"""Objects and fields, and the API user's access to them.

The API's schema includes field-level security: a hidden field is treated as absent (not in describe, "No such column"
everywhere), a read-only one has `updateable: false`. It does not apply to people in the browser.
"""

from dataclasses import dataclass, replace

Value = str | bool | int | float | None
Record = dict[str, Value]

ID_TYPES = frozenset({"id", "reference"})
NUMBER_TYPES = frozenset({"int", "double", "currency", "percent"})
ADDRESS_PARTS = ("city", "country", "geocodeAccuracy", "latitude", "longitude", "postalCode", "state", "street")
_LONG_TEXT = 255
TEXT_TYPES = frozenset({"string", "textarea", "email", "phone", "url", "picklist"})


@dataclass(frozen=True)
class Field:
    """One field, with the properties of describe.

    Attributes:
        name: API name; custom fields end in `__c`.
        type: `id`, `reference`, `string`, `textarea`, `email`, `phone`, `url`, `picklist`, `boolean`, `datetime`,
            `date`, `int`, `double`, `currency`, `percent` or `address` (compound: made of its parts, never stored).
        length: longest text in characters; 0 for the types that have none.
        label: its name in the user interface and in errors; derived from the API name if empty.
        nillable: whether it may be empty.
        createable: whether a new record may set it; False for system and calculated fields.
        updateable: whether an update may set it.
        default: the value in a new record that gives none.
        choices: a picklist's values.
        restricted: whether a picklist refuses other values.
        external_id: whether it is an External Id.
        refers_to: for a reference, the objects it may point to.
        choice_labels: the labels of `choices`; the values themselves if empty.
        relationship: name of the relationship, if it is not the field's name without `Id`.
        compound: the compound field that it is part of.
        permissionable: whether field-level security applies; None for the usual rule.
    """

    name: str
    type: str = "string"
    length: int = 0
    label: str = ""
    nillable: bool = True
    createable: bool = True
    updateable: bool = True
    default: Value = None
    choices: tuple[str, ...] = ()
    restricted: bool = False
    external_id: bool = False
    refers_to: tuple[str, ...] = ()
    choice_labels: tuple[str, ...] = ()
    relationship: str = ""
    compound: str = ""
    permissionable: bool | None = None

    @property
    def custom(self) -> bool:
        """Whether it is a custom field."""
        return self.name.endswith("__c")

    @property
    def shown_label(self) -> str:
        """The label, or one derived from the API name."""
        return self.label or self.name.removesuffix("__c").replace("_", " ")

    @property
    def required(self) -> bool:
        """Whether a record needs a value in this field."""
        return not self.nillable and self.createable and self.type != "boolean"

    @property
    def is_long(self) -> bool:
        """Whether it is too long to filter or sort by."""
        return self.type == "textarea" and self.length > _LONG_TEXT

    @property
    def filterable(self) -> bool:
        """Whether WHERE may use it."""
        return not self.is_long

    @property
    def relationship_name(self) -> str | None:
        """The name of its relationship in queries, such as `Owner` or `Partner__r`; None if it is not a reference."""
        if self.relationship:
            return self.relationship
        if not self.refers_to:
            return None
        return self.name.removesuffix("__c") + "__r" if self.custom else self.name.removesuffix("Id")


class ObjectType:
    """One object: its fields and the API user's access to them. Names are case-insensitive, as in Salesforce.

    Args:
        name: API name.
        prefix: first three characters of its ids.
        fields: its fields, in the order of describe.
        label: its name in the user interface; derived from the API name if empty.
        writable: whether the API user may create and update its records.

    Attributes:
        only_edit: whether describe shows neither the right to create nor the right to delete.
    """

    def __init__(
        self, name: str, prefix: str, fields: tuple[Field, ...], *, label: str = "", writable: bool = True
    ) -> None:
        self.name = name
        self.prefix = prefix
        self.label = label or name.removesuffix("__c").replace("_", " ")
        self.writable = writable
        self.only_edit = False
        self._fields = {field.name.lower(): field for field in fields}
        self._hidden: set[str] = set()
        self._read_only: set[str] = set()

    def fields(self) -> list[Field]:
        """All fields, including those hidden from the API user."""
        return list(self._fields.values())

    def field(self, name: str) -> Field | None:
        """The field of this name, even if it is hidden from the API user; None if there is none."""
        return self._fields.get(name.lower())

    def need(self, name: str) -> Field:
        """The field of this name, even if it is hidden from the API user.

        Raises:
            KeyError: there is no such field.
        """
        return self._fields[name.lower()]

    def readable(self, name: str) -> Field | None:
        """The field of this name, if the API user may see it; else None."""
        key = name.lower()
        return None if key in self._hidden else self._fields.get(key)

    def readable_fields(self) -> list[Field]:
        """The fields that the API user may see."""
        return [field for key, field in self._fields.items() if key not in self._hidden]

    def can_create(self, field: Field) -> bool:
        """Whether the API user may set this field of a new record."""
        return self.writable and field.createable and field.name.lower() not in self._read_only

    def can_update(self, field: Field) -> bool:
        """Whether the API user may change this field."""
        return self.writable and field.updateable and field.name.lower() not in self._read_only

    def parts_of(self, compound: str) -> dict[str, Field]:
        """The parts of an address by their name in its JSON: `postalCode` for `MailingPostalCode`."""
        prefix = compound.removesuffix("Address")
        names = {part: f"{prefix}{part[0].upper()}{part[1:]}" for part in ADDRESS_PARTS}
        return {part: field for part, name in names.items() if (field := self.field(name)) is not None}

    def relationship(self, name: str) -> Field | None:
        """The reference field with this relationship name, if the API user may see it; else None."""
        wanted = name.lower()
        for field in self.readable_fields():
            if (field.relationship_name or "").lower() == wanted:
                return field
        return None

    def add(self, field: Field) -> None:
        """Add a field, or replace the one with its name."""
        self._fields[field.name.lower()] = field

    def remove(self, name: str) -> None:
        """Remove a custom field."""
        del self._fields[name.lower()]
        self._hidden.discard(name.lower())
        self._read_only.discard(name.lower())

    def restrict(self, name: str, choices: tuple[str, ...]) -> None:
        """Make a picklist refuse every other value."""
        self.add(replace(self.need(name), choices=choices, restricted=True))

    def hide(self, name: str) -> None:
        """Revoke the API user's read access to a field."""
        self._hidden.add(self.need(name).name.lower())

    def make_read_only(self, name: str) -> None:
        """Revoke the API user's edit access to a field."""
        self._read_only.add(self.need(name).name.lower())

    def grant(self, name: str) -> None:
        """Give the API user read and edit access to a field again."""
        key = self.need(name).name.lower()
        self._hidden.discard(key)
        self._read_only.discard(key)
