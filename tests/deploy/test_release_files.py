"""What makes up a release: its metadata, its list of files, its SBOM, and the rules that build it."""

import importlib.util
import re
import tomllib
from types import ModuleType
from typing import Any

import pytest
from deploy_files import ROOT, pins_of
from release_files import tracked_files

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def program() -> ModuleType:
    """Load the program that writes the SBOM; it is no module of the package."""
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "tools" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


sbom = program()


# -- metadata ----------------------------------------------------------------------------------------------------


def test_the_metadata_is_complete() -> None:
    assert PROJECT["readme"] == "README.md"
    assert {"description", "authors", "keywords", "license", "license-files", "requires-python"} <= PROJECT.keys()
    assert "salesforce" in PROJECT["keywords"]
    groups = {one.partition(" :: ")[0] for one in PROJECT["classifiers"]}
    assert {"Development Status", "Environment", "Operating System", "Programming Language", "Topic"} <= groups
    assert ("Typing :: Typed" in PROJECT["classifiers"]) is (ROOT / "connector" / "py.typed").exists()


@pytest.mark.parametrize(
    "name", ["Dockerfile", "Makefile", "SECURITY.md", "connector/__init__.py", "deploy/compose.yaml", "tools/dist.sh"]
)
def test_only_the_project_file_states_the_version(name: str) -> None:
    assert PROJECT["version"] not in (ROOT / name).read_text(encoding="utf-8")


def test_the_sdist_lists_every_file_of_the_repository() -> None:
    listed = PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
    assert listed == sorted(listed)
    assert set(listed) == {name.partition("/")[0] for name in tracked_files()}


# -- tools -------------------------------------------------------------------------------------------------------


def test_release_tools_have_a_group_of_their_own() -> None:
    groups = PYPROJECT["dependency-groups"]
    named = {re.split(r"[>=<]", one)[0] for one in groups["release"] if isinstance(one, str)}
    assert named == {"build", "twine", "cyclonedx-bom"}
    assert groups["build"] == PYPROJECT["build-system"]["requires"]
    assert named <= pins_of(ROOT / "requirements-release.txt").keys()
    assert not named & pins_of(ROOT / "requirements-dev.txt").keys()


def test_tests_do_not_need_the_release_tools() -> None:
    rules = dict(re.findall(r"^([a-z-]+):(.*?)(?:##.*)?$", MAKEFILE, re.MULTILINE))
    assert "$(RELEASE)" in rules["dist"]
    for name in ("setup", "lint", "test", "demo"):
        assert "$(RELEASE)" not in rules[name]
        assert "dist" not in rules[name]


# -- the SBOM ----------------------------------------------------------------------------------------------------


def component(name: str, version: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 any part of an SBOM
    return {"name": name, "version": version, "bom-ref": f"{name}=={version}", "purl": f"pkg:x/{name}@{version}"} | more


def pinned(name: str, version: str, *hashes: str) -> dict[str, Any]:
    """A component as cyclonedx-py makes it of a line in requirements.txt."""
    found = [{"alg": "SHA-256", "content": one} for one in hashes]
    reference = {"type": "distribution", "url": "https://index.example.com/simple/", "hashes": found}
    return component(name, version, description=f"requirements line 1: {name}", externalReferences=[reference])


def listing(components: list[dict[str, Any]], needed: dict[str, list[str]]) -> dict[str, Any]:
    homes = [{"type": "website", "url": "https://index.example.com/project"}]
    return {
        "bomFormat": "CycloneDX",
        "metadata": {
            "component": component("us", "1.0", externalReferences=homes) | {"bom-ref": "root"},
            "tools": {"components": [component("tool", "7.5", externalReferences=homes)]},
        },
        "components": [one | {"externalReferences": homes} for one in components],
        "dependencies": [{"ref": ref, "dependsOn": refs} for ref, refs in needed.items()],
    }


PINNED = {"components": [pinned("typing-extensions", "4.16", "aa", "bb"), pinned("click", "8.5", "cc")]}
LICENSED = component("typing_extensions", "4.16", licenses=[{"license": {"id": "PSF-2.0"}}], description="Backports")


def test_the_sbom_has_the_hashes_of_the_pins_and_the_licences_of_the_packages() -> None:
    made = sbom.merge(PINNED, listing([LICENSED, component("click", "8.5")], {}), "ff")
    click, typing = made["components"]
    assert (click["name"], typing["name"]) == ("click", "typing_extensions")
    assert typing["licenses"] == LICENSED["licenses"]
    assert typing["description"] == "Backports"
    (reference,) = typing["externalReferences"]
    assert [one["content"] for one in reference["hashes"]] == ["aa", "bb"]
    assert made["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": "ff"}]


def test_the_sbom_names_no_address() -> None:
    made = sbom.merge(PINNED, listing([LICENSED, component("click", "8.5")], {}), "ff")
    assert "://" not in str(made)


def test_a_pin_of_another_platform_is_listed_too() -> None:
    made = sbom.merge(PINNED, listing([LICENSED], {"root": ["typing_extensions==4.16"]}), "ff")
    click = made["components"][0]
    assert (click["name"], click["version"]) == ("click", "8.5")
    assert "description" not in click
    assert {"ref": "click==8.5", "dependsOn": []} in made["dependencies"]


def test_the_environments_installer_is_left_out() -> None:
    needed = {"root": ["click==8.5", "pip==26.0"], "pip==26.0": ["click==8.5"]}
    packages = [LICENSED, component("click", "8.5"), component("pip", "26.0")]
    made = sbom.merge(PINNED, listing(packages, needed), "ff")
    assert [one["name"] for one in made["components"]] == ["click", "typing_extensions"]
    assert made["dependencies"] == [
        {"ref": "root", "dependsOn": ["click==8.5"]},
        {"ref": "click==8.5", "dependsOn": []},
        {"ref": "typing_extensions==4.16", "dependsOn": []},
    ]


def test_another_version_than_the_pinned_one_is_refused() -> None:
    with pytest.raises(sbom.SbomError, match=r"other versions than requirements.txt: click 8.6"):
        sbom.merge(PINNED, listing([LICENSED, component("click", "8.6")], {}), "ff")
