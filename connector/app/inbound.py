"""Inbound requests, Outbound Messages and callbacks: each is stored before it is answered."""

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connector.app.figures import ServiceFigures, service_figures
from connector.core.clock import Clock
from connector.core.mapping import MappingFile
from connector.core.person import Source
from connector.crm.interface import InboundRoute, Message
from connector.crm.registry import CRMS
from connector.providers.registry import REGISTRY
from connector.store.callback_receipts import ReceiptOutcome
from connector.store.inbox import NOTIFICATION, ConflictError, InboundRequest, RequestState
from connector.store.ledger import Ledger

MOST_IDS = 2000
_TASK_ID = re.compile(r"[!-~]{1,200}")  # JSON allows lone surrogates and NUL, databases do not


class NotAcceptedError(Exception):
    """A request that cannot be accepted. The message never quotes the request."""


class CrowdedError(Exception):
    """Too many receipts wait for one paid request; the sender may repeat the callback later."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A stored request."""

    request_id: str
    accepted: int
    duplicate: bool


class InboundService:
    """Stores every inbound request before it is answered.

    Args:
        ledger: the store of the requests.
        mappings: the mappings that this deployment serves.
        clock: the ledger's time.
        wake: called after a request was stored.
        org_ids: by CRM, the only org whose messages are accepted.
        prefixes: the first characters of an object's ids, by mapping; for a missing mapping, those of the CRM's
            standard objects apply.
        sources: the providers whose accounts `/metrics` shows.
    """

    def __init__(
        self,
        ledger: Ledger,
        mappings: Mapping[str, MappingFile],
        clock: Clock,
        wake: Callable[[], None],
        org_ids: Mapping[str, str] | None = None,
        prefixes: Mapping[str, str] | None = None,
        sources: Collection[Source] = (),
    ) -> None:
        self._sources = sources
        self._prefixes = {name: CRMS[one.crm].ids.prefix_of(one.object) or "" for name, one in mappings.items()}
        self._prefixes |= {name: prefix for name, prefix in (prefixes or {}).items() if prefix}
        self._org_ids = org_ids or {}
        self._ledger = ledger
        self._mappings = mappings
        self._clock = clock
        self._wake = wake

    def ask(self, mapping: str, record_ids: Sequence[str], request_id: str = "") -> Accepted:
        """Store a request for records of a mapping.

        Raises:
            NotAcceptedError: the mapping is not served here, or the ids are not ids of its object.
            ConflictError: the same request id was used with another body within 7 days.
        """
        if mapping not in self._mappings:
            served = ", ".join(self._mappings)
            raise NotAcceptedError(f"no mapping of this name is served here; served mappings: {served}")
        if not record_ids or len(record_ids) > MOST_IDS:
            raise NotAcceptedError(f"record_ids must hold 1 to {MOST_IDS} ids")
        crm = CRMS[self._mappings[mapping].crm]
        ids = [crm.ids.full(one) for one in record_ids]
        full = list(dict.fromkeys(one for one in ids if one))
        if None in ids:
            place = ids.index(None) + 1
            raise NotAcceptedError(f"entry {place} of record_ids is not a {crm.label} id ({crm.ids.example})")
        self._require_object(mapping, full)
        digest = hashlib.sha256(json.dumps([mapping, sorted(full)]).encode()).hexdigest()
        request_id = request_id or uuid.uuid4().hex
        (is_new,) = self._accept([InboundRequest(request_id, digest, mapping, full)])
        return Accepted(request_id, len(full), duplicate=not is_new)

    def _require_object(self, mapping: str, ids: Collection[str]) -> None:
        prefix = self._prefixes[mapping]
        others = sum(not one.startswith(prefix) for one in ids)
        if others:
            raise NotAcceptedError(
                f"{others} of {len(ids)} ids are not ids of {self._mappings[mapping].object}: those begin with {prefix}"
            )

    def look(self, request_id: str) -> RequestState | None:
        """The state of a request and its outcome counts; None for an unknown id."""
        return self._ledger.inbox.state_of(request_id)

    def notify(self, crm: str, message: Message, mapping: str = "") -> int:
        """Store the notifications of an Outbound Message, all or none; returns the number of new ones.

        Args:
            crm: the CRM that sent the message.
            message: the parsed message.
            mapping: the mapping to use if several share an object.

        Raises:
            NotAcceptedError: the message is from another org, or no mapping or several match its object.
        """
        ids = CRMS[crm].ids
        ours = ids.full(self._org_ids.get(crm, ""))
        if ours is None or ids.full(message.org_id) != ours:
            raise NotAcceptedError("this org is not served here")
        inbound_requests: list[InboundRequest] = []
        for one in message.notified:
            record_id = ids.full(one.record_id)
            if record_id is None:
                raise NotAcceptedError(f"a notification has no valid {CRMS[crm].label} id")
            name = self._mapping_of(one.object, mapping)
            self._require_object(name, [record_id])
            key = f"{NOTIFICATION}{one.notification_id[:15]}"  # the same notification may have 15 or 18 characters
            inbound_requests.append(InboundRequest(key, "", name, [record_id]))
        # Sorted: on PostgreSQL, two messages with the same notifications could otherwise deadlock.
        return sum(self._accept(sorted(inbound_requests, key=lambda inbound_request: inbound_request.request_id)))

    def _mapping_of(self, object_name: str, mapping: str) -> str:
        fitting = [
            name
            for name, found in self._mappings.items()
            if found.object.lower() == object_name.lower() and mapping in {"", name}
        ]
        if len(fitting) != 1:
            raise NotAcceptedError(
                "no mapping or several mappings of this object are served here: name one with ?mapping="
            )
        return fitting[0]

    def _accept(self, inbound_requests: Sequence[InboundRequest]) -> list[bool]:
        are_new = self._ledger.inbox.accept(inbound_requests, self._clock.now())
        if any(are_new):
            self._wake()
        return are_new

    def is_ours(self, address: str) -> bool:
        """Whether this ledger issued a callback address."""
        return self._ledger.seal.attempt_of(address) is not None

    def called_back(self, provider: str, address: str, body: Mapping[str, Any]) -> bool:
        """Store the receipt of a callback; False if the address is unknown or does not match the body.

        Args:
            provider: the provider in the route.
            address: the last part of the route, which identifies one paid request.
            body: the parsed JSON body.

        Raises:
            CrowdedError: too many receipts wait for the same request.
        """
        attempt_id = self._ledger.seal.attempt_of(address)
        parts = REGISTRY[provider].parse_callback(body) if provider in REGISTRY else None
        if attempt_id is None or parts is None or not _TASK_ID.fullmatch(parts.task_id):
            return False
        if parts.attempt_id not in {None, attempt_id}:
            return False
        receipt = self._ledger.callback_receipts.receive(provider, attempt_id, parts.task_id, self._clock.now())
        if receipt is ReceiptOutcome.CROWDED:
            raise CrowdedError
        if receipt is ReceiptOutcome.STORED:
            self._wake()
        return receipt is not ReceiptOutcome.UNKNOWN

    def is_ready(self) -> bool:
        """Whether the ledger answers."""
        try:
            self._ledger.database.clock()
            self._ledger.credits.newest_entry()
        except sa.exc.SQLAlchemyError:
            return False
        return True

    def figures(self) -> ServiceFigures:
        """The figures of `/metrics`."""
        return service_figures(self._ledger, list(self._mappings), self._sources)


ROUTES: Mapping[str, InboundRoute] = {name: one.inbound for name, one in CRMS.items() if one.inbound is not None}
__all__ = [
    "ROUTES",
    "Accepted",
    "ConflictError",
    "CrowdedError",
    "InboundRoute",
    "InboundService",
    "NotAcceptedError",
]
