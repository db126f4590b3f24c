"""The setting of a scene: the simulated sites, the real ones, or a cassette.

A scene gets its clients from the setting and waits through it; the three settings look the same to it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from connector.crm.salesforce import Login
from connector.crm.salesforce.client import Client
from connector.crm.salesforce.site import SalesforceCrm
from connector.providers.connection import Connection
from connector.providers.interface import Provider
from connector.providers.registration import BuiltWith
from connector.providers.registry import REGISTRY
from connector.simulator.server import Simulator

DOCUMENTED = {
    "lensmor": "https://platform.lensmor.com",
    "salesfinity": "https://client-api.salesfinity.co",
    "salesforce": "https://example.my.salesforce.com",
}
PERSON, SECOND_PERSON, NOBODY = "70011", "70012", "79999"
EVENT = "52001"
ADA = "ada-sample-example"
LEADS = ("00QSm0000010000MAA", "00QSm0000010001MAA", "00QSm0000010002MAA")
GONE, MERGED = "00QSm0000010003MAA", "00QSm0000010004MAA"
VERSION = "67.0"


class NoPace:
    """A rate limiter that never waits; it records pauses and limits."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.limits: list[float] = []

    def acquire(self, *, first: bool = False) -> None:
        """Return at once."""
        del first

    def pause(self, seconds: float) -> None:
        """Record it."""
        self.pauses.append(seconds)

    def limit(self, per_minute: float) -> None:
        """Record it."""
        self.limits.append(per_minute)


@dataclass
class Setting:
    """The sites and clients of scenes.

    Attributes:
        urls: address by edge.
        secrets: API keys by vendor, `client_id` and `client_secret` of Salesforce, and `wrong`, which no site accepts.
        people: the real value for each of the constants above; the constant itself, except with the real services.
        wait: waits for a number of seconds of the vendors' time.
        version: the version of Salesforce's API.
    """

    urls: Mapping[str, str]
    secrets: Mapping[str, str]
    people: Mapping[str, str] = field(default_factory=dict)
    wait: Callable[[float], None] = lambda _: None
    version: str = VERSION
    slept: list[float] = field(default_factory=list)
    pace: NoPace = field(default_factory=NoPace)
    opened: list[Provider | SalesforceCrm] = field(default_factory=list)

    def who(self, constant: str) -> str:
        """The person, event or record that a constant represents in this setting."""
        return self.people.get(constant, constant)

    def vendor(self, name: str, secret: str | None = None) -> Provider:
        """The real client of a vendor."""
        entry, key = REGISTRY[name], self.secrets[secret or name]
        settings = entry.settings(api_key=SecretStr(key), base_url=self.urls[name])
        built_with = BuiltWith(Connection(self.pace, self.slept.append), (3.0, 5.0, 10.0, 20.0))
        provider = entry.build(settings, built_with)
        self.opened.append(provider)
        return provider

    def org(self, secret: str = "client_secret", version: str | None = None) -> SalesforceCrm:  # noqa: S107 a name in `secrets`
        """The real client of Salesforce."""
        login = Login(self.urls["salesforce"], client_id=self.secrets["client_id"], client_secret=self.secrets[secret])
        crm = SalesforceCrm(Client(login, version or self.version, 20, self.slept.append))
        self.opened.append(crm)
        return crm

    def close(self) -> None:
        """Close all clients."""
        for client in self.opened:
            client.close()


@dataclass(frozen=True)
class Scene:
    """Some exchanges with one site, and the results that the client must return.

    Attributes:
        edge: the site.
        name: the name of its cassette.
        play: calls the client and checks its results.
        arrange: brings the simulated world into the state for the scene.
        costs: the cost with the real service; None if only a simulated site can play the scene.
    """

    edge: str
    name: str
    play: Callable[[Setting], None]
    arrange: Callable[[Simulator], None]
    costs: str | None = None

    def __str__(self) -> str:
        return f"{self.edge}-{self.name}"
