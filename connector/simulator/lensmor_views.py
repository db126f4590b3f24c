"""Lensmor's JSON for people, events, pages, tasks and balances, by the contract's schemas."""

from collections.abc import Sequence
from urllib.parse import quote

from connector.simulator.lensmor_state import PRICES, LensmorState, Submission, Task, Unlock
from connector.simulator.people import SimEvent, SimPerson

PREVIEW_LIMIT = 50
GIFT_CREDITS = 100
ADDON_CREDITS = 2_500
SUBSCRIPTION_CREDITS = 100_000
MONTH_MS = 30 * 24 * 3600 * 1000

LINKEDIN_FORMS = (
    "https://www.linkedin.com/in/{}",
    "https://linkedin.com/in/{}",
    "https://www.linkedin.com/in/{}/",
    "https://linkedin.com/in/{}/",
)
"""Recorded with and without www, and with and without a trailing slash."""

JsonObject = dict[str, object]


def contact(state: LensmorState, account: str, person: SimPerson) -> JsonObject:
    """A `ContactItem`: the parts of a person that this account may see."""
    email_state, email = state.shown_state(account, person.personnel_id, "email")
    phone_state, phone = state.shown_state(account, person.personnel_id, "phone")
    phone_words = {None: None, "unlocking": "processing", "unlocked": "ready", "failed": "failed"}
    return {
        "id": person.personnel_id,
        "fullName": person.full_name,
        "title": person.title,
        "department": person.department,
        "seniorityLevel": person.seniority,
        "linkedinUrl": linkedin_url(person),
        "companyName": person.company,
        "sourceType": list(person.source_types),
        "email": email,
        "phone": phone,
        "contactUnlockStatus": email_state or "locked",
        "phoneUnlockStatus": phone_words[phone_state],
        "linkedinActivity": None,
        "linkedinActivityStatus": None,
        "eventCount": len(person.event_ids),
    }


def linkedin_url(person: SimPerson) -> str | None:
    """The person's profile address in one of the vendor's four forms."""
    if person.linkedin_name is None:
        return None
    form = LINKEDIN_FORMS[int(person.personnel_id) % len(LINKEDIN_FORMS)]
    return form.format(quote(person.linkedin_name))


def event_item(event: SimEvent) -> JsonObject:
    """An `EventItem`."""
    return {
        "id": event.id,
        "eventId": event.event_id,
        "name": event.name,
        "nickname": None,
        "description": None,
        "url": None,
        "dateStart": event.date_start,
        "dateEnd": event.date_end,
        "venue": event.venue,
        "city": event.city,
        "region": None,
        "country": event.country,
        "exhibitorCount": event.exhibitor_count,
        "hasVisitors": event.has_visitors,
        "sponsorMatchStarred": 0,
        "image": None,
        "dataSource": "Lensmor",
    }


def attendance(person: SimPerson) -> list[str]:
    """How a person attends their events: `visitor` if only the visitor data names them."""
    return ["visitor"] if person.source_types == ("visitors",) else ["exhibitor_employee"]


