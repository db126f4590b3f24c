"""The base of every model of a JSON body that a vendor or a CRM sends or takes."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """A body that shows nothing of itself: any member may hold an address, a number, a token or a secret."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        """No member appears in `repr`, in `str` or in a log line."""
        return ()
