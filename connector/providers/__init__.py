"""The vendors that can be asked; a third one is one file, and one line here."""

from collections.abc import Mapping

from connector.providers import lensmor, salesfinity
from connector.providers.settings import Registration

REGISTRY: Mapping[str, Registration] = {
    lensmor.NAME: lensmor.REGISTRATION,
    salesfinity.NAME: salesfinity.REGISTRATION,
}
