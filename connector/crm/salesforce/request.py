"""One request to Salesforce as a value, and a file in an answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.crm.salesforce.bodies import RequestBody

CSV_TYPE = "text/csv"


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        kind: read, write or other, for the count.
        path: below `/services/data/vNN.N/`.
        soql: the query, a parameter of `query` and `queryAll`; beside a body it only masks the reasons of refusals.
        body: sent as JSON; bytes as CSV.
        params: of the address.
        wants_file: the answer is a CSV file.
    """

    kind: str
    path: str
    method: str = "GET"
    soql: str | None = field(default=None, repr=False)
    body: RequestBody | bytes | None = field(default=None, repr=False)
    params: Mapping[str, str] | None = None
    wants_file: bool = False

    def arguments(self) -> dict[str, Any]:
        """As `Salesforce.restful` takes them, without the path."""
        found: dict[str, Any] = {"method": self.method}
        if self.soql is not None and self.body is None:
            found["params"] = {"q": self.soql}
        elif self.params is not None:
            found["params"] = self.params
        if isinstance(self.body, bytes):
            found |= {"data": self.body, "headers": {"Content-Type": CSV_TYPE}}
        elif self.body is not None:
            found["json"] = self.body.sent()
        return found


@dataclass(frozen=True, slots=True)
class File:
    """A CSV file that Salesforce sent, with the headers of the answer."""

    text: str = field(repr=False)
    headers: Mapping[str, str]
