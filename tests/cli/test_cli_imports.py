"""What commands do not import: each library costs every start, and most commands need few of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIMULATION = {"connector.simulator", "connector.app.rehearsal"}
SERVERS = {"starlette", "uvicorn", "prometheus_client", "connector.server"}
HTTP = {"httpx", "httpcore", "requests", "urllib3", "jwt", "certifi"}
CLIENTS = {"simple_salesforce", "zeep", "lxml", "connector.crm.salesforce.client", "connector.providers.http"}
DATABASES = {"alembic", "psycopg", "procrastinate"}
RUNS = {"connector.engine.sync", "connector.engine.purchase", "connector.jobs.inline", "connector.jobs.procrastinate"}
VALUES = {"phonenumbers", "email_validator", "defusedxml", "jinja2", "pydantic_settings"}
FILES = {"ruamel", "croniter", "connector.config.mapping_file", "connector.app.mappings"}
NEVER = (
    SIMULATION
    | SERVERS
    | {"opentelemetry", "connector.net.otel", "pygments", "zeep", "lxml", "jinja2", "pydantic_settings"}
    | DATABASES
)
READING = NEVER | HTTP | CLIENTS | RUNS | VALUES | FILES | {"rich.progress", "tenacity"}
ALONE = READING | {"sqlalchemy", "cryptography", "connector.engine", "connector.store"}
IMPORTED = """
import atexit, json, sys
atexit.register(lambda: sys.stderr.write("\\n" + json.dumps(sorted(sys.modules))))
sys.argv = ["connector", *{arguments!r}]
from connector.cli.entry import main
main()
"""
LEDGER = """
from pathlib import Path
from connector.app.configuring import configure
from connector.app.wiring import open_ledger
open_ledger(configure(Path(".env"))).close()
"""
COMMANDS: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "help": (("--help",), ALONE),
    "help of a command": (("sync", "--help"), ALONE),
    "status": (("status",), READING),
    "runs": (("runs",), READING),
    "show": (("show", "latest"), READING),
    "export": (("export", "latest", "--csv", "-"), READING),
    "credits without a key": (("credits",), READING),
    "sync without settings": (("sync", "-m", str(ROOT / "mappings" / "lead.yaml")), NEVER),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty ledger."""
    made = tmp_path_factory.mktemp("imports")
    (made / ".env").write_text(f"CONNECTOR_DATABASE_URL=sqlite:///{made / 'connector.db'}\n", encoding="utf-8")
    assert run(made, LEDGER).returncode == 0
    return made


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter: one that has imported nothing."""
    own = ("CONNECTOR_", "SALESFORCE_", "LENSMOR_", "SALESFINITY_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment = {**kept, "PYTHONPATH": str(ROOT)}
    return subprocess.run(  # noqa: S603 our own code
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_import_no_library_that_they_do_not_use(folder: Path, name: str) -> None:
    arguments, unwanted = COMMANDS[name]
    done = run(folder, IMPORTED.format(arguments=arguments))
    imported = set(json.loads(done.stderr.splitlines()[-1]))
    assert "connector.cli.main" in imported, done.stderr
    assert sorted(unwanted & imported) == []
