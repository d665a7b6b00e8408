"""The local cluster, in processes of its own: Ray reads its settings when it is imported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cluster import host
from cluster.processes import alive, session_members
from cluster.record import read_record, write_record

ROOT = Path(__file__).resolve().parents[3]
PRELUDE = """
import json, sys
from pathlib import Path
from pipeline.tools.environment import prepare
prepare()
import ray
from cluster.connect import open_cluster
from cluster.local import LocalCluster
from cluster.preflight import Needs, check_cluster
from envs.errors import ClusterError

def tell(**facts):
    print(json.dumps(facts), flush=True)

def message(function, *arguments):
    try:
        function(*arguments)
    except ClusterError as error:
        return str(error)

folder = Path(sys.argv[1])
cluster = LocalCluster(cpus=2, object_store_bytes=256 << 20, record=folder / "cluster.json")
"""
USE = """
with cluster:
    tell(
        pids=cluster.pids,
        address=cluster.address,
        dashboard_url=cluster.dashboard_url,
        session_dir=str(cluster.session_dir),
        cpus=sorted(node["Resources"]["CPU"] for node in ray.nodes()),
        reports=[
            [report.node, report.foreign] for report in check_cluster(Needs(cpus=2), folder)
        ],
        too_few=message(check_cluster, Needs(cpus=64)),
        no_data=message(check_cluster, Needs(), folder / "missing"),
        second=message(LocalCluster().__enter__),
    )
    input()
    import os, subprocess
    command = [sys.executable, "-c", PRELUDE + JOIN, str(folder), cluster.address]
    joined = subprocess.run(command, capture_output=True, text=True)
    # Without the token nobody gets in.
    from cluster.host import ray_command
    ask = [ray_command(), "status", "--address", cluster.address]
    bare = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    tell(
        joined=[json.loads(line) for line in joined.stdout.splitlines()],
        with_wrong_token=subprocess.run(ask, env=bare, capture_output=True).returncode,
        with_token=subprocess.run(ask, capture_output=True).returncode,
    )
tell(session_dir_left=cluster.session_dir is not None, connected=ray.is_initialized())
"""
JOIN = """
with open_cluster(sys.argv[2], record=folder / "joined.json") as info:
    tell(
        started_here=info.started_here,
        dashboard_url=info.dashboard_url,
        nodes=len(check_cluster(Needs())),
        record=(folder / "joined.json").exists(),
    )
tell(connected=ray.is_initialized(), record=(folder / "joined.json").exists())
"""
HOLD = """
with cluster:
    tell(pids=cluster.pids, address=cluster.address)
    import time
    time.sleep(300)
