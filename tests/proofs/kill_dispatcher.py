"""A folder with settings and a ledger, and the commands that run in it."""

import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from commands import Said
from kill_process import Fresh, Process, Warm

from connector.app.rehearsal import environment
from connector.app.wiring import Configured, open_ledger
from connector.config import Settings
from connector.simulator.server import Urls

MAPPINGS = Path(__file__).parent.parent / "mappings"
EVERYBODY = "LastName != null"
BACKFILL = (
    *("backfill", "-m", str(MAPPINGS / "lead.yaml"), "-m", str(MAPPINGS / "contact.yaml")),
    *("--where", EVERYBODY, "--yes", "--json"),
)
SYNC = ("sync", "-m", str(MAPPINGS / "lead.yaml"), "-m", str(MAPPINGS / "contact.yaml"), "--json")


class Dispatcher:
    """A folder with settings and a ledger.

    Args:
        folder: The working directory.
        urls: The addresses of the sites.
        settings: Further settings.
        way: How processes are started.

    Attributes:
        said: The output of every command that was not killed.
    """

    def __init__(self, folder: Path, urls: Urls, settings: dict[str, str], way: type[Fresh | Warm]) -> None:
        self.folder = folder
        self._way = way
        self.said: list[Said] = []
        self._spoken = folder.parent / f"{folder.name}.spoken"
        self._spoken.mkdir()
        wanted = environment(urls) | settings
        (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in wanted.items()))

    @property
    def ledger(self) -> Path:
        """The path of the ledger's file."""
        return self.folder / "connector.db"

    def start(self, *args: str) -> Process:
        """Start a command as a process of its own."""
        return self._way(args, self.folder, self._spoken)

    def finished(self, process: Process) -> Said:
        """Wait for a process that ends by itself; return its output."""
        code = process.wait()
        out, err = ((self._spoken / name).read_text(encoding="utf-8") for name in ("out", "err"))
        return self._keep(Said(code, out, err))

    def run(self, *args: str) -> Said:
        """Run a command to its end."""
        return self.finished(self.start(*args))

    def _keep(self, said: Said) -> Said:
        assert said.code in {0, 3, 4}, f"{said.code}: {said.err}"
        assert "Traceback" not in said.err
        self.said.append(said)
        return said

    def imbalance(self) -> str:
        """The imbalance of the ledger, read from a copy, so that the next process gets the original unchanged."""
        with TemporaryDirectory() as name:
            for path in self.folder.glob("connector.db*"):
                shutil.copy(path, name)
            settings = Settings(connector_database_url=f"sqlite:///{name}/connector.db", connector_secret_key=None)
            ledger = open_ledger(Configured(settings, {}, {}, None))
            try:
                return ledger.credits.imbalance()
            finally:
                ledger.close()


def wait_for(process: Process, moment: float) -> bool:
    """Wait until that time or until the process ends; return whether it still runs."""
    while process.code is None and time.monotonic() < moment:
        time.sleep(0.002)
    return process.code is None
