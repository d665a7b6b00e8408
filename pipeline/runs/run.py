"""A training run that has ended, read from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import pandas as pd

from envs.errors import ConfigError
from pipeline.runs.config import RunConfig, load_yaml, parse
from pipeline.runs.method import Method
from pipeline.runs.result import HISTORY, RunResult
from pipeline.tools.files import read_lines

CONFIG = "config.yaml"


@dataclass(frozen=True)
class Run:
    """A run; it stands for its folder wherever a path is asked for."""

    directory: Path
    config: RunConfig
    result: RunResult

    def __fspath__(self) -> str:
        return str(self.directory)

    @property
    def method(self) -> Method:
        """``ddpg-both`` and the like."""
        return self.config.method

    @property
    def validation(self) -> dict[str, float]:
        """Metrics of its model on validation inventories."""
        return self.result.validation

    def history(self) -> pd.DataFrame:
        """One row per validation: ``iteration``, ``seconds``, ``cpu_seconds`` and the metrics."""
        return pd.DataFrame(read_lines(self.directory / HISTORY))

    @classmethod
    def read(cls, directory: str | PathLike[str]) -> Run:
        """Reads a run's folder.

        Raises:
            ConfigError: It holds no run that has ended.
        """
        folder = Path(directory).resolve()
        result = RunResult.read(folder)
        if result is None:
            raise ConfigError(
                "run", str(folder), "Name a training run's folder, and let it come to its end.",
                "holds no run that has ended",
            )  # fmt: skip
        config = folder / CONFIG
        return cls(folder, parse(RunConfig, load_yaml(config), str(config)), result)
