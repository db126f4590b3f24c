"""The only place where parts are joined: settings become a ready application.

The simulated world stands in `rehearsal`, imported only by the commands that need it.
"""

from connector.app.application import Application, Backfill

__all__ = ["Application", "Backfill"]
