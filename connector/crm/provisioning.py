"""What `connector provision` asks of a CRM: the configuration that mappings need, as files and as changes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from connector.core.mapping import MappingFile


class ItemState(StrEnum):
    """Whether the CRM has an item already."""

    NEW = "new"
    PRESENT = "present"
    CHANGED = "changed"  # it exists, and lacks something that the mappings need
    UNSEEN = "unseen"  # the login may not read whether it exists


@dataclass(frozen=True, slots=True)
class Item:
    """One part of the configuration.

    Attributes:
        kind: what it is, such as "field".
        name: as the CRM's set-up pages call it.
        detail: its purpose or content, for a person.
    """

    kind: str
    name: str
    state: ItemState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TriggerApi:
    """The trigger API, for the CRM's own automation.

    Attributes:
        url: the public address of `connector serve`.
        description: the OpenAPI document of the operation for one record.
        operation: the operation's id in it.
    """

    url: str
    description: str
    operation: str


@dataclass(frozen=True, slots=True)
class Needed:
    """The configuration of some mappings.

    Attributes:
        items: every part, in the order in which they are created.
        files: a package that an admin's own tool can deploy, by relative path.
        deploy: the commands that deploy the package, run in its folder.
        notes: what neither the package nor `--apply` can do, as steps for a person.
        access: how a person gives the connector's user its access, which `assign` does, too.
    """

    items: tuple[Item, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    deploy: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    access: str = ""

    @property
    def is_certain(self) -> bool:
        """Whether the login may read what exists already."""
        return all(item.state is not ItemState.UNSEEN for item in self.items)

    @property
    def missing(self) -> tuple[Item, ...]:
        """The items that `apply` would create or change."""
        return tuple(item for item in self.items if item.state is not ItemState.PRESENT)


@dataclass(frozen=True, slots=True)
class Applied:
    """The result for one item; `problem` is empty if it was created or changed."""

    item: Item
    problem: str = ""


class Provisioner(ABC):
    """Creates what mappings need in one CRM."""

    @abstractmethod
    def prepare(self, mappings: Sequence[MappingFile], trigger: TriggerApi | None) -> Needed:
        """Compare what the mappings need with what the CRM has; changes nothing.

        Args:
            mappings: of this CRM.
            trigger: for the CRM's automation; None if `serve` has no public address.

        Raises:
            ConfigurationError: an object of a mapping does not exist.
        """

    @abstractmethod
    def apply(self, needed: Needed) -> list[Applied]:
        """Create the missing items; a repeated call creates nothing.

        Args:
            needed: the answer of `prepare`.

        Raises:
            ConfigurationError: the login may not change the CRM's configuration.
        """

    @abstractmethod
    def assign(self, needed: Needed, user: str) -> list[Applied]:
        """Give a user of the CRM the access that the mappings need; a repeated call changes nothing.

        Args:
            needed: the answer of `prepare`, after `apply`.
            user: the user's login name.

        Raises:
            ConfigurationError: there is no such user, or the login may not grant access.
        """
