"""The study's trajectories: the published ones, fresh ones, and those of a CSV.

``data/settingK/{train,val}_demand.csv`` are the published training and validation
trajectories of settings 1 to 3 (drawn with seed 42): one row per trajectory, ``sku_id``, then
31 days. Test trajectories are always fresh draws of the same process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from envs.errors import ConfigError, DataError
from envs.problems.settings import (
    SETTINGS,
    STUDY_DAYS,
    SettingName,
    feature_of,
    given_setting,
    study_setting,
)
from envs.state import Scenario
from pipeline.scenarios.given import GivenScenarios
from pipeline.tools.seeding import derive_seed

DATA = Path(__file__).parent / "data"
FROM_DEMAND: tuple[SettingName, ...] = ("setting1", "setting2", "setting3")
"""Settings whose feature follows from the day or from demand."""
_ADDRESS = re.compile(r"(?P<setting>setting\w+):(?P<file>.+)")


class StudyData(BaseModel):
    """What a run of the study is trained and validated on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    study: SettingName
    trajectories: int | None = Field(default=None, ge=1)
    """Fresh training trajectories, and as many for validation. None: the published ones."""
    counted_days: int = Field(default=28, ge=2)
    """T - 1 of setting 4; the other settings have 28."""
    seed: int = Field(default=0, ge=0)
    """Of fresh trajectories."""
    copies: int = Field(default=1, ge=1)
    """Training trajectories made of each one, all but the first with blurred demand; see
    :func:`blurred`."""
    on_test: bool = False
    """Train and validate on the test trajectories themselves: ``trajectories`` and ``seed``
    are the test's. A reference policy, not a method."""

    def source(self) -> GivenScenarios:
        """The trajectories as tiles: one to train on, one to validate on.

        Raises:
            ConfigError: Setting 4 has no published trajectories.
        """
        if self.on_test:
            scenario = unseen_scenario(self.study, self.trajectories or 10_000, self.seed)
            return GivenScenarios({"train": [scenario], "validation": [scenario]})
        if self.trajectories is None:
            train, validation = (published(self.study, part) for part in ("train", "val"))
        else:
            train, validation = (
                study_setting(
                    self.study, self.trajectories, derive_seed("study", part, self.seed),
                    self.counted_days,
                )
                for part in ("train", "validation")
            )  # fmt: skip
        train = blurred(self.study, train, self.copies, derive_seed("study", "blur", self.seed))
        return GivenScenarios({"train": [train], "validation": [validation]})


def blurred(setting: SettingName, scenario: Scenario, copies: int, seed: int) -> Scenario:
    """A smoothed bootstrap of a few trajectories (Silverman and Young 1987).

    Normal noise is added to a copy's demand, in the bandwidth of Silverman's rule for as many
    trajectories as there are, 0.9 s n^(-1/5) with s their standard deviation on the day. What is
    best for five or ten trajectories to the point is not what is best for their process; with
    many the noise vanishes.

    Args:
        setting: Gives the feature of a copy's demand.
        scenario: n trajectories.
        copies: Of each trajectory, the original included.
        seed: Of the noise.

    Returns:
        ``copies`` * n trajectories, the originals first.
    """
    demand = scenario.demand
    if copies == 1 or demand.shape[1] == 1:
        return scenario
    bandwidth = 0.9 * demand.std(1, keepdim=True) * demand.shape[1] ** -0.2
    shape = (demand.shape[0], (copies - 1) * demand.shape[1])
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    more = (demand.repeat(1, copies - 1) + bandwidth * noise).clamp(min=0.0)
    if setting in FROM_DEMAND:
        return trajectories_of(setting, torch.cat((demand, more), 1))
    feature = feature_of(setting, scenario.features[..., 0]).repeat(1, copies)
    return given_setting(setting, torch.cat((demand, more), 1), feature)


def unseen_scenario(setting: SettingName, trajectories: int, seed: int) -> Scenario:
    """Fresh trajectories that nothing was trained on; settings 2 and 3 share them."""
    process: SettingName = "setting2" if setting == "setting3" else setting
    return study_setting(process, trajectories, derive_seed("study", "test", seed))


def published(setting: SettingName, part: Literal["train", "val"]) -> Scenario:
    """The published trajectories of settings 1 to 3.

    Raises:
        ConfigError: There are none of that setting.
    """
    path = DATA / setting / f"{part}_demand.csv"
    if not path.exists():
        raise ConfigError(
            "data.trajectories", "(absent)", "Say how many to draw.",
            f"is required: {setting} has no published trajectories",
        )  # fmt: skip
    return trajectories_of(setting, read_trajectories(path).demand)


@dataclass(frozen=True)
class Trajectories:
    """What a CSV holds."""

    names: list[str]
    """[N] its first column."""
    demand: Tensor
    """[31, N] units."""


def trajectories_of(setting: SettingName, demand: Tensor) -> Scenario:
    """The scenario of given demand [31, N]; the feature is derived.

    Setting 1 sees day // 2; settings 2 and 3 see yesterday's demand (on day 0, where nobody
    orders, today's).
    """
    if setting == "setting1":
        day = torch.arange(len(demand)).unsqueeze(1).expand_as(demand)
        return given_setting(setting, demand, (day // 2).to(demand.dtype))
    return given_setting(setting, demand, torch.cat((demand[:1], demand[:-1])))


def read_trajectories(path: Path) -> Trajectories:
    """Reads demand: a header, then one row per trajectory: its name and 31 numbers.

    Raises:
        DataError: The file is missing or no CSV, has another number of columns or no rows, or
            holds something that is not a finite number of at least 0.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise DataError(
            "data", str(path), "Name a CSV file that exists and can be read.",
            f"cannot be read ({str(error).strip().splitlines()[0]})",
        ) from None  # fmt: skip
    if table.shape[1] != STUDY_DAYS + 1 or table.empty:
        raise DataError(
            f"{path.name} shape", list(table.shape),
            f"Write one row per trajectory: a name, then {STUDY_DAYS} days; and a header above.",
            "is not that of trajectories",
        )  # fmt: skip
    values = table.iloc[:, 1:].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    wrong = np.argwhere(~np.isfinite(values) | (values < 0))
    if len(wrong):
        row, day = (int(k) for k in wrong[0])
        raise DataError(
            f"{path.name} row {table.iloc[row, 0]}, day {day}", table.iloc[row, day + 1],
            "Write finite numbers of at least 0.",
            f"is not a demand ({len(wrong)} such values)",
        )  # fmt: skip
    return Trajectories(table.iloc[:, 0].tolist(), torch.tensor(values.T, dtype=torch.float32))


def setting_file(data: str) -> tuple[SettingName, Path] | None:
    """``setting1:FILE.csv`` taken apart; None if ``data`` is a folder's name.

    Raises:
        ConfigError: There is no such setting, or its feature cannot be derived from demand.
    """
    found = _ADDRESS.fullmatch(data)
    if found is None:
        return None
    for setting in FROM_DEMAND:
        if setting == found["setting"]:
            return setting, Path(found["file"])
    raise ConfigError(
        "data", data, f"Use one of {', '.join(f'{s}:FILE.csv' for s in FROM_DEMAND)}.",
        "needs sigma besides demand" if found["setting"] in SETTINGS else "is not a setting",
    )  # fmt: skip
