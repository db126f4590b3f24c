"""Reads recorded answers of the real Salesforce, which are stored outside the repository.

The folder is `../shared/recordings` from the repository root, or the one that `CONNECTOR_TEST_RECORDINGS` names. Tests
that need it are skipped if it is missing; with `CI=true` they fail.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

Json = Any  # recorded answers are arbitrary JSON

ROOT = Path(__file__).parents[1]


def folder() -> Path:
    """The folder of the Salesforce recordings.

    Raises:
        pytest.skip.Exception: the folder does not exist.
    """
    found = Path(os.environ.get("CONNECTOR_TEST_RECORDINGS", ROOT.parent / "shared" / "recordings")) / "salesforce"
    if not found.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs the recorded answers: set CONNECTOR_TEST_RECORDINGS to their folder")
        pytest.skip("no recorded answers here; CONNECTOR_TEST_RECORDINGS may name their folder")
    return found


def describe(object_name: str) -> Json:
    """The recorded describe of an object."""
    path = folder() / "cumulusci" / "tests" / "shared_cassettes" / f"GET_sobjects_{object_name}_describe.yaml"
    return json.loads(YAML(typ="safe", pure=True).load(path)["response"]["body"]["string"])


def answer(name: str, method: str, path_part: str) -> tuple[int, Mapping[str, str], Json]:
    """The status, headers and body of a recorded exchange, by file name, method and a part of its path."""
    document = json.loads((folder() / "nango-integration-templates" / f"{name}.test.json").read_text(encoding="utf-8"))
    for path, recorded in document["api"][method].items():
        if path_part in path:
            return recorded["status"], recorded["headers"], recorded["response"]
    raise KeyError(f"{name} records no {method} of {path_part}")


def body(*parts: str) -> Json:
    """A recorded body by its path below the folder."""
    return json.loads(folder().joinpath(*parts).read_text(encoding="utf-8"))


def shape(value: Json) -> Json:
    """The keys and types of a JSON value; a list has the distinct shapes of its entries."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        shapes: list[Json] = []
        for item in value:
            found = shape(item)
            if found not in shapes:
                shapes.append(found)
        return shapes
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
