"""`tools/setup.sh` on incomplete machines: it names the remedy, and never marks a partial set-up as complete.

Each test copies the script and the Makefile into a folder with a tiny project, and puts replacements for uv, id and
uname first in PATH. Nothing is downloaded: pip has no index here.
"""

import ensurepip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deploy_files import ROOT

BACKEND = """\
import os, pathlib, zipfile

def get_requires_for_build_editable(config_settings=None):
    return []

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    pathlib.Path("pip-cert").write_text(os.environ.get("PIP_CERT", ""))
    name = "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / name, "w") as wheel:
        wheel.writestr("tiny.py", "HERE = True\\n")
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    return name
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
REAL_UV = f"""\
case "$1 $2" in
  "--version "*) echo "uv 0.0" ;;
  "venv "*) echo "$UV_SYSTEM_CERTS$UV_NATIVE_TLS" > certs; exec "{sys.executable}" -m venv --without-pip "$VENV" ;;
  "pip "*) exit 0 ;;
esac
"""


class Machine:
    """A folder with a tiny project, and replacements for system programs.

    Args:
        folder: its path, which contains a blank.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "programs"
        (folder / "tools").mkdir(parents=True)
        self.programs.mkdir()
        shutil.copy(ROOT / "tools" / "setup.sh", folder / "tools")
        shutil.copy(ROOT / "Makefile", folder)
        (folder / "pyproject.toml").write_text(PROJECT)
        (folder / "backend.py").write_text(BACKEND)
        for name in ("requirements.txt", "requirements-dev.txt"):
            (folder / name).write_text("# nothing\n")

    def program(self, name: str, script: str) -> Path:
        """Add a program that replaces the system's."""
        return _executable(self.programs / name, script)

    def uv(self, script: str) -> None:
        """Add a uv from an earlier set-up."""
        _executable(self.folder / ".uv" / "bin" / "uv", script)

    def setup(self, *arguments: str, **more_environment: str) -> subprocess.CompletedProcess[str]:
        """Run `make setup`."""
        ours = ("PIP_", "UV_", "REQUESTS_CA_BUNDLE", "SSL_CERT_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | more_environment
        more = {"PATH": f"{self.programs}:{kept['PATH']}", "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
        return subprocess.run(  # noqa: S603 our own Makefile
            ["make", "setup", *(arguments or (f"PYTHON={sys.executable}",))],  # noqa: S607
            cwd=self.folder,
            env=kept | more,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def is_stamped(self) -> bool:
        """Whether make considers the set-up complete."""
        return (self.folder / ".venv" / ".installed").exists()

    @property
    def is_installed(self) -> bool:
        """Whether the project can be imported."""
        python = self.folder / ".venv" / "bin" / "python"
        return subprocess.run([python, "-c", "import tiny"], check=False).returncode == 0  # noqa: S603


def _executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    return Machine(tmp_path / "a folder")


def test_uv_installs_with_the_certificates_of_the_system(machine: Machine) -> None:
    machine.uv(REAL_UV)
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert machine.is_stamped
    assert "pip instead" not in done.stderr
    assert (machine.folder / "certs").read_text().strip() == "11"
    assert machine.setup().stderr == "", "a second make has nothing to do"


@pytest.mark.parametrize(
    ("uv", "reason"),
    [
        pytest.param(None, "No matching distribution found for uv", marks=pytest.mark.long),
        pytest.param("exit 1", "No matching distribution found for uv", marks=pytest.mark.long),
        (
            '[ "$1" = --version ] && exit 0; '
            'printf "error: failed\\n  Caused by: invalid peer certificate: UnknownIssuer\\n"; exit 2',
            "Caused by: invalid peer certificate: UnknownIssuer",
        ),
        pytest.param(
            '[ "$1" = --version ] && exit 0; [ "$1" = venv ] && exit 0; '
            'printf "error: no answer from https://name:word@index.example.com\\n\\n"; exit 1',
            "error: no answer from https://index.example.com",
            marks=pytest.mark.long,
        ),
        pytest.param('[ "$1" = --version ] && exit 0; exit 1', "it gave no reason", marks=pytest.mark.long),
    ],
    ids=["cannot be installed", "does not start", "does not trust the CA", "cannot resolve", "says nothing"],
)
def test_pip_is_used_if_uv_cannot_be_installed(machine: Machine, uv: str | None, reason: str) -> None:
    if uv is not None:
        machine.uv(uv)
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert (
        f"setup: uv cannot install here ({'ERROR: ' if 'matching' in reason else ''}{reason}): using pip" in done.stderr
    )
    assert "word" not in done.stderr
    assert machine.is_stamped
    assert machine.is_installed


@pytest.mark.long
@pytest.mark.parametrize("variables", [{}, {"PIP_CERT": "own.pem"}, {"REQUESTS_CA_BUNDLE": "own.pem"}])
def test_an_older_pip_trusts_the_certificates_of_the_system(machine: Machine, variables: dict[str, str]) -> None:
    bundle = machine.folder / "company.pem"
    bundle.write_text("")
    machine.uv('[ "$1" = --version ] && exit 0; exit 1')
    done = machine.setup(SSL_CERT_FILE=str(bundle), **variables)
    assert done.returncode == 0, done.stderr
    is_old = tuple(map(int, ensurepip.version().split(".")[:2])) < (24, 2)
    expected = variables.get("PIP_CERT", str(bundle) if is_old and not variables else "")
    assert (machine.folder / "pip-cert").read_text() == expected


@pytest.mark.long
def test_no_stamp_if_both_fail(machine: Machine) -> None:
    machine.uv("exit 1")
    (machine.folder / "requirements-dev.txt").write_text(f"no-such-package-of-ours==1.0 --hash=sha256:{0:064}\n")
    done = machine.setup()
    assert done.returncode != 0
    assert "No matching distribution found for no-such-package-of-ours" in done.stderr
    assert "SSL_CERT_FILE" in done.stderr
    assert not machine.is_stamped


def test_an_interrupted_set_up_removes_the_old_stamp(machine: Machine) -> None:
    machine.uv('[ "$1" = --version ] && exit 0; kill -TERM "$PPID"; exit 1')
    (machine.folder / ".venv").mkdir()
    (machine.folder / ".venv" / ".installed").touch()
    os.utime(machine.folder / ".venv" / ".installed", (1, 1))
    done = machine.setup()
    assert done.returncode != 0
    assert "interrupted; run make again" in done.stderr
    assert not machine.is_stamped


def test_a_python_without_venv_is_named_with_its_remedy(machine: Machine) -> None:
    machine.program("id", "echo 1000")
    python = machine.program("bare-python", f'case "$2" in *ensurepip*) exit 1;; esac; exec "{sys.executable}" "$@"')
    done = machine.setup(f"PYTHON={python.name}")
    assert "this Python lacks venv: run 'sudo apt-get install python3-venv'" in done.stderr
    assert not machine.is_stamped


def test_a_named_old_python_is_not_replaced(machine: Machine) -> None:
    machine.program("old-python", "exit 1")
    done = machine.setup("PYTHON=old-python")
    assert "Python 3.11 or newer is needed; name one with: make PYTHON=" in done.stderr


def test_a_newer_python_is_found(machine: Machine) -> None:
    machine.uv(REAL_UV)
    machine.program("python3", "exit 1")
    for name in ("python3.14", "python3.13", "python3.12"):
        machine.program(name, "exit 1")
    machine.program("python3.11", f'exec "{sys.executable}" "$@"')
    done = machine.setup("PYTHON=python3")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("system", ["MINGW64_NT-10.0", "MSYS_NT-10.0", "CYGWIN_NT-10.0"])
def test_windows_is_directed_to_wsl(machine: Machine, system: str) -> None:
    machine.program("uname", f"echo {system}")
    done = machine.setup()
    assert done.returncode != 0
    assert "install WSL (wsl --install), then run make inside it" in done.stderr
