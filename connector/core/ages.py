"""How long something may wait before it is reported: one age each, all of them here.

Nothing waits indefinitely without a report. What has waited for its age is named in the `attention` of every run, in
`connector status` and in `connector doctor`, each time with the command that ends the wait.
"""

from datetime import timedelta

PLAN_KEPT = timedelta(days=7)  # a plan that is not applied again for so long releases its records
