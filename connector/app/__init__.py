"""Use cases, and the only place where settings are wired to services.

The simulated world is in `rehearsal`, which only the commands that need it import.
"""

from connector.app.application import Application
from connector.app.delegation import Backfill
from connector.app.doctor import doctor
from connector.app.limits_view import flag_lines, most_credits
from connector.app.plans import read_plan

__all__ = ["Application", "Backfill", "doctor", "flag_lines", "most_credits", "read_plan"]