def page(items: Sequence[object], total: int, number: int, size: int, visible: int | None = None) -> JsonObject:
    """A `PageEnvelope`.

    Args:
        items: the items of this page.
        total: the number of items on all pages.
        number: this page's number, from 1.
        size: the items per page.
        visible: the number of items that the account may see; None for all.
    """
    seen = total if visible is None else visible
    return {
        "items": list(items),
        "total": total,
        "page": number,
        "pageSize": size,
        "totalPages": -(-total // size),
        "hasMore": number * size < seen,
    }


def semantics(total: int, visible: int, number: int, size: int, *, full: bool) -> JsonObject:
    """An `AccessSemantics`: the part of an event's list that the account may see."""
    return {
        "accessMode": "full" if full else "preview",
        "previewLimit": None if full else PREVIEW_LIMIT,
        "counts": {"actualTotal": total, "visibleTotal": visible, "remainingLockedCount": total - visible},
        "pageState": {
            "requestedPage": number,
            "accessible": number == 1 or (number - 1) * size < visible,
            "maxAccessiblePage": max(1, -(-visible // size)),
        },
        "unlock": {
            "requiredForMoreResults": visible < total,
            "actionType": "unlock_event_contacts" if visible < total else None,
            "credits": PRICES["event"] if visible < total else None,
        },
    }


def balance(state: LensmorState, account: str) -> JsonObject:
    """A `CreditBalance` in the shape since 0.24.0; gift and add-on credits are counted as spent last."""
    left = state.balance_of(account)
    gift = min(GIFT_CREDITS, left)
    addon = min(ADDON_CREDITS, left - gift)
    subscription = left - gift - addon
    subscription_amount = max(SUBSCRIPTION_CREDITS, subscription)
    now_ms = int(state.clock.now() * 1000)
    return {
        "totalAmount": subscription_amount + ADDON_CREDITS + GIFT_CREDITS,
        "totalBalance": left,
        "subscriptionAmount": subscription_amount,
        "subscriptionBalance": subscription,
        "addonAmount": ADDON_CREDITS,
        "addonBalance": addon,
        "addonExpireAt": now_ms + 12 * MONTH_MS,
        "giftAmount": GIFT_CREDITS,
        "giftBalance": gift,
        "resetAt": now_ms + MONTH_MS,
    }


def event_unlock(state: LensmorState, account: str, event: SimEvent, used: int) -> JsonObject:
    """An `EventUnlockResult`; its buckets omit add-on credits, so they need not add up."""
    after: JsonObject | None = None
    if used:
        now = balance(state, account)
        after = {
            "subscriptionBalance": now["subscriptionBalance"],
            "permanentBalance": now["giftBalance"],
            "totalBalance": now["totalBalance"],
            "unlimited": False,
        }
    return {
        "success": True,
        "alreadyUnlocked": used == 0,
        "creditsUsed": used,
        "balanceAfter": after,
        "event": {"id": event.id, "eventId": event.event_id, "name": event.name},
    }


def submission(sorted_out: Submission, task: Task | None) -> JsonObject:
    """An `UnlockSubmission`: with a task, with a task and skips, or `success` without task."""
    body: JsonObject = {"status": "success"}
    if task is not None:
        body = {"status": "accepted", "task_id": task.task_id, "job_id": task.task_id}
    if sorted_out.skipped:
        body["skipped_personnel_ids"] = [one for ids in sorted_out.skipped.values() for one in ids]
        body["skipped_detail"] = {reason: ids for reason, ids in sorted_out.skipped.items() if reason}
    return body


def task_body(task: Task, now: float) -> JsonObject:
    """An `EmailUnlockTask` or `PhoneUnlockTask`.

    Items appear one by one, as in the contract's example: those that have ended, the current one and the next; in the
    end all of them. The latest comes first, because no order is promised.
    """
    items: list[JsonObject] = []
    unfinished = 0
    for unlock in task.unlocks:
        ended = now >= unlock.ends_at
        unfinished += not ended and unlock.outcome != "stuck"
        if unlock.outcome != "missing" and unfinished <= 2:
            items.append(_item(unlock, ended=ended, is_next=unfinished == 2))
    status = _task_status(task, now)
    return {"taskId": task.task_id, "taskStatus": status, "items": [] if status == "pending" else items[::-1]}


def _item(unlock: Unlock, *, ended: bool, is_next: bool) -> JsonObject:
    if not ended and is_next:
        return {"personnelId": unlock.person, "status": "pending"}
    if not ended or unlock.outcome == "unfinished":
        return {"personnelId": unlock.person, "status": "processing"}
    if unlock.fails:
        return {"personnelId": unlock.person, "status": "failed", "errorCode": "TASK_FAILED"}
    return {"personnelId": unlock.person, "status": "unlocked", unlock.kind: unlock.value}


def _task_status(task: Task, now: float) -> str:
    if now >= task.ends_at:
        return "failed" if any(unlock.outcome == "task_failed" for unlock in task.unlocks) else "completed"
    return "pending" if now < task.started_at else "processing"
