"""Write the SBOM of a wheel beside it: the pinned runtime dependencies with their licences and hashes (CycloneDX JSON).

    .release/tools/bin/python tools/sbom.py dist/NAME.whl --source . --environment .release/runtime/bin/python

cyclonedx-py makes two lists, and this program merges them: that of requirements.txt has every pinned version with its
hashes, that of an environment with these versions has licences and the dependencies between them. Addresses are left
out: those of a package index depend on the machine, and a package URL (`pkg:...`) identifies each component.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SPEC_VERSION = "1.6"
WHEEL_SUFFIX = "-py3-none-any.whl"

Document = dict[str, Any]


class SbomError(Exception):
    """The two lists do not describe the same dependencies, or the result is not a valid SBOM."""


def merge(pinned: Document, installed: Document, wheel_sha256: str) -> Document:
    """Merge the list of requirements.txt and the list of an environment into one SBOM.

    Args:
        pinned: the SBOM of requirements.txt.
        installed: the SBOM of an environment with these versions. Its installer (pip) is left out.
        wheel_sha256: the hash of the wheel that the SBOM describes.

    Raises:
        SbomError: the environment has another version than the pinned one.
    """
    found = {_key(one): one for one in installed["components"]}
    pins = {_key(one): one for one in pinned["components"]}
    names = {name for name, _ in pins}
    if wrong := sorted(f"{name} {version}" for name, version in found.keys() - pins.keys() if name in names):
        raise SbomError(f"the environment has other versions than requirements.txt: {', '.join(wrong)}")
    merged = dict(installed)
    merged["components"] = [_component(pins[key], found.get(key, {})) for key in sorted(pins)]
    merged["dependencies"] = _dependencies(installed, {one["bom-ref"] for one in merged["components"]})
    root = _without_addresses(installed["metadata"]["component"])
    root["hashes"] = [{"alg": "SHA-256", "content": wheel_sha256}]
    tools = [_without_addresses(one) for one in installed["metadata"]["tools"]["components"]]
    merged["metadata"] = installed["metadata"] | {"component": root, "tools": {"components": tools}}
    return merged


def _key(component: Mapping[str, Any]) -> tuple[str, str]:
    return re.sub(r"[-_.]+", "-", component["name"]).lower(), component["version"]


def _dependencies(installed: Document, refs: set[str]) -> list[Document]:
    """Which component depends on which: one entry for the root and for each listed component."""
    root = installed["metadata"]["component"]["bom-ref"]
    needed = {one["ref"]: refs.intersection(one.get("dependsOn", ())) for one in installed["dependencies"]}
    return [{"ref": ref, "dependsOn": sorted(needed.get(ref, ()))} for ref in (root, *sorted(refs))]


def _component(pin: Document, package: Document) -> Document:
    """A component: the package's own data, and the hashes of the files that requirements.txt accepts."""
    made = _without_addresses(package or {name: value for name, value in pin.items() if name != "description"})
    hashes = [one for reference in pin.get("externalReferences", []) for one in reference.get("hashes", [])]
    made["externalReferences"] = [
        {
            "type": "distribution",
            "url": pin["purl"],
            "comment": "each of the files that requirements.txt accepts has one of these hashes",
            "hashes": hashes,
        }
    ]
    return made


def _without_addresses(component: Mapping[str, Any]) -> Document:
    return {name: value for name, value in component.items() if name != "externalReferences"}


def _cyclonedx(*arguments: str) -> Document:
    """Run cyclonedx-py of this environment, and read its SBOM."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sbom.json"
        options = ("--output-reproducible", "--short-PURLs", "--spec-version", SPEC_VERSION, "--output-file", str(path))
        program = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py"]
        subprocess.run([*program, arguments[0], *options, *arguments[1:]], check=True)  # noqa: S603 our own tool
        made: Document = json.loads(path.read_text(encoding="utf-8"))
        return made


def _check(text: str) -> None:
    """Check an SBOM against the specification's schema.

    Raises:
        SbomError: it is not valid.
    """
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    fault = JsonStrictValidator(SchemaVersion.from_version(SPEC_VERSION)).validate_str(text)
    if fault is not None:
        raise SbomError(f"not a valid SBOM: {fault}")


def main(arguments: Sequence[str]) -> int:
    """Write the SBOM."""
    parser = argparse.ArgumentParser(description="Write the SBOM of a wheel beside it.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--source", type=Path, required=True, help="the folder with pyproject.toml, requirements.txt")
    parser.add_argument("--environment", type=Path, required=True, help="a Python with the versions of this file only")
    given = parser.parse_args(arguments)
    project = ("--pyproject", str(given.source / "pyproject.toml"))
    pinned = _cyclonedx("requirements", *project, str(given.source / "requirements.txt"))
    installed = _cyclonedx("environment", *project, str(given.environment))
    text = json.dumps(merge(pinned, installed, hashlib.sha256(given.wheel.read_bytes()).hexdigest()), indent=2)
    _check(text)
    sbom = given.wheel.with_name(given.wheel.name.removesuffix(WHEEL_SUFFIX) + ".cdx.json")
    sbom.write_text(f"{text}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
