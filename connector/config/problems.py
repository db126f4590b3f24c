"""Problems with settings as values, so that one error reports several."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from connector.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """A problem with one setting.

    Attributes:
        name: the setting, or the place in the settings file; empty if there is neither.
        message: the cause and the next step, never the value; it may contain the name.
    """

    name: str
    message: str

    def __str__(self) -> str:
        """The problem as one line for an admin."""
        named = not self.name or re.search(rf"(?<!\w){re.escape(self.name)}(?!\w)", self.message) is not None
        return self.message if named else f"{self.name}: {self.message}"


def raise_all(problems: Iterable[SettingProblem]) -> None:
    """Raise one error for all problems; does nothing if there are none.

    Raises:
        ConfigurationError: one line for each problem.
    """
    lines = list(dict.fromkeys(str(problem) for problem in problems))
    if lines:
        raise ConfigurationError("\n".join(lines))
