"""What a study's folder holds; written by ``tuning.studies.run``, read by measurements and figures.

STUDY/plan.yaml                     what was asked for, resolved
STUDY/<setting>/                    a sweep's folder (see pipeline.runs.sweep) per tuned setting
STUDY/<setting>/<method>/best/      the selected run: config.yaml, model/, history.jsonl, ...
STUDY/reference/trials/<setting>/   DS trained on the test trajectories
STUDY/horizon/trials/n05-t016-s0/   setting 4: 5 SKUs, 16 counted days
STUDY/critic/trials/<setting>-none-s0/
STUDY/growth/trials/<setting>-ddpg-base-n0100-s0/
STUDY/measured/*.csv                everything that tables and figures are made from
STUDY/figures/*.png, STUDY/study.html
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from envs.errors import ConfigError
from pipeline.runs.result import RunResult
from pipeline.tools.files import beside, write_yaml, writing

PLAN, REPORT = "plan.yaml", "study.html"


@dataclass(frozen=True)
class StudyFolder:
    """Paths of one study."""

    directory: Path

    def sweep(self, setting: str) -> Path:
        """A tuned setting's sweep."""
        return self.directory / setting

    def best(self, setting: str, method: str) -> Path:
        """The run that a method goes to test with."""
        return self.directory / setting / method / "best"

    def trial(self, part: str, key: str) -> Path:
        """A run of ``reference``, ``horizon``, ``critic`` or ``growth``, or of a sweep."""
        return self.directory / part / "trials" / key

    def trials(self, part: str) -> dict[str, Path]:
        """The runs of a part that have ended, by key."""
        folders = sorted((self.directory / part / "trials").glob("*"))
        return {f.name: f for f in folders if RunResult.read(f) is not None}

    @property
    def measured(self) -> Path:
        """Tables that were measured."""
        return self.directory / "measured"

    @property
    def figures(self) -> Path:
        """PNGs."""
        return self.directory / "figures"

    def plan(self) -> dict[str, Any]:
        """What was asked for.

        Raises:
            ConfigError: The folder holds no study.
        """
        path = self.directory / PLAN
        if not path.exists():
            raise ConfigError(
                "study", str(self.directory), "Name a folder that `make study` has written.",
                "holds no study",
            )  # fmt: skip
        content: dict[str, Any] = yaml.safe_load(path.read_text())
        return content

    def check(self, plan: dict[str, Any]) -> None:
        """Checks that the folder is new or belongs to the same study.

        More seeds, sizes and settings extend a study; other training does not.

        Raises:
            ConfigError: It holds another study.
        """
        changed = _changed(self.plan(), plan) if (self.directory / PLAN).exists() else []
        if changed:
            raise ConfigError(
                "out", str(self.directory),
                "Choose another folder, or delete this one to start over.",
                f"holds a study that differs in {', '.join(changed)}",
            )  # fmt: skip

    def claim(self, plan: dict[str, Any]) -> None:
        """Makes the folder and writes the plan.

        Raises:
            ConfigError: It cannot be written.
        """
        with writing(self.directory):
            write_yaml(self.directory / PLAN, plan)

    def keep_best(self, setting: str, method: str, trial: Path) -> None:
        """Copies a selected trial to :meth:`best`, in one step."""
        with beside(self.best(setting, method)) as partial:
            shutil.copytree(trial, partial)


def _changed(before: dict[str, Any], plan: dict[str, Any]) -> list[str]:
    """What of a plan must stay, and has not."""
    changed = [key for key in ("name", "test") if before[key] != plan[key]]
    for part in ("reference", "horizon", "critic"):
        old, new = before.get(part), plan.get(part)
        # A plan of before may lack what could not be chosen then.
        if old and new and old["run"] != {key: new["run"].get(key) for key in old["run"]}:
            changed.append(f"{part}.run")
    return changed
