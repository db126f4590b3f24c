"""The code runs on macOS and Linux, without Linux-only calls or a newer bash; Windows gets a clear message."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from connector.cli.entry import WINDOWS_TEXT

ROOT = Path(__file__).parent.parent
LINUX_ONLY_NAMES = {
    "SO_REUSEPORT",
    "SOCK_CLOEXEC",
    "SOCK_NONBLOCK",
    "TCP_KEEPIDLE",
    "TCP_USER_TIMEOUT",
    "SO_BINDTODEVICE",
    "accept4",
    "copy_file_range",
    "epoll",
    "eventfd",
    "fallocate",
    "fdatasync",
    "getrandom",
    "inotify",
    "memfd_create",
    "pidfd_open",
    "pidfd_send_signal",
    "pipe2",
    "posix_fadvise",
    "posix_fallocate",
    "prctl",
    "sched_getaffinity",
    "sched_setaffinity",
    "sendfile",
    "sigtimedwait",
    "sigwaitinfo",
    "signalfd",
    "splice",
    "timerfd_create",
    "O_DIRECT",
    "O_TMPFILE",
    "RLIMIT_OFILE",
}
LINUX_ONLY_PATHS = ("/proc", "/sys/", "/dev/shm", "/run/")
# The image always runs Linux: its health check reads the command line of the first process.
IN_THE_IMAGE_ONLY = {"deploy/healthcheck.py"}
GNU_ONLY = re.compile(
    r"\bsed -r|\bsed -i |\bdate -d|\breadlink -f|\bgrep -P|\bstat -c|\bxargs -r|\bcp --|\bfind -printf|\bmktemp --"
    r"|\bnproc\b|\bsha256sum\b|(?<![-\w.])timeout \d"
)
BASH_4 = re.compile(
    r"\bmapfile\b|\breadarray\b|\b(declare|local) -A\b|\bcoproc\b|\|&|&>>|\$\{\w+(,,|\^\^|@)|\bwait -n\b"
)
SHELL = ("Makefile", ".ci/run", *(f"tools/{path.name}" for path in (ROOT / "tools").glob("*.sh")))


def python_files() -> list[Path]:
    folders = ("connector", "benchmarks", "tools", "deploy")
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def linux_only(source: str) -> Iterator[str]:
    """The Linux-only names and paths in a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in LINUX_ONLY_NAMES:
            yield node.attr
        elif isinstance(node, ast.alias) and node.name in LINUX_ONLY_NAMES:
            yield node.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(LINUX_ONLY_PATHS):
            yield node.value


def test_no_calls_are_linux_only() -> None:
    portable = [path for path in python_files() if path.relative_to(ROOT).as_posix() not in IN_THE_IMAGE_ONLY]
    found = {path: list(linux_only(path.read_text(encoding="utf-8"))) for path in portable}
    assert {path: calls for path, calls in found.items() if calls} == {}


def test_the_search_finds_linux_only_calls() -> None:
    for source in (
        "os.sched_getaffinity(0)",
        "from signal import pidfd_send_signal",
        "open('/proc/self/fd')",
        "os.posix_fallocate",
    ):
        assert list(linux_only(source)), source


def test_scripts_use_only_features_of_macos() -> None:
    lines = [(name, line) for name in SHELL for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    assert [(name, line) for name, line in lines if GNU_ONLY.search(line)] == []
    assert [(name, line) for name, line in lines if BASH_4.search(line)] == []


def test_the_search_finds_newer_shells() -> None:
    for line in ("sed -r 's/a/b/'", "readlink -f .", "date -d yesterday", "timeout 5 true"):
        assert GNU_ONLY.search(line), line
    for line in ("mapfile -t rows", 'echo "${name,,}"', "declare -A found"):
        assert BASH_4.search(line), line


def test_the_peak_memory_of_a_benchmark_has_the_systems_unit() -> None:
    assert "darwin" in (ROOT / "benchmarks" / "processes.py").read_text(encoding="utf-8")


WINDOWS = """\
import sys
for name in ("fcntl", "pwd", "resource", "click", "rich", "sqlalchemy"):
    sys.modules[name] = None  # importing it fails
from connector.cli.entry import main
sys.platform = "win32"
main()
"""


def test_windows_gets_a_message_before_any_import() -> None:
    done = subprocess.run([sys.executable, "-c", WINDOWS], capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{WINDOWS_TEXT}\n"
    assert "WSL" in WINDOWS_TEXT


def test_the_console_script_starts_at_the_entry_module() -> None:
    assert 'connector = "connector.cli.entry:main"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
