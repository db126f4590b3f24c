"""The image: what it is made of, who it runs as, and how it says that it is well."""

import importlib.util
import json
import re
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import ModuleType

import pytest
from deploy_files import DEPLOY, ROOT, instructions, pins_of


def script() -> ModuleType:
    """The health check; it is no module of the package, for the image holds it as a file of its own."""
    spec = importlib.util.spec_from_file_location("healthcheck", DEPLOY / "healthcheck.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


healthcheck = script()
STEPS = list(instructions(ROOT / "Dockerfile"))
FINAL = STEPS[max(at for at, (word, _) in enumerate(STEPS) if word == "FROM") :]
COPIED = [
    source for word, rest in STEPS if word == "COPY" and not rest.startswith("--from") for source in rest.split()[:-1]
]


def values(word: str, steps: list[tuple[str, str]]) -> list[str]:
    return [rest for found, rest in steps if found == word]


def test_two_stages_from_the_same_slim_python() -> None:
    images = [rest.split()[0] for rest in values("FROM", STEPS)]
    assert len(images) == 2
    assert len(set(images)) == 1
    assert re.fullmatch(r"python:3\.(\d+)-slim", images[0])


def test_the_versions_are_the_pinned_ones() -> None:
    installs = [rest for rest in values("RUN", STEPS) if "pip install" in rest]
    expected = ("--require-hashes -r /src/requirements.txt", "--no-deps /src")
    assert [words in rest for words, rest in zip(expected, installs, strict=True)] == [True, True]
    assert {"procrastinate", "psycopg", "psycopg-binary"} <= pins_of(ROOT / "requirements.txt").keys()


def test_it_does_not_run_as_root() -> None:
    (user,) = values("USER", FINAL)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "a number: Kubernetes cannot tell a name from root"
    words = [word for word, _ in FINAL]
    assert words.index("USER") > max(at for at, word in enumerate(words) if word in {"RUN", "COPY"})
    assert f"-o {user.partition(':')[0]} " in " ".join(values("RUN", FINAL)), "it must own its volume"


def test_nothing_is_fetched_by_address() -> None:
    assert not values("ADD", STEPS)
    assert not [rest for _, rest in STEPS if "://" in rest]


def test_the_ledger_outlives_the_container() -> None:
    assert values("VOLUME", FINAL) == values("WORKDIR", FINAL) == ["/data"]


def test_it_is_the_connector_and_tells_when_it_is_well() -> None:
    assert [json.loads(rest) for rest in values("ENTRYPOINT", FINAL)] == [["connector"]]
    (check,) = values("HEALTHCHECK", FINAL)
    command = json.loads(check.partition("CMD ")[2])
    assert command[0] == "python"
    assert any(rest.endswith(f" {command[1]}") for rest in values("COPY", FINAL)), "the script must be in the image"


@pytest.mark.parametrize("source", COPIED)
def test_every_copied_source_exists_and_reaches_the_builder(source: str) -> None:
    assert (ROOT / source).exists()
    assert f"!{source}" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def test_only_what_is_named_reaches_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {line[1:] for line in rules if line.startswith("!")} == set(COPIED)
    assert {"**/.env", "**/*.db", "**/*.key"} <= set(rules)


class _Answering(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        del format, args


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[int]:
    monkeypatch.setattr(_Answering, "status", getattr(request, "param", 200))
    with HTTPServer(("127.0.0.1", 0), _Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("words", ["--port {}", "--port={} --host 0.0.0.0", "--host 127.0.0.1 --port {}"])
def test_a_server_is_well_while_it_answers(port: int, words: str) -> None:
    line = f"python connector serve -m lead {words.format(port)}"
    assert healthcheck.is_well(line.split())


@pytest.mark.parametrize("port", [500], indirect=True)
def test_a_server_that_answers_otherwise_is_not_well(port: int) -> None:
    assert not healthcheck.is_well(["connector", "serve", "--port", str(port)])


def test_a_server_that_does_not_answer_is_not_well() -> None:
    with HTTPServer(("127.0.0.1", 0), _Answering) as server:
        port = server.server_port
    assert not healthcheck.is_well(["connector", "serve", "--port", str(port)])


@pytest.mark.parametrize("command", ["worker -m lead", "sync -m lead -m contact"])
def test_what_serves_nothing_is_not_asked(command: str) -> None:
    assert healthcheck.is_well(["python", "connector", *command.split()])


def test_the_default_port_is_the_commands_own() -> None:
    from connector.cli.serve import serve

    defaults = {option.name: option.default for option in serve.params}
    assert defaults["port"] == 8080
    assert defaults["host"] == "127.0.0.1"
    text = (DEPLOY / "healthcheck.py").read_text(encoding="utf-8")
    assert f'"--port", "{defaults["port"]}"' in text
    assert f'"--host", "{defaults["host"]}"' in text


def test_the_labels_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    label = " ".join(values("LABEL", FINAL))
    assert f'image.version="{project["version"]}"' in label
    assert f'image.licenses="{project["license"]}"' in label


def test_the_changelog_begins_with_the_version_and_its_day() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (.+)$", changelog, re.MULTILINE)
    assert newest is not None
    assert re.fullmatch(re.escape(project["version"]) + r" \(2\d{3}-\d\d-\d\d\)", newest.group(1))


def test_the_package_carries_its_licence_and_no_address_of_a_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "MIT"
    (name,) = project["license-files"]
    assert "the connector's contributors" in (ROOT / name).read_text(encoding="utf-8")
    assert "urls" not in project
    assert "://" not in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
