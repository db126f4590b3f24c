"""Recorded answers of real orgs, read in place: they lie beside the checkout, or where the environment says."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

OVERRIDE = "CONNECTOR_TEST_RECORDINGS"
ROOT = Path(__file__).parents[2]


def folder() -> Path:
    """The folder with a `salesforce` folder in it; skips the test where there is none, except in CI."""
    found = Path(os.environ.get(OVERRIDE) or ROOT.parent / "shared" / "recordings") / "salesforce"
    if not found.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"the recordings are missing: put them beside the checkout, or set {OVERRIDE}")
        pytest.skip("no recordings here")
    return found


def load(name: str) -> Any:  # noqa: ANN401 JSON
    """One recorded JSON document."""
    return json.loads((folder() / name).read_text(encoding="utf-8"))