"""


def start(script: str, folder: Path) -> subprocess.Popen[str]:
    # Deprecation notes and the like go to stderr; what the script tells, to stdout.
    return subprocess.Popen(
        [sys.executable, "-c", f"{PRELUDE=}\n{JOIN=}\n{PRELUDE}{script}", str(folder)],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "RAY_AUTH_MODE")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def hear(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    line = process.stdout.readline()
    assert line, f"ended with {process.wait()} before it told anything"
    facts: dict[str, Any] = json.loads(line)
    return facts


def leftovers(pids: list[int], within_s: float) -> list[int]:
    """Processes of the nodes that still run after a while."""
    deadline = time.monotonic() + within_s
    while left := [member for pid in pids for member in session_members(pid)]:
        if time.monotonic() > deadline:
            return left
        time.sleep(0.1)
    return []


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One life of a local cluster: what was seen while it ran, and what it left behind."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "manifest.json").write_text("{}")
    process = start(USE, folder)
    facts = hear(process)
    facts["record"] = read_record(folder / "cluster.json")
    facts["members"] = [len(session_members(pid)) for pid in facts["pids"]]
    facts["dashboard_answers"] = host.port_answers(
        "127.0.0.1", int(facts["dashboard_url"].rpartition(":")[2]), 1.0
    )
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()
    facts |= hear(process)
    facts |= hear(process)
    facts["returncode"] = process.wait(30)
    facts["leftovers"] = leftovers(facts["pids"], 0)
    facts["record_left"] = (folder / "cluster.json").exists()
    return facts


def test_two_nodes_share_the_cpus_and_run_tasks(run: dict[str, Any]) -> None:
    assert run["cpus"] == [1.0, 1.0]
    assert len(run["reports"]) == 2
    assert [foreign for _, foreign in run["reports"]] == [None, None]


def test_the_record_names_the_running_cluster(run: dict[str, Any]) -> None:
    assert run["record"]["address"] == run["address"]
    assert run["record"]["dashboard_url"] == run["dashboard_url"]
    assert run["dashboard_answers"]


def test_checks_fail_with_a_message(run: dict[str, Any]) -> None:
    assert run["too_few"].startswith("CPUs of the cluster = 2 are fewer than the 64")
    assert "missing has no readable manifest.json" in run["no_data"]


def test_a_second_cluster_in_the_same_process_is_refused(run: dict[str, Any]) -> None:
    assert "is connected to a cluster already in this process" in run["second"]


def test_another_process_joins_and_leaves_it_running(run: dict[str, Any]) -> None:
    inside, after = run["joined"]
    url = run["dashboard_url"]
    assert inside == {"started_here": False, "dashboard_url": url, "nodes": 2, "record": True}
    assert after == {"connected": False, "record": False}
    assert run["with_token"] == 0, "the cluster did not answer after the other process had left"


def test_only_holders_of_the_token_get_in(run: dict[str, Any]) -> None:
    assert run["with_token"] == 0
    assert run["with_wrong_token"] != 0


def test_nothing_is_left_behind(run: dict[str, Any]) -> None:
    assert min(run["members"]) >= 2, "the nodes' processes were not seen while they ran"
    assert run["returncode"] == 0
    assert run["leftovers"] == []
    assert not run["record_left"]
    assert not run["session_dir_left"]
    assert not Path(run["session_dir"]).exists()
    assert not run["connected"]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_killing_or_interrupting_one_cluster_ends_that_one_only(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    killed, interrupted = (start(HOLD, folder) for folder in folders)
    try:
        facts = [hear(process) for process in (killed, interrupted)]
        killed.kill()  # as by the out-of-memory killer: no code of ours runs
        killed.wait()
        # Seconds, mostly; a node that was still asking the head about itself waits for an answer
        # of the dead one first, for up to a minute.
        assert leftovers(facts[0]["pids"], 90) == []
        assert read_record(folders[0] / "cluster.json") == {}
        assert all(len(session_members(pid)) >= 2 for pid in facts[1]["pids"])
        again = start("with cluster:\n    tell(ok=True)", folders[0])  # a leftover does not block
        assert hear(again) == {"ok": True}
        assert again.wait(60) == 0
        interrupted.send_signal(signal.SIGINT)
        assert interrupted.wait(60) != 0
        assert leftovers(facts[1]["pids"], 0) == []
        assert not (folders[1] / "cluster.json").exists()
    finally:
        for process in (killed, interrupted):
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_submitted_job_joins_the_cluster_that_runs_it(tmp_path: Path) -> None:
    script = """
import os, subprocess
job = PRELUDE + JOIN.replace("sys.argv[2]", 'os.environ["RAY_ADDRESS"]')
(folder / "job.py").write_text("import os" + job)
from cluster.host import ray_command
with cluster:
    command = [ray_command(), "job", "submit", "--address", cluster.dashboard_url]
    command += ["--working-dir", ".", "--", sys.executable, str(folder / "job.py"), str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True)
    tell(returncode=ran.returncode, output=ran.stdout)
"""
    process = start(script, tmp_path)
    facts = hear(process)
    assert process.wait(60) == 0
    assert facts["returncode"] == 0, facts["output"]
    told = [json.loads(line) for line in facts["output"].splitlines() if line.startswith("{")]
    assert [fact["started_here"] for fact in told if "nodes" in fact] == [False]
    assert told[0]["nodes"] == 2


def test_a_record_of_a_dead_process_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    assert read_record(path) == {}
    write_record(path, "10.0.0.1:6379", None)
    assert read_record(path)["address"] == "10.0.0.1:6379"
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert not alive(ended.pid)
    path.write_text(json.dumps({"address": "10.0.0.1:6379", "pid": ended.pid}))
    assert read_record(path) == {}
