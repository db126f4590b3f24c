"""compose.yaml and the settings file beside it."""

import re
from typing import Any

import pytest
from deploy_files import DEPLOY, ROOT, check_command, documents, env_names, setting_names

(COMPOSE,) = documents(DEPLOY / "compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if name != "postgres"}


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


@pytest.mark.parametrize("name", OURS)
def test_started_commands_exist(name: str) -> None:
    assert check_command(OURS[name]["command"]) == name


def test_a_server_two_workers_and_a_database() -> None:
    assert set(SERVICES) == {"postgres", "serve", "worker"}
    assert SERVICES["worker"]["deploy"]["replicas"] == 2
    assert re.fullmatch(r"postgres:\d+", SERVICES["postgres"]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_services_restart_and_stop_cleanly(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert seconds(SERVICES[name]["stop_grace_period"]) >= 30


@pytest.mark.parametrize("name", OURS)
def test_our_services_wait_for_the_database_and_have_few_privileges(name: str) -> None:
    service = OURS[name]
    assert service["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert "pg_isready" in SERVICES["postgres"]["healthcheck"]["test"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["build"]["context"] == ".."
    assert (ROOT / "Dockerfile").is_file()


def test_the_port_is_published_only_on_loopback() -> None:
    words = SERVICES["serve"]["command"]
    (published,) = SERVICES["serve"]["ports"]
    assert published == f"127.0.0.1:8080:{words[words.index('--port') + 1]}"
    assert "ports" not in SERVICES["postgres"]


def test_used_volumes_are_declared() -> None:
    used = {volume.partition(":")[0] for service in SERVICES.values() for volume in service["volumes"]}
    assert {name for name in used if not name.startswith(".")} == set(COMPOSE["volumes"])
    assert (DEPLOY / next(name for name in used if name.startswith("."))).is_dir()


def test_every_name_is_a_setting() -> None:
    given = {name for service in OURS.values() for name in service["environment"]}
    assert given <= setting_names()
    assert env_names(DEPLOY / "example.env") - setting_names() == {"POSTGRES_PASSWORD"}


def test_secrets_are_only_in_the_settings_file() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{(\w+)", text))
    assert asked == {"POSTGRES_PASSWORD"}
    assert asked <= env_names(DEPLOY / "example.env")
    assert all(service["env_file"] == ".env" for service in OURS.values())
    lines = (DEPLOY / "example.env").read_text(encoding="utf-8").splitlines()
    assert all(line.endswith("=") for line in lines if line and not line.startswith("#"))


def test_git_ignores_the_settings_file() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
