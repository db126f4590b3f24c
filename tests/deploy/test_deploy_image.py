"""The image: its contents, its user, and its health check."""

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
    """Load the health check, which is a separate file in the image, not a module of the package."""
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


def test_two_build_stages_from_the_same_slim_python() -> None:
    images = [rest.split()[0] for rest in values("FROM", STEPS)]
    assert len(images) == 2
    assert len(set(images)) == 1
    assert re.fullmatch(r"python:3\.(\d+)-slim", images[0])


def test_versions_are_pinned() -> None:
    installs = [rest.partition("pip install ")[2] for rest in values("RUN", STEPS) if "pip install" in rest]
    assert installs == [
        "--require-hashes -r /src/requirements.txt",
        "--require-hashes -r /src/requirements-build.txt",
        "--no-deps --no-index /wheels/*.whl",
    ]
    assert {"procrastinate", "psycopg", "psycopg-binary"} <= pins_of(ROOT / "requirements.txt").keys()


def test_the_connector_is_installed_from_its_wheel() -> None:
    (build,) = [rest for rest in values("RUN", STEPS) if "pip wheel" in rest]
    wheel, _, install = build.partition(" && ")
    assert {"--no-deps", "--no-build-isolation", "/src"} <= set(wheel.split()), "only the pinned tool builds it"
    assert wheel.startswith("/opt/build/bin/pip")
    assert install.startswith("/opt/connector/bin/pip")
    assert "pip" not in " ".join(values("RUN", FINAL))
    assert [rest for rest in values("COPY", FINAL) if rest.startswith("--from")] == [
        "--from=build /opt/connector /opt/connector"
    ]


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


def test_entry_point_and_health_check() -> None:
    assert [json.loads(rest) for rest in values("ENTRYPOINT", FINAL)] == [["connector"]]
    (check,) = values("HEALTHCHECK", FINAL)
    command = json.loads(check.partition("CMD ")[2])
    assert command[0] == "python"
    assert any(rest.endswith(f" {command[1]}") for rest in values("COPY", FINAL)), "the script must be in the image"


@pytest.mark.parametrize("source", COPIED)
def test_every_copied_source_exists_and_is_in_the_context(source: str) -> None:
    assert (ROOT / source).exists()
    assert f"!{source}" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def test_the_context_contains_only_named_files() -> None:
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
def test_a_server_that_answers_is_healthy(port: int, words: str) -> None:
    line = f"python connector serve -m lead {words.format(port)}"
    assert healthcheck.is_healthy(line.split())


@pytest.mark.parametrize("port", [500], indirect=True)
def test_a_server_with_an_error_answer_is_unhealthy(port: int) -> None:
    assert not healthcheck.is_healthy(["connector", "serve", "--port", str(port)])


def test_a_silent_server_is_unhealthy() -> None:
    with HTTPServer(("127.0.0.1", 0), _Answering) as server:
        port = server.server_port
    assert not healthcheck.is_healthy(["connector", "serve", "--port", str(port)])


@pytest.mark.parametrize("command", ["worker -m lead", "sync -m lead -m contact"])
def test_other_commands_are_not_checked(command: str) -> None:
    assert healthcheck.is_healthy(["python", "connector", *command.split()])


def test_the_default_port_is_that_of_the_command() -> None:
    from connector.cli.serve import serve

    defaults = {option.name: option.default for option in serve.params}
    assert defaults["port"] == 8080
    assert defaults["host"] == "127.0.0.1"
    text = (DEPLOY / "healthcheck.py").read_text(encoding="utf-8")
    assert f'"--port", "{defaults["port"]}"' in text
    assert f'"--host", "{defaults["host"]}"' in text


def test_the_labels_match_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    label = " ".join(values("LABEL", FINAL))
    assert f'image.title="{project["name"]}"' in label
    assert f'image.licenses="{project["license"]}"' in label


def test_the_changelog_starts_with_the_version_and_its_date() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    unreleased = [one for one in sections if one.endswith("(unreleased)")]
    newest = next(one for one in sections if one not in unreleased)
    assert re.fullmatch(re.escape(project["version"]) + r" \(2\d{3}-\d\d-\d\d\)", newest)
    assert sections.index(newest) == len(unreleased) <= 1


def test_the_package_has_its_licence_and_no_project_address() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "MIT"
    (name,) = project["license-files"]
    assert "the connector's contributors" in (ROOT / name).read_text(encoding="utf-8")
    assert "urls" not in project
    assert "://" not in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
