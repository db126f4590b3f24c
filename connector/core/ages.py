"""How long each kind of work may wait before it is reported.

Nothing waits indefinitely without a report. Work that has waited too long is listed in the `attention` of every run, in
`connector status` and in `connector doctor`, together with the command that ends the wait.
"""

from datetime import timedelta

PLAN_KEPT = timedelta(days=7)  # then a plan that is not applied again releases its records
OPEN_RECORD_AGE = timedelta(days=7)  # an open record that no run has selected: no run uses its mapping
TASK_AGE = timedelta(hours=24)  # a purchase that the vendor has not finished; emails take minutes, phones an hour
LATE_EVIDENCE_KEPT = timedelta(days=30)  # a task is still polled for purchases that were given up
REQUEST_AGE = timedelta(hours=1)  # a due request, or a queued run, that no process has started
PARKED_NOTICE = timedelta(days=7)  # from the announcement that a parked value will be erased until its erasure
