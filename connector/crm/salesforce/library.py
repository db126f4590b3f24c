"""The parts of simple-salesforce that the connector uses, imported without its Metadata API.

The package imports `simple_salesforce.metadata` at once, which nothing here uses and which alone loads a SOAP client
and an XML library (zeep, lxml): a sixth of a second at each start (simple-salesforce 1.12.10, November 2026). A module
that refuses to work takes its place during the import. Afterwards the real one can be imported as usual; only `mdapi`
of this process's `Salesforce` objects is out of use.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_METADATA = "simple_salesforce.metadata"


class _NoMetadataApi:
    """Takes the place of the client of the Metadata API."""

    def __init__(self, *_: object, **__: object) -> None:
        raise NotImplementedError("the connector does not load the Metadata API of simple-salesforce")


@contextmanager
def _without_metadata_api() -> Iterator[None]:
    if "simple_salesforce" in sys.modules:  # imported before, with all its parts
        yield
        return
    module = ModuleType(_METADATA)
    vars(module)["SfdcMetadataApi"] = _NoMetadataApi
    sys.modules[_METADATA] = module
    try:
        yield
    finally:
        del sys.modules[_METADATA]


with _without_metadata_api():
    from simple_salesforce.api import Salesforce
    from simple_salesforce.exceptions import SalesforceError, SalesforceExpiredSession
    from simple_salesforce.format import format_soql

__all__ = ["Salesforce", "SalesforceError", "SalesforceExpiredSession", "format_soql"]
