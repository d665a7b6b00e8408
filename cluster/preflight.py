"""Checks before anything long starts. Each failure is a ClusterError that says what to do."""

from __future__ import annotations

import hashlib
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster import host
from cluster.host import GIB
from envs.errors import ClusterError
from pipeline.tools.environment import foreign_package


@dataclass(frozen=True)
class Needs:
    """What a job needs at least.

    Attributes:
        cpus: CPUs of the whole cluster.
        memory_gib: Memory available on this host, in GiB.
        disk_gib: Free disk where the results go, in GiB.
    """

    cpus: float = 1.0
    memory_gib: float = 2.0
    disk_gib: float = 1.0


@dataclass(frozen=True)
class NodeReport:
    """What one node says about itself.

    Attributes:
        node: Its IP address and the first letters of its id.
        python, ray, torch, numpy: Versions.
        foreign: What is wrong with the packages it imports, or None.
        manifest: SHA-256 of the data set's manifest as this node reads it, or the error.
    """

    node: str
    python: str
    ray: str
    torch: str
    numpy: str
    foreign: str | None
    manifest: str | None

    VERSIONS = ("python", "ray", "torch", "numpy")


def check_host(needs: Needs, out: Path) -> None:
    """Check this host: the packages imported, free disk under ``out``, available memory.

    Raises:
        ClusterError: For the first check that fails.
    """
    problem = foreign_package()
    if problem:
        raise ClusterError("packages", "import path", "Correct that first.", problem=problem)
    folder = next(parent for parent in (out.resolve(), *out.resolve().parents) if parent.exists())
    free = shutil.disk_usage(folder).free / GIB
    if free < needs.disk_gib:
        raise ClusterError(
            "free disk",
            f"{free:.1f} GiB at {folder}",
            "Free some, or choose another folder with --out.",
            problem=f"is less than the {needs.disk_gib:g} GiB that this job writes",
        )
    memory = host.available_memory() / GIB
    if memory < needs.memory_gib:
        raise ClusterError(
            "available memory",
            f"{memory:.1f} GiB",
            "Stop other programs, choose a smaller preset, or join a cluster with RAY_ADDRESS.",
            problem=f"is less than the {needs.memory_gib:g} GiB that this job takes",
        )


def check_cluster(
    needs: Needs, data: Path | None = None, *, timeout_s: float = 120.0
) -> list[NodeReport]:
    """Check the connected cluster: enough CPUs; on every node the same software and data.

    Args:
        needs: What the job needs.
        data: Data set that every node must be able to read, or None.
        timeout_s: How long the nodes may take to answer.

    Returns:
        One report per living node, in the order of their addresses.

    Raises:
        ClusterError: For the first check that fails.
    """
    cpus = float(ray.cluster_resources().get("CPU", 0.0))
    if cpus < needs.cpus:
        raise ClusterError(
            "CPUs of the cluster",
            f"{cpus:g}",
            "Add nodes, or choose a smaller preset.",
            problem=f"are fewer than the {needs.cpus:g} that this job needs",
        )
    mine = _report("this process", data)
    if data is not None and mine.manifest is not None and mine.manifest.startswith("error"):
        raise ClusterError(
            "data",
            str(data),
            "Give a folder that `python -m pipeline data make` or `import` wrote.",
            problem=f"has no readable manifest.json ({mine.manifest})",
        )
    reports = _ask_nodes(data, timeout_s)
    check_reports(mine, reports, data)
    return reports


def check_reports(mine: NodeReport, reports: list[NodeReport], data: Path | None) -> None:
    """Raise ClusterError unless every node's report agrees with this process's own."""
    for report in reports:
        if report.foreign:
            raise ClusterError(
                "packages", report.node, "Correct that on this node.", problem=report.foreign
            )
        for name in NodeReport.VERSIONS:
            here, there = getattr(mine, name), getattr(report, name)
            if here != there:
                raise ClusterError(
                    f"{name} on node {report.node}",
                    there,
                    "Install requirements.txt of one and the same commit on every node, or use "
                    "one image (cluster/Dockerfile).",
                    problem=f"differs from {here} here",
                )
        if report.manifest != mine.manifest:
            raise ClusterError(
                f"data on node {report.node}",
                str(data),
                "Put the data on storage that every node mounts at the same path.",
                problem=f"is not the data set that this process sees ({report.manifest})",
            )


def _ask_nodes(data: Path | None, timeout_s: float) -> list[NodeReport]:
    """One task on each living node."""
    task = ray.remote(num_cpus=0, max_retries=0)(_report)
    living = sorted(
        (node for node in ray.nodes() if node["Alive"]), key=lambda node: node["NodeManagerAddress"]
    )
    names = [f"{node['NodeManagerAddress']} ({node['NodeID'][:6]})" for node in living]
    answers = [
        task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(name, data)
        for node, name in zip(living, names, strict=True)
    ]
    done, late = ray.wait(answers, num_returns=len(answers), timeout=timeout_s)
    del done
    if late:
        silent = ", ".join(n for n, a in zip(names, answers, strict=True) if a in late)
        raise ClusterError(
            "nodes",
            silent,
            "Look at them in the dashboard, and remove or restart them.",
            problem=f"did not answer within {timeout_s:g} s",
        )
    reports = []
    for name, answer in zip(names, answers, strict=True):
        try:
            reports.append(ray.get(answer, timeout=timeout_s))
        except (RayError, GetTimeoutError) as error:
            raise ClusterError(
                "node",
                name,
                "Look at its logs in the dashboard; every node needs the packages envs, pipeline, "
                "tuning and cluster on its import path.",
                problem=f"cannot run a task: {str(error).strip().splitlines()[-1][:300]}",
            ) from error
    return reports


def _report(node: str, data: Path | None) -> NodeReport:
    import numpy
    import torch

    manifest = None
    if data is not None:
        try:
            content = (data / "manifest.json").read_bytes()
            manifest = hashlib.sha256(content).hexdigest()
        except OSError as error:
            manifest = f"error: {error}"
    return NodeReport(
        node=node,
        python=".".join(platform.python_version_tuple()[:2]),
        ray=ray.__version__,
        # Without the build ("+cpu", "+cu130"): nodes with and without a GPU work together.
        torch=torch.__version__.partition("+")[0],
        numpy=numpy.__version__,
        foreign=foreign_package(),
        manifest=manifest,
    )
