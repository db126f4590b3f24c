"""A first mapping: the keys that name fields, and the choices that a mapping file is written from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from connector.core.identifiers import IdentifierKind
from connector.core.mapped_fields import BY_SHAPE, Use
from connector.core.mapping_base import KeyPath
from connector.core.model import Channel

FLAG: KeyPath = ("select", "flag")
_STAMPS = {"enriched_at": Use.WHEN, "source": Use.SOURCE, "error": Use.REASON}


@dataclass(frozen=True, slots=True)
class WantedKey:
    """A key of a first mapping that names a field.

    Attributes:
        path: the key.
        use: what its field is for.
        is_created: whether a missing field should be created; the key is left out otherwise.
        owner: the provider whose identifier it is; empty for other keys, and for identifiers of several providers.
    """

    path: KeyPath
    use: Use
    is_created: bool = True
    owner: str = ""

    @property
    def text(self) -> str:
        """The key as it stands in messages, such as `person.linkedin_url`."""
        return ".".join(map(str, self.path))


def wanted_keys(kinds: Sequence[tuple[IdentifierKind, str]], channels: Sequence[Channel]) -> tuple[WantedKey, ...]:
    """The keys of a first mapping, in the order of the file.

    Args:
        kinds: the identifiers of the chosen providers, each with its owner.
        channels: the channels to buy.
    """
    found = [WantedKey(FLAG, Use.FLAG)]
    for kind, owner in kinds:
        found += [WantedKey(("person", key), BY_SHAPE[kind.shape], not kind.groups, owner) for key in kind.keys]
    for channel in channels:
        is_email = channel is not Channel.PHONE
        path: KeyPath = ("channels", channel.value)
        found += [
            WantedKey((*path, "field"), Use.EMAIL if is_email else Use.PHONE),
            WantedKey((*path, "empty_when"), Use.EMPTY_WHEN, is_created=False),
            WantedKey((*path, "status"), Use.STATUS),
            WantedKey((*path, "opt_out"), Use.OPT_OUT, is_created=False),
        ]
    return (*found, *(WantedKey(("stamp", stamp), use) for stamp, use in _STAMPS.items()))


@dataclass(frozen=True, slots=True)
class ChosenChannel:
    """A channel to buy: its providers in order, and the price of one purchase at each."""

    channel: Channel
    prices: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class FirstMapping:
    """Everything that a first mapping file contains.

    Attributes:
        name: the mapping's name.
        crm: the CRM's name; empty for the default CRM.
        label: the CRM's name for people.
        object: the CRM's object.
        fields: the field of each key; a key without one is left out.
        missing: the fields that the CRM does not have yet.
        channels: the channels to buy.
        stamped: identifiers that a provider finds and that are written back, by kind.
        where: a condition, and why it is there; both empty without one.
        region: the country of phone numbers without a country code; empty if unknown.
        run_credits, day_credits: the caps by provider.
        people: the number of people that the caps of one run and of one day cover, for comments.
    """

    name: str
    crm: str
    label: str
    object: str
    fields: Mapping[KeyPath, str]
    missing: frozenset[str]
    channels: tuple[ChosenChannel, ...]
    stamped: Mapping[str, str] = field(default_factory=dict)
    where: tuple[str, str] = ("", "")
    region: str = ""
    run_credits: Mapping[str, int] = field(default_factory=dict)
    day_credits: Mapping[str, int] = field(default_factory=dict)
    people: tuple[int, int] = (0, 0)


def credits_for(people: int, channels: Sequence[ChosenChannel]) -> dict[str, int]:
    """The most credits that this many people can cost at each provider: every channel bought from every provider."""
    found: dict[str, int] = {}
    for chosen in channels:
        for provider, price in chosen.prices.items():
            found[provider] = found.get(provider, 0) + price * people
    return found


def people_for(credits_: Mapping[str, int], channels: Sequence[ChosenChannel]) -> int:
    """How many people the caps cover in the worst case; 0 if a cap is below the price of one."""
    each = credits_for(1, channels)
    return min((credits_[name] // price for name, price in each.items() if price and name in credits_), default=0)
