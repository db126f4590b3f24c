"""The errors of the simulated API.

    Exception
    ├── RecordError   one record cannot be saved; the others of the same call are not affected
    └── ApiError      the whole request is refused, with an HTTP status

Both have problems with Salesforce's texts. Sources: REST API Developer Guide, "Status Codes and Error Responses";
recorded answers in the public test folders of amp-labs/connectors (`providers/salesforce/test`), seen November 2026.
"""

from collections.abc import Sequence
from dataclasses import dataclass

_STANDARD_ELSEWHERE = frozenset(
    {
        *("asset", "attachment", "campaign", "campaignmember", "case", "contentdocument", "contentversion", "contract"),
        *("event", "feeditem", "group", "individual", "note", "opportunity", "opportunitycontactrole", "order"),
        *("organization", "pricebook2", "product2", "profile", "quote"),
        *("report", "solution", "task", "userrole"),
    }
)


@dataclass(frozen=True)
class Problem:
    """One error of an answer.

    Attributes:
        code: `errorCode` (`statusCode` in results of Collections).
        message: Salesforce's text.
        fields: API names of the rejected fields; None if the single-record answer has no such key.
    """

    code: str
    message: str
    fields: tuple[str, ...] | None = None

    def as_error(self) -> dict[str, object]:
        """The problem in the form of a refused request."""
        error: dict[str, object] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            error["fields"] = list(self.fields)
        return error

    def as_result(self) -> dict[str, object]:
        """The problem in the form of one record's result of a Collections call."""
        return {"statusCode": self.code, "message": self.message, "fields": list(self.fields or ())}


class RecordError(Exception):
    """One record is refused.

    Args:
        problems: its problems; at least one.
        status: the HTTP status if the record is the only one of its request.
    """

    def __init__(self, *problems: Problem, status: int = 400) -> None:
        super().__init__("; ".join(f"{problem.code}: {problem.message}" for problem in problems))
        self.problems: Sequence[Problem] = problems
        self.status = status


class ApiError(Exception):
    """The whole request is refused.

    Args:
        status: HTTP status.
        code: `errorCode`.
        message: Salesforce's text.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.problem = Problem(code, message)


def not_found() -> ApiError:
    """The answer for a path, an object or a record that does not exist."""
    return ApiError(404, "NOT_FOUND", "The requested resource does not exist")


def simulator_limit(what: str) -> ApiError:
    """The answer for a request that Salesforce may serve, but the simulator does not support."""
    words = f"this is a limit of the simulator, not of Salesforce: it does not support {what}"
    return ApiError(400, "SIMULATOR_LIMIT", words)


def refuse_unsimulated_object(name: str) -> None:
    """Refuse a standard object that every Salesforce org has, but the simulated one lacks.

    Raises:
        ApiError: the name is one of these objects.
    """
    if name.lower() in _STANDARD_ELSEWHERE:
        raise simulator_limit(f"the object {name}")


def unreadable_json(detail: str) -> ApiError:
    """The answer for a body that cannot be read as JSON of the expected kind."""
    return ApiError(400, "JSON_PARSER_ERROR", f"{detail} at [line:1, column:1]")
