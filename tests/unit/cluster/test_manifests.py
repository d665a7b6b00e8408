"""The files for several hosts agree with each other and with the pins."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.tools.environment import DEFAULTS, PACKAGES

ROOT = Path(__file__).resolve().parents[3]
CLUSTER = ROOT / "cluster"
DOCKERFILE = (CLUSTER / "Dockerfile").read_text()


def documents(name: str) -> dict[str, Any]:
    """Kind to document."""
    loaded = yaml.safe_load_all((CLUSTER / "kuberay" / name).read_text())
    return {document["kind"]: document for document in loaded}


RAY_UP = yaml.safe_load((CLUSTER / "ray-up.yaml").read_text())
RAY_CLUSTER = documents("raycluster.yaml")
RAY_JOB = documents("rayjob.yaml")["RayJob"]


@pytest.fixture(scope="module")
def pinned_ray() -> str:
    found = re.search(r"^ray\[.*\]==(\S+)$", (ROOT / "requirements.txt").read_text(), re.M)
    assert found
    return found[1]


def containers() -> list[dict[str, Any]]:
    spec = RAY_CLUSTER["RayCluster"]["spec"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    return [c for group in groups for c in group["template"]["spec"]["containers"]]


def test_every_file_names_the_pinned_ray(pinned_ray: str) -> None:
    assert f"FROM rayproject/ray:{pinned_ray}-py311" in DOCKERFILE
    assert RAY_CLUSTER["RayCluster"]["spec"]["rayVersion"] == pinned_ray
    assert f"Ray {pinned_ray}" in (CLUSTER / "README.md").read_text()


def test_the_job_has_the_standing_cluster() -> None:
    assert RAY_JOB["spec"]["rayClusterSpec"] == RAY_CLUSTER["RayCluster"]["spec"]


def test_one_image_everywhere() -> None:
    images = {container["image"] for container in containers()} | {RAY_UP["docker"]["image"]}
    assert len(images) == 1
    (image,) = images
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert version
    assert image.endswith(f"/deepstock:{version[1]}")
    assert f"-t {image}" in DOCKERFILE


def test_the_image_holds_the_packages_and_their_environment() -> None:
    for package in PACKAGES:
        assert f"COPY --chown=ray:users {package} {package}" in DOCKERFILE
    for name, value in DEFAULTS.items():
        assert f"{name}={value}" in DOCKERFILE


def test_all_nodes_mount_the_folder_that_the_job_uses() -> None:
    mounts = [m["mountPath"] for container in containers() for m in container["volumeMounts"]]
    assert mounts == ["/mnt/deepstock"] * len(containers())
    assert any("/mnt/deepstock:" in option for option in RAY_UP["docker"]["run_options"])
    for option in ("--data", "--out"):
        assert f"{option} /mnt/deepstock/" in RAY_JOB["spec"]["entrypoint"]


def test_the_token_reaches_every_node() -> None:
    assert RAY_CLUSTER["RayCluster"]["spec"]["authOptions"] == {"mode": "token"}
    assert RAY_UP["file_mounts"] == {"/home/ray/.ray/auth_token": "~/.ray/auth_token"}
