"""The manifests for Kubernetes: names, ports, labels and times fit together, also as kustomize writes them. No cluster runs them."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from proxy.cli import main
from proxy.config import Config, load
from tests.deploy.durations import LATE

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "deploy/kubernetes"
TOKEN: Final = "0123456789abcdef0123"
NAME: Final = "respond-async"

Manifest = dict[str, Any]

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")


def manifest(file: str) -> Manifest:
    found: Manifest = yaml.safe_load((FOLDER / file).read_text())
    return found


KUSTOMIZATION: Final = manifest("kustomization.yaml")
STATEFUL_SET: Final = manifest("statefulset.yaml")
SERVICE: Final = manifest("service.yaml")
POLICY: Final = manifest("networkpolicy.yaml")
POD: Final = STATEFUL_SET["spec"]["template"]
[CONTAINER] = POD["spec"]["containers"]
PORTS: Final = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
MOUNTS: Final = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
SECRETS: Final = [line.partition("=")[0] for line in (FOLDER / "secret.env.example").read_text().splitlines()]


def configuration() -> Config:
    """What the pod starts with, where each secret is set and nothing else is."""
    return load(FOLDER / "proxy.yaml", dict.fromkeys(SECRETS, TOKEN))


def test_all_manifests_are_in_the_kustomization() -> None:
    files = {file.name for file in FOLDER.iterdir()} - {"secret.env"}
    generated = {*KUSTOMIZATION["configMapGenerator"][0]["files"], "secret.env.example", "kustomization.yaml"}
    assert files == {*KUSTOMIZATION["resources"]} | generated
    assert KUSTOMIZATION["secretGenerator"][0]["envs"] == ["secret.env"]


def test_the_secret_stays_out_of_the_repository_and_of_the_example() -> None:
    assert "/deploy/kubernetes/secret.env" in (ROOT / ".gitignore").read_text().splitlines()
    assert (FOLDER / "secret.env.example").read_text() == "ADMIN_TOKEN=\n"


def test_the_configuration_loads_and_listens_where_the_container_says() -> None:
    config = configuration()
    assert config.admin is not None
    assert {"http": config.listen[0].port, "admin": config.admin.port} == PORTS
    assert {address.host for address in (*config.listen, config.admin)} == {"0.0.0.0"}  # in a pod
    assert config.admin_token is not None


def test_its_command_line_exists_and_names_the_file_that_is_mounted() -> None:
    subcommand, *arguments = CONTAINER["args"]
    assert main.commands[subcommand].make_context(subcommand, [*arguments]).params
    assert Path(arguments[-1]) == Path(MOUNTS["configuration"]) / "proxy.yaml"
    [volume] = POD["spec"]["volumes"]
    generated = KUSTOMIZATION["configMapGenerator"][0]
    assert (volume["name"], volume["configMap"]["name"], generated["name"]) == ("configuration", NAME, NAME)
    assert generated["files"] == ["proxy.yaml"]


def test_the_store_is_on_the_volume_and_smaller_than_that() -> None:
    config = configuration()
    [claim] = STATEFUL_SET["spec"]["volumeClaimTemplates"]
    assert str(config.store.url) == f"sqlite://{MOUNTS[claim['metadata']['name']]}"
    size = claim["spec"]["resources"]["requests"]["storage"]
    assert config.store.max_size < int(size.removesuffix("Gi")) * 2**30


def test_there_is_one_pod_and_a_volume_for_one() -> None:
    assert STATEFUL_SET["spec"]["replicas"] == 1
    assert STATEFUL_SET["spec"]["volumeClaimTemplates"][0]["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert STATEFUL_SET["spec"]["serviceName"] == SERVICE["metadata"]["name"]


def test_kubernetes_waits_longer_than_the_service_drains() -> None:
    command, pause = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert POD["spec"]["terminationGracePeriodSeconds"] > int(pause) + configuration().drain_timeout + LATE - 1


def test_probes_ask_what_needs_no_token() -> None:
    probes = {kind: CONTAINER[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}
    paths = {kind: probe["path"] for kind, probe in probes.items()}
    assert paths == {"startup": "/readyz", "readiness": "/readyz", "liveness": "/livez"}
    assert {probe["port"] for probe in probes.values()} == {"admin"}


def test_labels_select_the_pod_and_nobody_else() -> None:
    labels = POD["metadata"]["labels"]
    assert labels == STATEFUL_SET["spec"]["selector"]["matchLabels"] == SERVICE["spec"]["selector"]
    assert labels == POLICY["spec"]["podSelector"]["matchLabels"]


def test_ports_that_are_named_are_the_containers() -> None:
    assert [port["targetPort"] for port in SERVICE["spec"]["ports"]] == ["http"]
    let_in = [port["port"] for rule in POLICY["spec"]["ingress"] for port in rule["ports"]]
    assert set(let_in) == set(PORTS)
    backend = configuration().origins["backend"].url[0].port
    assert POLICY["spec"]["egress"][0]["ports"] == [{"port": backend}]


def test_the_pod_is_locked_in_as_the_image_expects() -> None:
    pod, container = POD["spec"]["securityContext"], CONTAINER["securityContext"]
    assert f"USER {pod['runAsUser']}:{pod['runAsGroup']}" in (ROOT / "Dockerfile").read_text()
    assert (pod["runAsNonRoot"], pod["seccompProfile"]["type"]) == (True, "RuntimeDefault")
    assert container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@needs_kubectl
def test_kustomize_puts_it_together(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "kubernetes")
    (folder / "secret.env").write_text("".join(f"{name}={TOKEN}\n" for name in SECRETS))
    built = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, check=True)
    manifests = {one["kind"]: one for one in yaml.safe_load_all(built.stdout)}
    assert set(manifests) == {"ConfigMap", "Secret", "Service", "StatefulSet", "NetworkPolicy"}
    pod = manifests["StatefulSet"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["image"].endswith("/respond-async:0.1.0")
    assert container["envFrom"] == [{"secretRef": {"name": manifests["Secret"]["metadata"]["name"]}}]
    assert pod["volumes"][0]["configMap"]["name"] == manifests["ConfigMap"]["metadata"]["name"]
    assert manifests["ConfigMap"]["data"]["proxy.yaml"] == (FOLDER / "proxy.yaml").read_text()
    # kustomize can put labels into selectors, those of other pods as well: here it is to leave them as they are.
    assert manifests["NetworkPolicy"]["spec"] == POLICY["spec"]
