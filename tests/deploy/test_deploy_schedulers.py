"""The schedulers that start the connector: cron, systemd, Kubernetes."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from croniter import croniter
from deploy_files import DEPLOY, INSTALLED, check_command, documents, pod_of, started, unit

UNITS = sorted((DEPLOY / "systemd").iterdir())
PROGRAMS = [path for path in UNITS if path.suffix == ".service"]
MANIFESTS = {path.stem: documents(path) for path in sorted((DEPLOY / "kubernetes").iterdir())}
RUNNING = {one["metadata"]["name"]: one for found in MANIFESTS.values() for one in found if "template" in str(one)}
QUIET = (0, 4, 5, 130)


def cron_lines() -> list[tuple[str, str]]:
    """The time and the command of each line."""
    lines = (DEPLOY / "crontab").read_text(encoding="utf-8").splitlines()
    split = [line.split(maxsplit=5) for line in lines if re.match(r"[\d*]", line)]
    return [(" ".join(parts[:5]), parts[5]) for parts in split]


# -- cron --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("when", "command"), cron_lines())
def test_cron_can_read_its_lines(when: str, command: str) -> None:
    assert croniter.is_valid(when)
    assert "%" not in command, "cron makes a line break of it"
    assert check_command(started(command)) in {"sync", "doctor"}


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 130])
@pytest.mark.parametrize(("when", "command"), cron_lines())
def test_cron_mails_only_if_a_person_must_act(tmp_path: Path, when: str, command: str, code: int) -> None:
    del when
    program = tmp_path / "connector"
    program.write_text(f"#!/bin/sh\necho told; echo also >&2; exit {code}\n", encoding="utf-8")
    program.chmod(0o700)
    line = command.replace(INSTALLED, str(program)).replace("/var/lib/connector", str(tmp_path))
    ran = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False)  # noqa: S603
    quiet = code in QUIET if " sync " in command else code == 0
    assert (ran.stdout == "") is quiet
    assert ran.stderr == ""
    if not quiet:
        assert "told\nalso\n" in ran.stdout


# -- systemd -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_systemd_starts_existing_commands(path: Path) -> None:
    line = unit(path)["Service"]["ExecStart"]
    assert line.startswith(INSTALLED)
    assert check_command(started(line)) in path.name


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_systemd_services_have_few_privileges_and_stop_cleanly(path: Path) -> None:
    service = unit(path)["Service"]
    assert service["User"] not in {"", "root"}
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert service["WorkingDirectory"].endswith(f"/{service['StateDirectory']}")
    assert int(service["TimeoutStopSec"]) >= 30


def test_harmless_exit_codes_are_successes() -> None:
    service = unit(DEPLOY / "systemd" / "connector-sync.service")["Service"]
    assert service["Type"] == "oneshot"
    assert service["SuccessExitStatus"].split() == ["3", "4", "130"]
    for name in ("connector-serve.service", "connector-worker@.service"):
        assert unit(DEPLOY / "systemd" / name)["Service"]["RestartPreventExitStatus"] == "2"


def test_the_timer_starts_its_service() -> None:
    timer, service = DEPLOY / "systemd" / "connector-sync.timer", DEPLOY / "systemd" / "connector-sync.service"
    assert timer.stem == service.stem
    assert unit(timer)["Install"] == {"WantedBy": "timers.target"}
    assert "Install" not in unit(service)


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    for path in UNITS:
        text = path.read_text(encoding="utf-8").replace(INSTALLED, "/bin/true")
        (tmp_path / path.name.replace("@.", "@1.")).write_text(text, encoding="utf-8")
    files = [str(path) for path in sorted(tmp_path.iterdir())]
    ran = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)  # noqa: S603, S607
    assert [line for line in ran.stderr.splitlines() if "connector" in line] == []
    assert ran.returncode == 0


# -- Kubernetes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNNING)
def test_kubernetes_starts_existing_commands(name: str) -> None:
    (container,) = pod_of(RUNNING[name])["containers"]
    assert check_command(container["args"]) == container["name"]
    assert "command" not in container, "the image's entry point is the connector"


@pytest.mark.parametrize("name", RUNNING)
def test_pods_run_unprivileged(name: str) -> None:
    pod = pod_of(RUNNING[name])
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["terminationGracePeriodSeconds"] >= 30


@pytest.mark.parametrize("name", RUNNING)
def test_pods_mount_their_volumes(name: str) -> None:
    pod = pod_of(RUNNING[name])
    (container,) = pod["containers"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounted) == {volume["name"] for volume in pod["volumes"]}
    assert {"/data", "/data/mappings", "/tmp"} == set(mounted.values())


@pytest.mark.parametrize("name", [name for name, one in RUNNING.items() if one["kind"] == "Deployment"])
def test_deployments_select_their_pods(name: str) -> None:
    spec = RUNNING[name]["spec"]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    assert RUNNING[name]["apiVersion"] == "apps/v1"


def test_the_cronjob_never_retries_or_overlaps() -> None:
    claim, job = MANIFESTS["cronjob"]
    spec: dict[str, Any] = job["spec"]
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    assert croniter.is_valid(spec["schedule"])
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert pod_of(job)["restartPolicy"] == "Never"
    volumes = {volume["name"]: volume for volume in pod_of(job)["volumes"]}
    assert volumes["ledger"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_the_server_has_probes() -> None:
    service, deployment = MANIFESTS["serve"]
    (container,) = pod_of(deployment)["containers"]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    (port,) = container["ports"]
    assert all(probe["port"] == port["name"] for probe in probes.values())
    assert container["args"][container["args"].index("--port") + 1] == str(port["containerPort"])
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]


def test_a_worker_has_no_probe_and_all_share_the_files() -> None:
    (deployment,) = MANIFESTS["worker"]
    (container,) = pod_of(deployment)["containers"]
    assert not [key for key in container if key.endswith("Probe")]
    assert deployment["spec"]["strategy"]["type"] == "Recreate"
