"""The literal script that many teams start with: read, then for each record unlock, poll and update by itself.

    python -m benchmarks.literal 500     (with the settings of the connector in the environment)

Kept honest: the same client libraries, no sleeping beyond what a first poll needs, no ledger, no batching. It is the
yardstick of the benchmark, not a part of the product.
"""

import json
import os
import sys
import time
from typing import cast

import httpx
import requests
from simple_salesforce.api import Salesforce, SFType

from connector.crm.salesforce.transport import new_session


def run(salesforce_url: str, lensmor_url: str, token: str, key: str, limit: int) -> dict[str, int]:
    """Enrich `limit` flagged Leads one by one; returns the calls that were made."""
    session: requests.Session = new_session(salesforce_url)
    salesforce = Salesforce(session_id=token, instance_url=salesforce_url, session=session, version="67.0")
    vendor = httpx.Client(base_url=lensmor_url, headers={"Authorization": f"Bearer {key}"}, trust_env=False)
    calls = {"salesforce": 0, "posts": 0, "polls": 0}
    soql = (
        "SELECT Id, Lensmor_Personnel_Id__c, Lensmor_Event_Id__c FROM Lead "  # noqa: S608 a fixed text
        f"WHERE Enrichment_Requested__c = true LIMIT {limit}"
    )
    rows = salesforce.query(soql)["records"]
    leads = cast("SFType", salesforce.Lead)
    calls["salesforce"] += 1
    for row in rows:
        person, values = row["Lensmor_Personnel_Id__c"], {"Enrichment_Requested__c": False}
        for kind, path, field, key_name in (
            ("unlock", "unlock-tasks", "Email", "email"),
            ("unlock-phone", "unlock-phone-tasks", "MobilePhone", "phone"),
        ):
            body = {"personnel_ids": [person], "event_id": row["Lensmor_Event_Id__c"]}
            task = vendor.post(f"/external/contacts/{kind}", json=body).json()["task_id"]
            calls["posts"] += 1
            while True:
                answer = vendor.get(f"/external/contacts/{path}/{task}").json()
                calls["polls"] += 1
                if answer["taskStatus"] in {"completed", "failed"}:
                    break
                time.sleep(0.05)
            values[field] = answer["items"][0].get(key_name)
        leads.update(row["Id"], values)
        calls["salesforce"] += 1
    return calls


def main(limit: int) -> dict[str, int]:
    """Log in, and enrich `limit` Leads."""
    url = os.environ["SALESFORCE_INSTANCE_URL"]
    form = {
        "grant_type": "client_credentials",
        "client_id": os.environ["SALESFORCE_CLIENT_ID"],
        "client_secret": os.environ["SALESFORCE_CLIENT_SECRET"],
    }
    token = httpx.post(f"{url}/services/oauth2/token", data=form, trust_env=False).json()["access_token"]
    return run(url, os.environ["LENSMOR_BASE_URL"], token, os.environ["LENSMOR_API_KEY"], limit)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(int(sys.argv[1]))) + "\n")
