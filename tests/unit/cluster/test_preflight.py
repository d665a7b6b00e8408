"""Checks before a job: each failing one names the thing, its value and the remedy."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cluster import host
from cluster.preflight import Needs, NodeReport, check_host, check_reports
from cluster.train import job_needs
from envs.errors import ClusterError
from pipeline.tools.environment import DEFAULTS, foreign_package
from tuning.preset import load_preset

ROOT = Path(__file__).resolve().parents[3]
MINE = NodeReport("here", "3.11", "2.60.0", "2.13.0", "2.4.6", None, "abc")


def test_a_host_with_enough_of_everything_passes(tmp_path: Path) -> None:
    check_host(Needs(memory_gib=0.01, disk_gib=0.01), tmp_path / "not" / "made" / "yet")


def test_too_little_disk(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"free disk = .* less than the 1e\+09 GiB") as caught:
        check_host(Needs(disk_gib=1e9), tmp_path)
    assert "--out" in caught.value.remedy


def test_too_little_memory(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"available memory = .* less than") as caught:
        check_host(Needs(memory_gib=1e9), tmp_path)
    assert "RAY_ADDRESS" in caught.value.remedy


def test_equal_nodes_pass() -> None:
    check_reports(MINE, [replace(MINE, node="a"), replace(MINE, node="b")], Path("data"))


@pytest.mark.parametrize("name", NodeReport.VERSIONS)
def test_a_node_with_another_version_is_named(name: str) -> None:
    odd = replace(MINE, node="10.0.0.7", **{name: "0.0.1"})
    with pytest.raises(ClusterError, match=rf"{name} on node 10.0.0.7 = 0.0.1 differs from"):
        check_reports(MINE, [MINE, odd], None)


def test_a_node_that_does_not_see_the_data_is_named() -> None:
    blind = replace(MINE, node="10.0.0.7", manifest="error: No such file")
    with pytest.raises(ClusterError, match=r"data on node 10.0.0.7 = data .*No such file"):
        check_reports(MINE, [blind], Path("data"))


def test_a_node_with_a_stale_copy_of_the_data_is_named() -> None:
    with pytest.raises(ClusterError, match="is not the data set that this process sees"):
        check_reports(MINE, [replace(MINE, manifest="def")], Path("data"))


def test_a_node_with_a_foreign_package_is_named() -> None:
    odd = replace(MINE, node="10.0.0.7", foreign="package envs = /x/envs.py is not DeepStock's")
    with pytest.raises(ClusterError, match=r"10\.0\.0\.7 package envs = /x/envs\.py"):
        check_reports(MINE, [odd], None)


def test_here_the_packages_are_ours() -> None:
    assert foreign_package() is None


def test_a_foreign_envs_stops_the_command_with_a_clear_message(tmp_path: Path) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "__init__.py").write_text("")  # as the PyPI package of that name
    ran = subprocess.run(
        [sys.executable, "-m", "cluster", "train"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    assert f"package envs = {tmp_path}/envs/__init__.py is not DeepStock's" in ran.stderr
    assert "pip uninstall envs" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_prepare_respects_what_the_user_has_set() -> None:
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os; from pipeline.tools.environment import prepare; prepare(); "
            "print(os.environ['RAY_AUTH_MODE'], os.environ['OMP_NUM_THREADS'])",
        ],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k not in DEFAULTS} | {"OMP_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stdout.split() == ["token", "3"]


def test_host_figures_are_plausible() -> None:
    assert host.cpu_count() >= 1
    assert 0 < host.available_memory() <= host.total_memory()
    ports = host.free_ports(20)
    assert len(set(ports)) == 20


def test_a_larger_preset_needs_more_memory_and_disk() -> None:
    quick, million = (job_needs(load_preset(name), generates=True) for name in ("quick", "million"))
    # Measured for the whole preset: 3.9 GiB.
    assert 3.5 < million.memory_gib < 5
    assert quick.memory_gib < 2.1
    assert million.disk_gib > quick.disk_gib
