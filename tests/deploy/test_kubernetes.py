"""The manifests agree with one another, with the image and with the service's settings."""

import re
import tomllib
from typing import Any

from ruamel.yaml import YAML

from app.main import create_app
from app.settings import Settings, load_settings
from tests.engines import PROJECT

MANIFESTS: dict[str, Any] = {
    manifest["kind"]: manifest for manifest in YAML(typ="safe").load_all(PROJECT / "deploy/kubernetes.yaml")
}
POD: Any = MANIFESTS["Deployment"]["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]
ENVIRONMENT: dict[str, str] = {variable["name"]: variable["value"] for variable in CONTAINER["env"]}
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
# What a process takes to leave once its last request is answered.
SECONDS_TO_LEAVE = 5


def seconds(setting: str) -> float:
    """The setting as the pod has it: from its environment, else its default."""
    return float(ENVIRONMENT.get(f"PLAYLISTS_{setting.upper()}", Settings.model_fields[setting].default))


def test_probes_ask_for_paths_that_there_are_on_the_port_that_there_is() -> None:
    probes = {kind: CONTAINER[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    [port] = CONTAINER["ports"]

    assert {kind: probe["path"] for kind, probe in probes.items()} == {
        "startup": "/livez",
        "liveness": "/livez",
        "readiness": "/readyz",
    }
    assert {probe["path"] for probe in probes.values()} <= create_app(load_settings(auth="none")).openapi()[
        "paths"
    ].keys()
    assert {probe["port"] for probe in probes.values()} == {port["name"]}


def test_ports_of_image_pod_service_and_scraping_agree() -> None:
    [port] = CONTAINER["ports"]
    [service_port] = MANIFESTS["Service"]["spec"]["ports"]
    annotations = MANIFESTS["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    command = re.search(r'^CMD .*"--port", "(\d+)"', DOCKERFILE, re.MULTILINE)
    exposed = re.search(r"^EXPOSE (\d+)", DOCKERFILE, re.MULTILINE)

    assert command
    assert exposed
    assert {command[1], exposed[1], annotations["prometheus.io/port"]} == {str(port["containerPort"])}
    assert service_port["targetPort"] == port["name"]


def test_everything_selects_the_pods_of_the_deployment() -> None:
    labels = MANIFESTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    spread = [constraint["labelSelector"]["matchLabels"] for constraint in POD["topologySpreadConstraints"]]

    assert MANIFESTS["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert MANIFESTS["Service"]["spec"]["selector"] == labels
    assert MANIFESTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert all(selected == labels for selected in spread)
    assert POD["serviceAccountName"] == MANIFESTS["ServiceAccount"]["metadata"]["name"]


def test_grace_period_covers_the_drain_and_the_grace_for_requests_in_flight() -> None:
    needed = seconds("drain_seconds") + seconds("shutdown_grace_seconds") + SECONDS_TO_LEAVE

    assert POD["terminationGracePeriodSeconds"] >= needed
    assert "lifecycle" not in CONTAINER


def test_image_is_of_the_version_of_the_package() -> None:
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]

    assert CONTAINER["image"] == f"playlist-service:{version}"


def test_every_variable_of_the_service_is_a_setting() -> None:
    known = {f"PLAYLISTS_{name.upper()}" for name in Settings.model_fields}

    assert {name for name in ENVIRONMENT if name.startswith("PLAYLISTS_")} <= known
    assert ENVIRONMENT["PLAYLISTS_TABLE_NAME"] == Settings.model_fields["table_name"].default


def test_pod_runs_as_the_user_of_the_image_with_nothing_to_gain() -> None:
    user = re.search(r"^USER (\d+):(\d+)", DOCKERFILE, re.MULTILINE)
    security, container = POD["securityContext"], CONTAINER["securityContext"]

    assert user
    assert (security["runAsUser"], security["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert POD["automountServiceAccountToken"] is False
