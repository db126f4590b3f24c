"""Shared by the tests of a release: builds the wheel, the sdist and the SBOM of the working tree, once per session."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import clean_environment
from deploy_files import ROOT

SOMEONE = {
    "GIT_AUTHOR_NAME": "a test",
    "GIT_AUTHOR_EMAIL": "test@example.com",
    "GIT_COMMITTER_NAME": "a test",
    "GIT_COMMITTER_EMAIL": "test@example.com",
}


@dataclass(frozen=True)
class Release:
    """The files that one `make dist` has written."""

    folder: Path

    @property
    def wheel(self) -> Path:
        return self._only("*.whl")

    @property
    def sdist(self) -> Path:
        return self._only("*.tar.gz")

    @property
    def sbom(self) -> Path:
        return self._only("*.cdx.json")

    def _only(self, pattern: str) -> Path:
        (found,) = self.folder.glob(pattern)
        return found

    def hashes(self) -> dict[str, str]:
        """The hash of each written file."""
        return {path.name: sha256(path.read_bytes()) for path in sorted(self.folder.iterdir())}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wheel_files(wheel: Path) -> dict[str, str]:
    """The hash of each file in a wheel."""
    with zipfile.ZipFile(wheel) as opened:
        return {name: sha256(opened.read(name)) for name in opened.namelist()}


def sdist_files(sdist: Path) -> set[str]:
    """The names of the files in an sdist, without its folder."""
    with tarfile.open(sdist) as opened:
        return {one.name.partition("/")[2] for one in opened.getmembers() if one.isfile()}


def tracked_files() -> set[str]:
    """The files that belong to the repository; skips where there is no git checkout."""
    return {name for name in git("ls-files").splitlines() if (ROOT / name).exists()}


def git(*arguments: str) -> str:
    """The output of a git command; skips where there is no git checkout."""
    if shutil.which("git") is None:
        pytest.skip("there is no git here")
    command, known = ["git", *arguments], clean_environment() | SOMEONE
    done = subprocess.run(command, cwd=ROOT, env=known, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return done.stdout.strip()


def run(*command: str | Path, cwd: Path, more: Mapping[str, str] | None = None) -> str:
    """Run a program without the connector's settings and without PYTHONPATH; fails the test if it fails."""
    done = subprocess.run(  # noqa: S603
        list(map(str, command)), cwd=cwd, env=environment(more), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a program that must not see this checkout."""
    left_out = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    kept = {name: value for name, value in clean_environment().items() if name not in left_out}
    return kept | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", **(more or {})}


def require_index(folder: Path) -> None:
    """Skip the test if no package index can be reached; with CI=true it fails instead."""
    pin = next(line for line in (ROOT / "requirements-build.txt").read_text().splitlines() if "==" in line)
    wanted = re.split(r"[ ;\\]", pin)[0]
    venv.create(folder, with_pip=True)
    tried = subprocess.run(  # noqa: S603
        [folder / "bin" / "pip", "download", "-q", "--no-deps", "--no-cache-dir", "-d", folder, wanted],
        env=environment({"PIP_RETRIES": "1"}),
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode == 0:
        return
    if os.environ.get("CI") == "true" or "No matching distribution found" not in tried.stderr:
        pytest.fail(f"pip cannot fetch {wanted}:\n{tried.stderr}")
    pytest.skip(f"no package index can be reached: pip finds no {wanted}")


def build_twice(folder: Path) -> tuple[Release, Release]:
    """Build the working tree twice; the workers of one session share the builds.

    Files that git does not know are left out, as in a release.
    """
    pair = Release(folder / "first"), Release(folder / "second")
    with (folder / "release.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "release.done"
        if not done.exists():
            require_index(folder / "index")
            tree = git("stash", "create") or "HEAD"
            for release in pair:
                target = (f"DIST={release.folder}", f"PYTHON={sys.executable}")
                run("make", "dist", *target, cwd=ROOT, more={"TREE": tree})
            done.touch()
    return pair
