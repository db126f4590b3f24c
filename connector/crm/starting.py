"""What a CRM's folder gives `connector init`: its login questions, its objects, and proposals for fields."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from connector.core.first_mapping import WantedKey
from connector.crm.interface import FieldInfo, ObjectInfo

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


@dataclass(frozen=True, slots=True)
class LoginQuestion:
    """A setting that a login needs.

    Attributes:
        setting: its documented name.
        question: what to ask a person.
        secret: the answer is not shown.
    """

    setting: str
    question: str
    secret: bool = False


class Presence(StrEnum):
    """Whether the CRM has a proposed field."""

    FOUND = "found"
    NO_ACCESS = "no access"  # the user does not see it, or may not edit it; the mapping's permissions give access
    NEW = "new"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class Proposal:
    """The field that is proposed for a key.

    Attributes:
        name: the field; empty if the key is left out.
        label: the field's label in the CRM, if this user sees it.
    """

    key: WantedKey
    name: str
    presence: Presence
    label: str = ""


class Starter(ABC):
    """The first steps in one CRM.

    Attributes:
        questions: for the default login.
        objects: the usual objects, the first one by default.
    """

    questions: tuple[LoginQuestion, ...]
    objects: tuple[str, ...]

    @abstractmethod
    def condition(self, object_name: str) -> tuple[str, str]:
        """A condition that every mapping of an object needs, and why; both empty if there is none."""

    @abstractmethod
    def propose(self, info: ObjectInfo, keys: Sequence[WantedKey]) -> tuple[Proposal, ...]:
        """A field for each key: an existing one by name, label and type, else the name of a new one."""

    @abstractmethod
    def chosen(self, info: ObjectInfo, key: WantedKey, name: str) -> Proposal:
        """The field that a person chose for a key.

        Raises:
            ConfigurationError: it can neither serve the key nor be created.
        """


@dataclass(frozen=True, slots=True)
class Usual:
    """How the field of a key is usually called.

    Attributes:
        names: API names, the best first.
        words: groups of words; a field whose name or label has all words of a group is a candidate.
        without: words that show another purpose.
    """

    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    without: str = ""

    def best(self, fields: Iterable[FieldInfo], fits: Callable[[FieldInfo], bool]) -> FieldInfo | None:
        """The most likely field; None if none fits."""
        candidates = [(score, field.name, field) for field in fields if (score := self._score(field)) and fits(field)]
        return min(candidates)[2] if candidates else None

    def _score(self, field: FieldInfo) -> int:
        """The smaller, the better; 0 for a field that is no candidate."""
        if field.name in self.names:
            return self.names.index(field.name) + 1
        found = words_of(field.name) | words_of(field.label)
        if found & set(self.without.split()):
            return 0
        fitting = [place for place, group in enumerate(self.words) if set(group.split()) <= found]
        return 1000 * (fitting[0] + 1) + len(words_of(field.name)) if fitting else 0


def words_of(name: str) -> set[str]:
    """The words of an API name or a label, in lower case; LinkedIn is one word."""
    return {word.lower() for word in _WORDS.findall(name.replace("LinkedIn", "Linkedin"))}
