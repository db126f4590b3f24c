"""Errors of settings, as values: several are reported at once."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from connector.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """Something wrong with one setting.

    Attributes:
        name: the setting, or the place in the settings file; empty when it is none.
        message: the cause and the next step, never the value; it may contain the name.
    """

    name: str
    message: str

    def __str__(self) -> str:
        """One line for an admin."""
        named = not self.name or re.search(rf"(?<!\w){re.escape(self.name)}(?!\w)", self.message) is not None
        return self.message if named else f"{self.name}: {self.message}"


def raise_all(problems: Iterable[SettingProblem]) -> None:
    """Report every problem in one error; nothing happens when there is none.

    Raises:
        ConfigurationError: one line for each problem.
    """
    lines = list(dict.fromkeys(str(problem) for problem in problems))
    if lines:
        raise ConfigurationError("\n".join(lines))
