"""How long something may wait before it is reported: one age each, all of them here.

Nothing waits indefinitely without a report. What has waited for its age is named in the `attention` of every run, in
`connector status` and in `connector doctor`, each time with the command that ends the wait.
"""

from datetime import timedelta

PLAN_KEPT = timedelta(days=7)  # a plan that is not applied again for so long releases its records
OPEN_RECORD_AGE = timedelta(days=7)  # an open record that no run took up for so long: no run covers its mapping
TASK_AGE = timedelta(hours=24)  # a purchase that the vendor has not finished; emails take minutes, phones an hour
LATE_EVIDENCE_KEPT = timedelta(days=30)  # a task is still read for people who were given up
REQUEST_AGE = timedelta(hours=1)  # a due request, or a queued run, that no process takes
PARKED_NOTICE = timedelta(days=7)  # between the report that a parked value will be erased, and its end
