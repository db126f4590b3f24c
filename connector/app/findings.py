"""One line of `doctor`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `doctor`.

    Attributes:
        subject: the thing that was checked.
        ok: whether a run can start with it.
        message: the state, or the cause and the fix.
        warning: a run can start, but this looks like a mistake.
    """

    subject: str
    ok: bool
    message: str
    warning: bool = False
