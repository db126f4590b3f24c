"""The pinned versions: each has the hashes of its files, is installed only with them, and names no index."""

import re
from pathlib import Path

import pytest
from deploy_files import ROOT, pins_of

RUNTIME, DEVELOPMENT, BUILD, RELEASE = (f"requirements{name}.txt" for name in ("", "-dev", "-build", "-release"))
FILES = (RUNTIME, DEVELOPMENT, BUILD, RELEASE)


@pytest.mark.parametrize("name", FILES)
def test_every_version_has_the_hashes_of_its_files(name: str) -> None:
    pins = pins_of(ROOT / name)
    assert len(pins) > (5 if name == BUILD else 50)
    assert {package: hashes for package, hashes in pins.items() if not hashes} == {}
    assert all(re.fullmatch(r"[0-9a-f]{64}", one) for hashes in pins.values() for one in hashes)


@pytest.mark.parametrize("name", FILES)
def test_no_index_address_is_named(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"://|--index|--extra-index|--find-links|--trusted-host|^-i\b", text, re.MULTILINE)


@pytest.mark.parametrize(("smaller", "larger"), [(RUNTIME, DEVELOPMENT), (BUILD, RELEASE)])
def test_pins_are_equal_in_the_file_that_includes_them(smaller: str, larger: str) -> None:
    some, more = (pins_of(ROOT / name) for name in (smaller, larger))
    assert {package: more.get(package) for package in some} == some


@pytest.mark.parametrize("name", [BUILD, RELEASE])
def test_release_tools_share_the_versions_of_development(name: str) -> None:
    found, tested = pins_of(ROOT / name), pins_of(ROOT / DEVELOPMENT)
    shared = found.keys() & tested.keys()
    assert {package: found[package] for package in shared} == {package: tested[package] for package in shared}


@pytest.mark.parametrize("file", ["tools/setup.sh", "Dockerfile"])
def test_each_installer_requires_the_hashes(file: str) -> None:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    installing = [line for line in lines if re.search(r"pip (sync|install)\b.*(requirements|\$PINS)", line)]
    assert installing
    assert all("--require-hashes" in line for line in installing)


def test_the_rule_that_computes_the_pins_computes_the_hashes() -> None:
    rule = Path(ROOT / "Makefile").read_text(encoding="utf-8").partition("\npins:")[2].partition("\n\n")[0]
    assert rule.count("pip compile") == rule.count("--generate-hashes") == len(FILES)
