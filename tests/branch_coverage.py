"""A test plugin (`-p branch_coverage`): the lines and branches that the tests run in the packages that handle money.

SlipCover puts its counters into the code itself and takes them out once they have counted, so all tests can be measured
at nearly no cost. A tracer doubles the time of these tests on Python 3.11.
"""

import json
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

import pytest
import slipcover
from slipcover.importer import SlipcoverLoader

PACKAGES = ("connector.core", "connector.engine", "connector.store")
FLOOR_PERCENT = 95.0
NEVER_RUN = [r"class .*\bProtocol\):"]
RESULT = "branch coverage"


class _Finder(MetaPathFinder):
    """Loads the modules of the measured packages with counters in them.

    pytest rewrites the assertions of packages with plugins, and SlipCover leaves alone what pytest rewrites; so this
    finder comes before pytest's.
    """

    def __init__(self, counters: slipcover.Slipcover) -> None:
        self._counters = counters

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(PACKAGES):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader) and spec.origin is not None:
            spec.loader = SlipcoverLoader(self._counters, spec.loader, spec.origin)
        return spec


class _Coverage:
    """Collects the counts of this process, or of the workers that xdist starts."""

    def __init__(self, counters: slipcover.Slipcover) -> None:
        self._counters = counters
        self._parts: list[dict[str, Any]] = []

    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 xdist's controller of a worker is untyped
        part = getattr(node, "workeroutput", {}).get(RESULT)  # a worker that crashed sends none
        if part is not None:
            self._parts.append(json.loads(part))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[RESULT] = json.dumps(self._counters.get_coverage())
        elif self._percent() < FLOOR_PERCENT and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("lines and branches run")
        slipcover.print_coverage(self._merged(), outfile=sys.stdout, skip_covered=True, missing_width=60)
        shown = f"{self._percent():.1f}% of all lines and branches (at least {FLOOR_PERCENT:.0f}%)"
        terminalreporter.write_line(shown, red=self._percent() < FLOOR_PERCENT)

    def _merged(self) -> dict[str, Any]:
        parts = self._parts or [self._counters.get_coverage()]
        merged: dict[str, Any] = json.loads(json.dumps(parts[0]))  # a copy: merging changes it
        for part in parts[1:]:
            slipcover.merge_coverage(merged, part)
        return merged

    def _percent(self) -> float:
        return float(self._merged()["summary"]["percent_covered"])


def _begin() -> slipcover.Slipcover:
    early = [name for name in sys.modules if name.startswith(PACKAGES)]
    if early:
        raise pytest.UsageError(f"{early[0]} is loaded already and cannot be measured")
    folders = [name.replace(".", "/") for name in PACKAGES]
    counters = slipcover.Slipcover(
        branch=True, source=folders, omit=["connector/store/migrations/*"], exclude_also=NEVER_RUN
    )
    sys.meta_path.insert(0, _Finder(counters))
    return counters


COUNTERS = _begin()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Coverage(COUNTERS))
