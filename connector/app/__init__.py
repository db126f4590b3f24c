"""The only place where services are wired: settings become a ready application.

The simulated world stands in `rehearsal`, imported only by the commands that need it.
"""

from connector.app.application import Application
from connector.app.delegation import Backfill
from connector.app.doctor import doctor
from connector.app.limits_view import flag_lines, most_credits
from connector.app.plans import read_plan

__all__ = ["Application", "Backfill", "doctor", "flag_lines", "most_credits", "read_plan"]
