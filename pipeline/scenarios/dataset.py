"""Scenarios of a data set: its tiles, cut to the days of a split."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from envs.errors import DataError
from envs.state import InventoryState, ObservationLayout, Scenario
from pipeline.data.draws import Draws
from pipeline.data.panel import Panel, RawTile, TileRef
from pipeline.data.schema import ALL_QUANTITIES, counting
from pipeline.features.build import BASIS, FEATURES, build_features, scenario_of
from pipeline.features.coming import DatasetDemand
from pipeline.features.forecast import FLAGS, DayFactors, TrainingHistory
from pipeline.features.outlook import log_price_ratio
from pipeline.features.windows import day_major
from pipeline.scenarios.source import Split
from pipeline.scenarios.start import evaluation_start, training_start

PlanKnown = Literal["known", "missing", "mixed"]
"""What mornings see of the quantities known ahead: all that the data have, nothing, or nothing in
blocks of days drawn per inventory (:func:`draw_no_plan`)."""

Counted = Literal["all", "observed"]
"""Days that metrics are made of: see :class:`DatasetSource`."""

FORECAST_SAMPLE_TILES = 4
"""Training tiles that the forecaster's day factors are estimated on."""
NO_PLAN_SHARE, NO_PLAN_DAYS = 0.2, 14
"""Share of the mornings without a plan in ``mixed``, and how many follow each other."""


