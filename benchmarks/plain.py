"""The plain script: what a competent engineer writes for the same job with asyncio and an HTTP client.

    python -m benchmarks.plain     (with the settings of the connector in the environment)

It reads the flagged Leads by pages of 2,000, buys each channel in batches of 100 within the vendor's rate, polls, and
writes back by Collections of 200. It keeps no ledger: interrupted, it would pay again; it compares nothing before it
writes, spends without a cap, and gives up at the first error. It is a yardstick, not a part of the product.
"""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import httpx

PEOPLE_PER_REQUEST = 100
RECORDS_PER_UPDATE = 200
AT_ONCE = 8
POLL_DELAYS_S = (3.0, 5.0, 10.0, 20.0)
CHANNELS = (
    ("unlock", "unlock-tasks", "email", "Email"),
    ("unlock-phone", "unlock-phone-tasks", "phone", "MobilePhone"),
)
FIELDS = "Id, Email, MobilePhone, Lensmor_Personnel_Id__c, Lensmor_Event_Id__c"
SELECT = f"SELECT {FIELDS} FROM Lead WHERE Enrichment_Requested__c = true AND IsConverted = false"  # noqa: S608 constants
DATA = "/services/data/v67.0"

Row = dict[str, Any]


class Vendor:
    """Lensmor: requests within its rate, a few at the same time."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._spacing_s = 0.0
        self._next_at = 0.0

    async def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """One request; the answer's headers set the spacing of the next ones."""
        await self._wait()
        async with self._at_once:
            answer = await self._client.request(method, path, json=body)
        answer.raise_for_status()
        limit = answer.headers.get("x-ratelimit-limit")
        if limit is not None:
            self._spacing_s = 60 / int(limit)
        found: dict[str, Any] = answer.json()
        return found

    async def _wait(self) -> None:
        now = asyncio.get_running_loop().time()
        self._next_at = max(now, self._next_at + self._spacing_s)
        if self._next_at > now:
            await asyncio.sleep(self._next_at - now)


def chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of at most `size` items."""
    rest = iter(items)
    while part := list(itertools.islice(rest, size)):
        yield part


async def flagged(salesforce: httpx.AsyncClient) -> list[Row]:
    """All flagged Leads."""
    rows: list[Row] = []
    answer = (await salesforce.get(f"{DATA}/query", params={"q": SELECT})).raise_for_status().json()
    rows += answer["records"]
    while not answer["done"]:
        answer = (await salesforce.get(answer["nextRecordsUrl"])).raise_for_status().json()
        rows += answer["records"]
    return rows


async def buy(vendor: Vendor, channel: tuple[str, str, str, str], event: str, rows: Sequence[Row]) -> None:
    """Buy one channel for a batch of people, and put the values into their rows."""
    submit, task_path, key, field = channel
    by_person = {row["Lensmor_Personnel_Id__c"]: row for row in rows}
    body = {"personnel_ids": list(by_person), "event_id": event}
    task = (await vendor.ask("POST", f"/external/contacts/{submit}", body))["task_id"]
    for delay_s in itertools.chain(POLL_DELAYS_S, itertools.repeat(POLL_DELAYS_S[-1])):
        await asyncio.sleep(delay_s)
        answer = await vendor.ask("GET", f"/external/contacts/{task_path}/{task}")
        if answer["taskStatus"] in {"completed", "failed"}:
            break
    for item in answer["items"]:
        if item.get(key):
            by_person[item["personnelId"]][field] = item[key]


async def write(salesforce: httpx.AsyncClient, rows: Sequence[Row]) -> None:
    """Write the values of up to 200 Leads, and clear their flags."""
    records = [
        {
            "attributes": {"type": "Lead"},
            "Id": row["Id"],
            "Email": row["Email"],
            "MobilePhone": row["MobilePhone"],
            "Enrichment_Requested__c": False,
        }
        for row in rows
    ]
    body = {"allOrNone": False, "records": records}
    results = (await salesforce.patch(f"{DATA}/composite/sobjects", json=body)).raise_for_status().json()
    failed = [one for one in results if not one["success"]]
    if failed:
        raise RuntimeError(f"{len(failed)} records were refused: {failed[0]['errors']}")


async def enrich() -> int:
    """Enrich all flagged Leads; returns their number."""
    setting = os.environ
    async with (
        httpx.AsyncClient(base_url=setting["SALESFORCE_INSTANCE_URL"], timeout=60, trust_env=False) as salesforce,
        httpx.AsyncClient(base_url=setting["LENSMOR_BASE_URL"], timeout=60, trust_env=False) as lensmor,
    ):
        login = {
            "grant_type": "client_credentials",
            "client_id": setting["SALESFORCE_CLIENT_ID"],
            "client_secret": setting["SALESFORCE_CLIENT_SECRET"],
        }
        token = (await salesforce.post("/services/oauth2/token", data=login)).raise_for_status().json()["access_token"]
        salesforce.headers["Authorization"] = f"Bearer {token}"
        lensmor.headers["Authorization"] = f"Bearer {setting['LENSMOR_API_KEY']}"
        rows = await flagged(salesforce)
        vendor = Vendor(lensmor)
        by_event = {row["Lensmor_Event_Id__c"]: [] for row in rows}  # type: dict[str, list[Row]]
        for row in rows:
            by_event[row["Lensmor_Event_Id__c"]].append(row)
        await asyncio.gather(
            *(
                buy(vendor, channel, event, batch)
                for event, members in by_event.items()
                for channel in CHANNELS
                for batch in chunks((row for row in members if not row[channel[3]]), PEOPLE_PER_REQUEST)
            )
        )
        for batch in chunks(rows, RECORDS_PER_UPDATE):
            await write(salesforce, batch)
    return len(rows)


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"records": asyncio.run(enrich())}) + "\n")
