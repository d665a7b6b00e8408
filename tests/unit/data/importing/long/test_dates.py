"""Dates of a long table that need care: periods, mistyped years, formats of other programs."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from tests.unit.data.long_tables import Import, Refuse, csv, table


def dates(frame: pd.DataFrame, pattern: str) -> pd.Series[str]:
    return pd.to_datetime(frame.date).dt.strftime(pattern)


def summed(frame: pd.DataFrame, days: list[int]) -> pd.DataFrame:
    """One row in place of so many days, in turn."""
    day = pd.to_datetime(frame.date)
    starts = [day.min()]
    while starts[-1] <= day.max():
        starts.append(starts[-1] + pd.Timedelta(days=days[len(starts) % len(days)]))
    start = pd.cut(day, starts, right=False, labels=starts[:-1]).astype(str)
    return frame.assign(date=start).groupby(["sku", "warehouse", "date"], as_index=False).sum()


@pytest.mark.parametrize(
    ("days", "words"),
    [([14], "two weeks"), ([28, 28, 35], "four or five weeks"), ([28], "four or five weeks"),
     ([91, 91, 91, 92], "a quarter")],
)  # fmt: skip
@pytest.mark.parametrize("options", [(), ("--period", "week"), ("--absent-day", "zero")])
def test_rows_of_other_periods(
    refuse: Refuse, tmp_path: Path, days: list[int], words: str, options: tuple[str, ...]
) -> None:
    path = csv(summed(table(days=728), days), tmp_path / "t.csv")
    said = refuse(path, *options)
    assert "date = 2024-01-01, 2024-" in said
    assert f"are {words} apart" in said
    assert "--period day" in said


def test_weeks_of_one_warehouse_among_days_of_others(refuse: Refuse, tmp_path: Path) -> None:
    frame = table()
    weekly = summed(frame[frame.warehouse == "W1"], [7])
    path = csv(pd.concat([frame[frame.warehouse == "W0"], weekly]), tmp_path / "t.csv")
    for options in ((), ("--absent-day", "zero")):
        said = refuse(path, *options)
        assert "are a week apart in warehouse W1, and daily in others" in said


@pytest.mark.parametrize("odd", ["2034-01-06", "2014-01-06", "2024-12-01"])
@pytest.mark.parametrize("options", [(), ("--absent-day", "zero")])
def test_a_mistyped_year_is_not_ten_years_of_days(
    run: Import, refuse: Refuse, tmp_path: Path, odd: str, options: tuple[str, ...]
) -> None:
    frame = table()
    frame.loc[5, "date"] = odd
    path = csv(frame, tmp_path / "t.csv")
    option, other = ("--first-day", "2024-01-01") if odd < "2024" else ("--last-day", "2024-04-29")
    said = refuse(path, *options)
    assert f"date = {odd} (1 of 1,440 rows)" in said
    assert f"{option} {other}" in said
    assert run(path, *options, option, other).manifest.num_days == 120


@pytest.mark.parametrize(("name", "value"), [("on_hand", 0), ("known", 0), ("on_sale", 0)])
def test_a_column_by_which_no_demand_is_known(
    run: Import, refuse: Refuse, tmp_path: Path, name: str, value: int
) -> None:
    frame = table().assign(**{name: value})
    if name == "on_sale":
        frame["demand"] = 0
    path = csv(frame, tmp_path / "t.csv")
    assert "--ignore-columns" in refuse(path)
    assert run(path, "--ignore-columns", name).demand == frame.demand.sum()


# --- formats -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern", ["%d-%b-%y", "%A, %d %B %Y", "%d/%m/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p"]
)
def test_formats_of_reports(run: Import, refuse: Refuse, tmp_path: Path, pattern: str) -> None:
    frame = table()
    path = csv(frame.assign(date=dates(frame, pattern)), tmp_path / "t.csv")
    proposed = pattern.split(" %I")[0]
    assert f"--date-format '{proposed}'" in refuse(path)
    manifest = run(path, "--date-format", proposed).manifest
    assert (manifest.first_day, manifest.num_days) == (date(2024, 1, 1), 120)


@pytest.mark.parametrize(
    ("pattern", "proposed", "period"),
    [("%Y-%m", "%Y-%m", "month"), ("%m/%Y", "%m/%Y", "month"), ("%Y%m", "%Y%m", "month"),
     ("%b-%y", "%b-%y", "month"), ("%G-W%V", "%G-W%V", "week")],
)  # fmt: skip
def test_months_and_weeks_of_the_year(
    run: Import, refuse: Refuse, tmp_path: Path, pattern: str, proposed: str, period: str
) -> None:
    frame = table(days=364 if period == "week" else 366)
    months = frame.assign(date=dates(frame, pattern))
    months = months.groupby(["sku", "warehouse", "date"], as_index=False).sum()
    path = csv(months, tmp_path / "t.csv")
    assert f"'{proposed}' --period {period}" in refuse(path)
    assert f"--period {period}" in refuse(path, "--date-format", proposed)
    done = run(path, "--date-format", proposed, "--period", period)
    assert (done.manifest.first_day, done.manifest.num_days) == (
        date(2024, 1, 1), frame.date.nunique())  # fmt: skip
    assert done.demand == frame.demand.sum()


@pytest.mark.parametrize("other", ["%d.%m.%Y", "excel"])
def test_two_formats_in_one_column(run: Import, refuse: Refuse, tmp_path: Path, other: str) -> None:
    """The option that the message proposes reads both: the year first is never ambiguous."""
    frame = table()
    if other == "excel":
        day = (pd.to_datetime(frame.date) - pd.Timestamp("1899-12-30")).dt.days.astype(str)
    else:
        day = dates(frame, other)
    path = csv(frame.assign(date=frame.date.where(frame.index % 2 == 0, day)), tmp_path / "t.csv")
    assert f"--date-format '{other}'" in refuse(path)
    done = run(path, "--date-format", other)
    assert done.manifest.num_days == 120
    assert done.demand == frame.demand.sum()


def test_two_formats_that_no_option_reads(refuse: Refuse, tmp_path: Path) -> None:
    frame = table()
    day = dates(frame, "%d.%m.%Y").where(frame.index % 2 == 0, dates(frame, "%m/%d/%y"))
    path = csv(frame.assign(date=day), tmp_path / "t.csv")
    said = refuse(path, "--date-format", "%d.%m.%Y")
    assert "'%m/%d/%y', if all dates have that format; if not, write all in one" in said


@pytest.mark.parametrize("unit", ["1s", "1ms"])
def test_seconds_since_1970(refuse: Refuse, tmp_path: Path, unit: str) -> None:
    frame = table()
    since = (pd.to_datetime(frame.date) - pd.Timestamp("1970-01-01")) // pd.Timedelta(unit)
    said = refuse(csv(frame.assign(date=since), tmp_path / "t.csv"))
    assert "Write days as YYYY-MM-DD: these seem to be (milli)seconds since 1970" in said