class DatasetSource:
    """Scenarios from a data-set folder (see ``docs/data-formats.md``).

    Training and validation play the training days, on their own inventories; test
    plays the later days on all inventories.

    Args:
        directory: The data set.
        factors: The forecaster's day factors; None fits them on training tiles.
        resident_tiles: Tiles whose scenarios are kept in memory (per process).
        plan: What mornings of validation and test see of the quantities known ahead. Training
            sees "mixed", so that a morning without a plan is nothing new to a policy; nothing
            if this is "missing".
        counted: Which days enter metrics, after the warm-up: "all" on sale whose demand was
            observed or imputed, or only those "observed". Features and demand are the same.
    """

    def __init__(
        self,
        directory: str | PathLike[str],
        factors: DayFactors | None = None,
        resident_tiles: int = 16,
        plan: PlanKnown = "known",
        counted: Counted = "all",
    ) -> None:
        self.directory = Path(directory)
        self.resident_tiles = resident_tiles
        self.plan = plan
        self.counted = counted
        self._open()
        self.factors = factors if factors is not None else self._fit_factors()

    def _open(self) -> None:
        self.panel = Panel(self.directory)
        columns = self.panel.read_inventories(["lead_time", "lead_time_jitter"])
        lead, jitter = (columns[name].to_numpy() for name in columns.column_names)
        # At least one slot for arrivals, even if all orders arrive at once.
        self.max_lead_time = max(1, int((lead.astype(int) + jitter.astype(int)).max()))
        self._tiles: dict[Split, list[TileRef]] = {
            "train": self.panel.tiles("train"),
            "validation": self.panel.tiles("validation"),
            "test": self.panel.tiles(None),
        }
        for split, tiles in self._tiles.items():
            if not tiles:
                raise DataError(
                    f"{self.directory} split", split,
                    "Make or import the data set with inventories of this split.",
                    "has no inventories",
                )  # fmt: skip
        self._cache: OrderedDict[tuple[Split, int], Scenario] = OrderedDict()

    def __deepcopy__(self, memo: dict[int, object]) -> DatasetSource:
        """Itself: RLlib copies configurations, and each copy would read all tiles again."""
        return self

    def __getstate__(self) -> dict[str, object]:
        return {
            "directory": self.directory,
            "factors": self.factors,
            "resident_tiles": self.resident_tiles,
            "plan": self.plan,
            "counted": self.counted,
            "max_lead_time": self.max_lead_time,
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._open()
        # A model that was trained with longer lead times sets it: its layout must travel.
        self.max_lead_time = cast(int, state["max_lead_time"])

    @property
    def layout(self) -> ObservationLayout:
        """K from the data's longest lead time; M and F from :mod:`pipeline.features.build`."""
        coming = DatasetDemand(self.panel.manifest.backlog)
        return ObservationLayout(self.max_lead_time, len(BASIS), len(FEATURES), coming)

    def num_tiles(self, split: Split) -> int:
        """Number of tiles of a split."""
        return len(self._tiles[split])

    def rows(self, split: Split, tile: int) -> int:
        """Inventories of a tile."""
        return self._tiles[split][tile].rows

    def days(self, split: Split, span: int = 0) -> tuple[int, int]:
        """First and past-the-last day index of a split, for the inventories of a span."""
        days = self.panel.spans[span].days(split)
        return days.start, days.stop

    def num_days(self, split: Split) -> tuple[int, int]:
        """Least and largest number of days that an inventory has in a split."""
        lengths = [len(span.days(split)) for span in self.panel.spans]
        return min(lengths), max(lengths)

    def load(self, split: Split, tile: int) -> Scenario:
        """One tile over the days of the split; the last few stay in memory."""
        key = (split, tile)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        _, scenario = self.open(split, tile)
        self._cache[key] = scenario
        while len(self._cache) > self.resident_tiles:
            self._cache.popitem(last=False)
        return scenario

    def evaluation_start(self, scenario: Scenario) -> InventoryState:
        """See the function of that name."""
        return evaluation_start(scenario)

    def training_start(self, scenario: Scenario, generator: torch.Generator) -> InventoryState:
        """See the function of that name."""
        return training_start(scenario, generator)

    def open(self, split: Split, tile: int) -> tuple[RawTile, Scenario]:
        """A tile as it lies on disk (ids, static columns) and as a scenario; not kept."""
        raw = self.panel.read(self._tiles[split][tile])
        return raw, self._build(split, raw)

    def _build(self, split: Split, raw: RawTile) -> Scenario:
        start, stop = self.days(split, raw.span)
        span = self.panel.spans[raw.span]
        draws = Draws(span.seed, raw.inventory_id)
        # What only later days tell is cut before features are made: nothing can leak back.
        known = {
            name: values if ALL_QUANTITIES[name].known_ahead else values[:, :stop]
            for name, values in raw.dynamic.items()
        }
        features = build_features(
            raw.static, known, self.factors, span.first_day.weekday(), first=start,
            no_plan=self._no_plan(split, raw.span, draws),
        )  # fmt: skip
        scenario = scenario_of(
            features,
            raw.static,
            start,
            stop,
            first_day=span.first_day,
            max_lead_time=self.max_lead_time,
            backlog=self.panel.manifest.backlog,
            draws=draws,
        )
        scenario = replace(scenario, coming=self.layout.coming)
        if self.counted == "all":
            return scenario
        observed = torch.as_tensor(known["known"][:, start:].T > 0)
        return replace(scenario, counted=features.observed & observed)

    def _no_plan(self, split: Split, span: int, draws: Draws) -> NDArray[np.bool_] | None:
        """[n, D] mornings of a split that see no plan; None: none."""
        plan = "mixed" if split == "train" and self.plan == "known" else self.plan
        if plan == "known":
            return None
        start, stop = self.days(split, span)
        if plan == "missing":
            return np.ones((len(draws), stop - start), dtype=bool)
        first = self.panel.spans[span].first_day.toordinal()
        return draw_no_plan(draws, first + np.arange(start, stop))

    def _fit_factors(self) -> DayFactors:
        picked: list[tuple[TileRef, int]] = []
        for number, span in enumerate(self.panel.spans):
            tiles = [tile for tile in self._tiles["train"] if tile.span == number]
            sample = tiles[:: max(1, len(tiles) // FORECAST_SAMPLE_TILES)][:FORECAST_SAMPLE_TILES]
            picked += [(tile, span.test_start) for tile in sample]
        return DayFactors.fit(self._history(self.panel.read(tile), stop) for tile, stop in picked)

    def _history(self, raw: RawTile, stop: int) -> TrainingHistory:
        price = day_major(raw.dynamic["price"], stop)
        ratio: NDArray[np.float32] = log_price_ratio(price).T.numpy()
        return TrainingHistory(
            category=np.asarray(raw.static["category"]).astype(str),
            weekday=(np.arange(stop) + self.panel.spans[raw.span].first_day.weekday()) % 7,
            demand=np.asarray(raw.dynamic["demand"][:, :stop], dtype=np.float32),
            on_sale=np.asarray(raw.dynamic["on_sale"][:, :stop]) > 0,
            known=counting(raw.dynamic)[:, :stop] > 0,
            effects={
                "price_ratio": ratio,
                **{
                    name: np.asarray(raw.dynamic[name][:, :stop], dtype=np.float32)
                    for name in FLAGS
                },
            },
        )


def draw_no_plan(draws: Draws, dates: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[n, D] mornings without a plan: blocks of days, each with probability ``NO_PLAN_SHARE``.

    Drawn by inventory and date, not by the fragment that is played: whoever looks a decision's
    features up again finds the same ones.

    Args:
        draws: Of the n inventories.
        dates: [D] ordinals of consecutive days.
    """
    phase = (draws.uniform("plan, phase") * NO_PLAN_DAYS).astype(np.int64)
    block = (dates[:, None] + phase) // NO_PLAN_DAYS
    first = int(block[0].min())
    drawn = draws.daily("plan", np.arange(first, int(block[-1].max()) + 1)) < NO_PLAN_SHARE
    masked: NDArray[np.bool_] = np.take_along_axis(drawn, block - first, axis=0).T
    return masked
