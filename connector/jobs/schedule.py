"""The schedules of mapping files as jobs of the queue."""

from datetime import datetime

from croniter import croniter

from connector.store.jobs import Jobs
from connector.store.stored_times import TOLERANCE


def next_sync(jobs: Jobs, mapping: str, cron: str, now: datetime) -> datetime:
    """Compute when the next sync of a mapping's schedule is due, and store it if it changed.

    Missed times count as one sync, which is due now. A new schedule counts from now, a changed one from its last sync.
    If the last sync is in the future, a wrong clock wrote it, and the schedule counts from now.
    """
    job = jobs.scheduled(mapping)
    began_at = now if job is None or job.asked_at > now + TOLERANCE else job.asked_at
    if job is not None and job.due_at is not None and (job.schedule, job.asked_at) == (cron, began_at):
        return job.due_at
    return sync_began(jobs, mapping, cron, began_at)


def sync_began(jobs: Jobs, mapping: str, cron: str, began_at: datetime) -> datetime:
    """Store and return the time of the next sync, after a sync that began at `began_at`."""
    due_at: datetime = croniter(cron, began_at).get_next(datetime)
    jobs.schedule(mapping, cron, began_at, due_at)
    return due_at
