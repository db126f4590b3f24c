"""Salesfinity's JSON bodies, named as in `docs/contracts/salesfinity.openapi.yaml` (public pages, seen November 2026).

Only the members that the connector reads or sends are here.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from connector.providers.bodies import AnswerBody, Balance, Id, RequestBody, Text


class EmailEnrichmentRequest(RequestBody):
    """The request for one lookup.

    Attributes:
        external_id: the attempt's id; answers and callbacks echo it.
    """

    linkedin_url: str
    type: Literal["work", "personal"]
    external_id: str
    callback_url: str | None = None


class FoundEmail(AnswerBody):
    """The email that a lookup found, as sent."""

    email: object = None
    type: object = None


def _found_email(value: object) -> object:
    """The documented object, or one around anything else: a plain text is the email."""
    return value if isinstance(value, dict) else {"email": value}


class EmailEnrichment(AnswerBody):
    """One lookup: the answer to its request, and to each read of it.

    Attributes:
        type: not documented in this place; it counts where the email does not name its own type.
        enrichment_type: counts where neither does; the documented form is `work_email`.
    """

    id: Id = Field(default=None, alias="_id")
    status: object = None
    linkedin_url: Text = None
    email: Annotated[FoundEmail, BeforeValidator(_found_email)] = FoundEmail()
    type: object = None
    enrichment_type: object = None
    external_id: Text = None


class EmailEnrichmentCallback(AnswerBody):
    """The ids in a callback. Everything else is read from the vendor.

    Attributes:
        external_id: as sent. A body in which it is neither a text nor null is no callback.
    """

    id: Id = Field(default=None, alias="_id")
    external_id: object = None


class EnrichmentCredits(AnswerBody):
    """Credits left for the team."""

    balance: Balance = None
