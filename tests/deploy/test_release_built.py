"""The built wheel, sdist and SBOM: two builds are equal, and both packages work in an empty environment."""

import json
import re
import subprocess
import venv
from pathlib import Path

import pytest
from deploy_files import ROOT, pins_of
from release_files import (
    Release,
    build_twice,
    environment,
    git,
    run,
    sdist_files,
    sha256,
    tracked_files,
    wheel_files,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

WHERE = """\
import importlib.resources, json, sys
import connector.cli.main, connector.app.application, connector.simulator.server, connector.store.schema
files = [path for path in (getattr(module, "__file__", None) for module in list(sys.modules.values())) if path]
data = importlib.resources.files("connector.simulator") / "mappings"
print(json.dumps([connector.__file__, files, sorted(one.name for one in data.iterdir())]))
"""


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, Release]:
    base = tmp_path_factory.getbasetemp()
    return build_twice(base.parent if base.name.startswith("popen-") else base)


@pytest.fixture(scope="module")
def release(builds: tuple[Release, Release]) -> Release:
    return builds[0]


@pytest.fixture(scope="module")
def python(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel and the pinned runtime requirements."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    venv.create(folder, with_pip=True)
    made = folder / "bin" / "python"
    pip = (made, "-m", "pip", "install", "-q")
    run(*pip, "--require-hashes", "-r", ROOT / "requirements.txt", cwd=folder)
    run(*pip, "--no-deps", "--no-index", release.wheel, cwd=folder)
    return made


def test_two_builds_are_identical(builds: tuple[Release, Release]) -> None:
    first, second = (one.hashes() for one in builds)
    assert len(first) == 3
    assert first == second


def test_the_wheel_has_the_package_and_nothing_else(release: Release) -> None:
    files = wheel_files(release.wheel)
    (info,) = {name.partition("/")[0] for name in files if ".dist-info/" in name}
    assert {name for name in files if name.startswith(f"{info}/")} == {
        f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }
    package = {name for name in tracked_files() if name.startswith("connector/")}
    assert {name for name in files if not name.startswith(f"{info}/")} == package
    needed = {"connector/store/migrations/env.py", "connector/simulator/mappings/lead.yaml", "connector/py.typed"}
    assert needed <= files.keys()


def test_the_sdist_has_every_file_of_the_repository(release: Release) -> None:
    assert sdist_files(release.sdist) == tracked_files() | {"PKG-INFO"}


@pytest.mark.usefixtures("builds")
def test_local_files_are_left_out_of_both(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    archive = tmp_path / "tree.tar"
    git("archive", f"--output={archive}", git("stash", "create") or "HEAD")
    run("tar", "-xf", archive, cwd=source)
    expected = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    local = (
        ".env",
        ".venv/pyvenv.cfg",
        "connector.db",
        "connector.db.key",
        "connector-1.journal",
        "scratch.txt",
        "connector/__pycache__/main.cpython-311.pyc",
        "tests/rehearsal.db-wal",
        "tests/.env",
        "tests/.pytest_cache/README.md",
    )
    for name in local:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("local\n")
    tools = ROOT / ".release" / "tools" / "bin" / "python"
    run(tools, "-m", "build", "--no-isolation", "--outdir", tmp_path / "built", source, cwd=tmp_path)
    built = Release(tmp_path / "built")
    assert sdist_files(built.sdist) == expected | {"PKG-INFO"}
    package = {name for name in expected if name.startswith("connector/")}
    assert {name for name in wheel_files(built.wheel) if ".dist-info/" not in name} == package


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["schema"], ["demo", "--quiet"]], ids=" ".join)
def test_commands_work_from_the_wheel(python: Path, tmp_path: Path, arguments: list[str]) -> None:
    shown = run(python.with_name("connector"), *arguments, cwd=tmp_path)
    expected = {
        "--version": "connector, version ",
        "--help": "Usage: connector",
        "schema": '"$defs"',
        "demo": "0 purchases charged twice",
    }
    assert expected[arguments[0]] in shown
    assert list(tmp_path.iterdir()) == [], "these commands write no file"


def test_init_from_the_wheel_names_the_missing_settings(python: Path, tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603
        [python.with_name("connector"), "init"],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    for name in ("SALESFORCE_INSTANCE_URL", "SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET"):
        assert name in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_wheel_uses_no_file_of_the_checkout(python: Path, tmp_path: Path) -> None:
    package, files, mappings = json.loads(run(python, "-c", WHERE, cwd=tmp_path))
    site = python.parent.parent / "lib"
    assert Path(package).is_relative_to(site)
    assert [path for path in files if Path(path).is_relative_to(ROOT)] == []
    assert mappings == ["contact.yaml", "lead.yaml"]


def test_the_pins_satisfy_the_wheels_requirements(python: Path, tmp_path: Path) -> None:
    assert "No broken requirements" in run(python, "-m", "pip", "check", cwd=tmp_path)


def test_the_sdist_installs_the_same_files(release: Release, tmp_path: Path) -> None:
    target = tmp_path / "installed"
    venv.create(tmp_path / "venv", with_pip=True)
    pip = (tmp_path / "venv" / "bin" / "python", "-m", "pip", "install", "-q", "--no-deps", "--no-compile")
    run(*pip, "--target", target, release.sdist, cwd=tmp_path)
    files = wheel_files(release.wheel)
    package = {name: found for name, found in files.items() if name.startswith("connector/")}
    installed = target / "connector"
    found = {
        path.relative_to(target).as_posix(): sha256(path.read_bytes())
        for path in installed.rglob("*")
        if path.is_file()
    }
    assert found == package


def test_the_sbom_lists_exactly_the_pinned_runtime_dependencies(release: Release) -> None:
    text = release.sbom.read_text(encoding="utf-8")
    sbom = json.loads(text)
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    listed = {(plain_name(one["name"]), one["version"]) for one in sbom["components"]}
    assert listed == set(re.findall(r"^([\w.-]+)==([^ ;]+)", requirements, re.MULTILINE))
    hashes = pins_of(ROOT / "requirements.txt")
    for one in sbom["components"]:
        (reference,) = one["externalReferences"]
        assert {found["content"] for found in reference["hashes"]} == set(hashes[plain_name(one["name"])])
        assert one["licenses"], one["name"]
    assert [line for line in text.splitlines() if "://" in line and '"$schema"' not in line] == []
    assert not [name for name in ("root", "work", "home", "tmp", "Users") if f"/{name}/" in text]


def test_the_sbom_describes_this_wheel(release: Release) -> None:
    described = json.loads(release.sbom.read_text(encoding="utf-8"))["metadata"]["component"]
    assert (described["name"], described["version"]) == (
        "crm-enrichment-connector",
        release.wheel.name.split("-")[1],
    )
    assert described["hashes"] == [{"alg": "SHA-256", "content": sha256(release.wheel.read_bytes())}]


def plain_name(name: str) -> str:
    """A package's name as requirements files spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()
