"""Time and memory of a command with its children."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.studies.speed import measure
from pipeline.studies.speed.measure import run_measured

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux only")

CHILD = "import time; held = bytearray(150 << 20); time.sleep({seconds})"
PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", {child!r}], check=True)
"""


def test_memory_of_children_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "EVERY_S", 0.05)
    usage = run_measured(["-c", PARENT.format(child=CHILD.format(seconds=1))])
    assert 0.14 < usage.peak_pss_gib < 0.5
    assert usage.wall_s > 1


def test_cpu_time_of_children_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "EVERY_S", 0.05)
    busy = "import time\nwhile time.process_time() < 0.6: pass"
    usage = run_measured(["-c", PARENT.format(child=busy)])
    assert 0.4 < usage.cpu_s < 2


def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        run_measured(["-c", "raise SystemExit(3)"])


def test_a_command_ends_with_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def interrupted(pid: int) -> None:
        started.append(pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "_descendants", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_measured(["-c", "import time; time.sleep(60)"])
    assert not Path(f"/proc/{started[0]}").exists()
