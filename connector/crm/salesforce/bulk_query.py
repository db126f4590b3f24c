"""Reads a selection by a job of `jobs/query`.

A locator belongs to the job, not to the access token ("As long as the associated job exists, the locator string for a
set of results does not change", Bulk API 2.0 guide), so a renewed login continues with the same page. The order costs
Salesforce its own division of the work ("PK chunking"); it is kept so that a job returns what pages of REST return.
"""

import functools
from collections.abc import Callable, Iterator

from connector.core.errors import ConnectorError, DownError
from connector.core.model import CrmRecord
from connector.crm.interface import ObjectInfo, Selection
from connector.crm.salesforce.bodies import JobChange, JobInfo, JobWord, NewQueryJob
from connector.crm.salesforce.bulk_files import END, page_of, typed
from connector.crm.salesforce.client import Client
from connector.crm.salesforce.ids import to_18
from connector.crm.salesforce.reasons import reason_of
from connector.crm.salesforce.records import record_of
from connector.crm.salesforce.request import Request
from connector.crm.salesforce.soql import literals, whole_query

WHAT = "reading records by a query job"
IDS_PER_JOB = 4_000  # keeps the query below 100,000 characters
RECORDS_PER_PAGE = 2_000
MOST_PER_RESULT = 20_000
RESULT_BYTES = 24 * 2**20  # an answer may have 32 MB
FIRST_PAUSE_S, LONGEST_PAUSE_S, GIVE_UP_AFTER_S = 2.0, 30.0, 7_200.0
RECORDS_PER_S = 500  # no job is looked at before it can have read its records at this speed
_ENDED = frozenset({JobWord.COMPLETE, JobWord.FAILED, JobWord.ABORTED})
_ROW_BYTES, _FIELD_BYTES = 100, 25


def select(
    client: Client, info: ObjectInfo, selection: Selection, pause: Callable[[float], None], expected: int = 0
) -> Iterator[list[CrmRecord]]:
    """Read the selection: one job, or one for every 4,000 ids."""
    left = selection.limit
    first_s = FIRST_PAUSE_S + (min(expected, IDS_PER_JOB) if selection.ids is not None else expected) / RECORDS_PER_S
    wait = functools.partial(_QueryJob.wait, pause=pause, first_s=min(first_s, LONGEST_PAUSE_S))
    for ids in _parts(selection):
        if left is not None and left <= 0:
            return
        for page in _read(client, info, selection, whole_query(selection, left, ids), wait):
            left = None if left is None else left - len(page)
            yield page


def _read(
    client: Client, info: ObjectInfo, selection: Selection, soql: str, wait: "Callable[[_QueryJob], None]"
) -> Iterator[list[CrmRecord]]:
    request = Request("read", "jobs/query", "POST", soql, NewQueryJob(query=soql))
    job_id = to_18(JobInfo.read(client.repeated(WHAT, request)).id)
    if job_id is None:
        raise DownError(f"Salesforce's answer to {WHAT} cannot be read; run again later")
    job = _QueryJob(client, job_id, soql)
    try:
        wait(job)
        for rows in job.results(("Id", "SystemModstamp", *selection.fields), _rows_per_result(info, selection)):
            for start in range(0, len(rows), RECORDS_PER_PAGE):
                yield [record_of(typed(info, row)) for row in rows[start : start + RECORDS_PER_PAGE]]
    finally:
        job.remove()


class _QueryJob:
    """One job, from its creation to its removal."""

    def __init__(self, client: Client, job_id: str, soql: str) -> None:
        self._client = client
        self._id = job_id
        self._path = f"jobs/query/{job_id}"
        self._soql = soql
        self._ended = False

    def wait(self, pause: Callable[[float], None], first_s: float) -> None:
        """Wait for the result with growing pauses.

        Raises:
            DownError: the job failed, was aborted, or does not end.
        """
        next_s, waited_s = first_s, 0.0
        while not self._ended:
            if waited_s >= GIVE_UP_AFTER_S:
                raise DownError(f"Salesforce does not finish the query job {self._id}; run again later")
            pause(next_s)
            waited_s += next_s
            next_s = min(next_s * 1.5, LONGEST_PAUSE_S)
            found = JobInfo.read(self._client.repeated(WHAT, Request("read", self._path)))
            self._ended = found.state in _ENDED
            if self._ended and found.state != JobWord.COMPLETE:
                why = reason_of(found.error_message, literals(self._soql))
                raise DownError(f"Salesforce's query job {self._id} ended as {found.state}: {why or 'no reason given'}")

    def results(self, names: tuple[str, ...], size: int) -> Iterator[list[dict[str, str]]]:
        """The pages of the result, one at a time.

        Raises:
            DownError: a page cannot be read, or Salesforce repeats one.
        """
        params, seen = {"maxRecords": str(size)}, {END}
        locator = ""
        while locator != END:
            request = Request("read", f"{self._path}/results", params=params)
            rows, locator = self._client.file(WHAT, request, lambda file: page_of(file, names))
            if locator in seen and locator != END:
                raise DownError("Salesforce repeats a page of a query job's result; run again later")
            seen.add(locator)
            params = {**params, "locator": locator}
            if rows:
                yield rows

    def remove(self) -> None:
        """Abort and delete the job if possible; Salesforce removes it after seven days in any case."""
        change = Request("read", self._path, "PATCH", body=JobChange(state=JobWord.ABORTED))
        steps = [Request("read", self._path, "DELETE")]
        try:
            for request in steps if self._ended else [change, *steps]:
                self._client.send_once("removing a query job", request)
        except ConnectorError:
            return  # the records were read, or another error is on its way


def _rows_per_result(info: ObjectInfo, selection: Selection) -> int:
    """As many rows as surely fit into one answer, so that a job needs few requests."""
    fields = [info.get(name) for name in selection.fields]
    row_bytes = _ROW_BYTES + sum(max(_FIELD_BYTES, field.length if field else 0) for field in fields)
    return max(1, min(MOST_PER_RESULT, RESULT_BYTES // row_bytes))


def _parts(selection: Selection) -> Iterator[tuple[str, ...] | None]:
    if selection.ids is None:
        yield None
        return
    ordered = sorted(set(selection.ids), reverse=selection.newest_first)
    for start in range(0, len(ordered), IDS_PER_JOB):
        yield tuple(ordered[start : start + IDS_PER_JOB])
