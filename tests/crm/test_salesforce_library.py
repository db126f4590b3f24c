"""simple-salesforce without its Metadata API, in an interpreter that has not imported the library before."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNUSED = """
import sys
import connector.crm.salesforce.site
print({"zeep", "lxml", "simple_salesforce.metadata"} & set(sys.modules))
"""
REFUSED = """
from connector.crm.salesforce.library import Salesforce
try:
    Salesforce(session_id="token", instance="acme.my.salesforce.com").mdapi
except NotImplementedError as error:
    print(error)
"""
AFTERWARDS = """
import connector.crm.salesforce.library
from simple_salesforce.metadata import SfdcMetadataApi
print(SfdcMetadataApi.__module__)
"""
BEFORE = """
import simple_salesforce.metadata
from connector.crm.salesforce.library import Salesforce
print(sys.modules["simple_salesforce.api"].SfdcMetadataApi is simple_salesforce.metadata.SfdcMetadataApi)
"""


def printed(code: str) -> str:
    done = subprocess.run(  # noqa: S603 our own code
        [sys.executable, "-c", f"import sys\n{code}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or done.stderr


def test_the_metadata_api_is_not_imported() -> None:
    assert printed(UNUSED) == "set()"


def test_the_metadata_api_refuses_to_work() -> None:
    assert printed(REFUSED) == "the connector does not load the Metadata API of simple-salesforce"


def test_the_real_one_can_be_imported_afterwards() -> None:
    assert printed(AFTERWARDS) == "simple_salesforce.metadata"


def test_a_library_that_was_imported_before_stays_whole() -> None:
    assert printed(BEFORE) == "True"
