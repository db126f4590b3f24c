"""The only place where parts are joined: settings become a ready application."""

from connector.app.application import Application, Backfill
from connector.app.rehearsal import Rehearsal

__all__ = ["Application", "Backfill", "Rehearsal"]
