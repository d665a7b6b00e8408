"""Long tables as other programs write them: numbers and dates."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.errors import DataError
from pipeline.data.importing.long.options import LongOptions
from tests.unit.data.long_tables import Import, Refuse, csv, table

# --- numbers -------------------------------------------------------------------------------


def marked(value: float, thousands: str, decimal: str) -> str:
    text = f"{value:,.2f}" if value % 1 else f"{value:,.0f}"
    return text.translate(str.maketrans({",": thousands, ".": decimal}))


@pytest.mark.parametrize(
    ("thousands", "decimal", "options"),
    [
        (",", ".", ("--thousands", ",")),
        (".", ",", ("--decimal", ",")),
        (".", ",", ("--thousands", ".")),
        (" ", ",", ("--decimal", ",", "--thousands", " ")),
        ("\u00a0", ",", ("--decimal", ",", "--thousands", " ")),
        ("\u202f", ".", ("--thousands", " ")),
        ("'", ".", ("--thousands", "'")),
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_marks_in_numbers(
    run: Import,
    refuse: Refuse,
    tmp_path: Path,
    thousands: str,
    decimal: str,
    options: tuple[str, ...],
    separator: str,
) -> None:
    frame = table(skus=3)
    frame["demand"] = frame.demand * 700.0
    frame["price"] = 1234.5
    written = frame.assign(
        demand=[marked(v, thousands, decimal) for v in frame.demand],
        price=[marked(v, thousands, decimal) for v in frame.price],
    )
    path = csv(written, tmp_path / "t.csv", sep=separator)
    said = refuse(path)
    assert "--thousands" in said or "--decimal" in said
    assert any(v in said for v in (*written.demand, *written.price) if thousands in v)
    done = run(path, *options)
    assert done.demand == frame.demand.sum()
    assert all((s["price"] == 1234.5).all() for s in done.series.values())


def test_few_marks_among_plain_numbers_are_not_quarantined_away(
    refuse: Refuse, tmp_path: Path
) -> None:
    frame = table().astype({"demand": str})
    frame.loc[100, "demand"] = "1,250"
    said = refuse(csv(frame, tmp_path / "t.csv"))
    assert "--thousands , if 1,250 is 1250, or --decimal , if it is 1.250" in said


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_demand_in_thousands_is_never_read_as_a_thousandth(
    refuse: Refuse, tmp_path: Path, separator: str
) -> None:
    frame = table()
    frame["demand"] = [f"{v},250".replace(",", ".") if v else "0" for v in frame.demand]
    said = refuse(csv(frame, tmp_path / "t.csv", sep=separator))
    assert "exactly three digits after it" in said


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_a_dot_with_three_digits_beside_a_decimal_comma(
    refuse: Refuse, tmp_path: Path, separator: str
) -> None:
    frame = table().astype({"demand": str})
    frame.loc[3, "demand"], frame.loc[4, "demand"] = "3.250", "2,5"
    said = refuse(csv(frame, tmp_path / "t.csv", sep=separator))
    assert "3.250" in said
    assert "--decimal ," in said


@pytest.mark.parametrize("separator", [",", ";"])
def test_dots_that_are_decimal_points(run: Import, tmp_path: Path, separator: str) -> None:
    frame = table()
    frame["demand"] = frame.demand * 1.125 + 0.5
    path = csv(frame, tmp_path / "t.csv", sep=separator)
    assert run(path).demand == pytest.approx(frame.demand.sum())


def test_a_number_that_does_not_fit_its_marks(refuse: Refuse, tmp_path: Path) -> None:
    frame = table().astype({"demand": str})
    frame.loc[7, "demand"] = "1.25"
    path = csv(frame, tmp_path / "t.csv", sep=";")
    said = refuse(path, "--decimal", ",")
    assert "1.25" in said
    assert "do not fit the decimal mark ," in said


def test_marks_do_not_touch_numbers_of_parquet(run: Import, tmp_path: Path) -> None:
    frame = table().assign(price=1.125)
    frame["demand"] += 0.5
    frame.to_parquet(tmp_path / "t.parquet")
    done = run(tmp_path / "t.parquet", "--decimal", ",")
    assert done.demand == frame.demand.sum()
    assert done.statics.price.eq(1.125).all()


def test_a_spreadsheet_that_names_its_separator(run: Import, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("sep=;\n" + table().to_csv(index=False, sep=";"), encoding="utf-8-sig")
    assert run(path).demand == table().demand.sum()


# --- dates ---------------------------------------------------------------------------------


def dated(pattern: str, days: int = 120) -> pd.DataFrame:
    frame = table(days=days)
    return frame.assign(date=pd.to_datetime(frame.date).dt.strftime(pattern))


@pytest.mark.parametrize(
    "pattern",
    ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y%m%d", "%d-%m-%y", "%y-%m-%d", "%d %b %Y", "%Y.%m.%d",
     "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M:%S"],
)  # fmt: skip
def test_date_formats(run: Import, refuse: Refuse, tmp_path: Path, pattern: str) -> None:
    path = csv(dated(pattern), tmp_path / "t.csv")
    for accepted in ((), ("--max-bad-share", 1)):
        said = refuse(path, *accepted)
        assert dated(pattern).date[0] in said
        assert f"--date-format '{pattern.split(' %H')[0]}'" in said
    for given in {pattern, pattern.split(" %H")[0]}:
        manifest = run(path, "--date-format", given).manifest
        assert (manifest.first_day, manifest.num_days) == (date(2024, 1, 1), 120)


def test_day_and_month_that_cannot_be_told_apart(refuse: Refuse, tmp_path: Path) -> None:
    frame = dated("%d/%m/%Y", days=400)
    said = refuse(csv(frame[frame.date.str[:2] <= "12"], tmp_path / "t.csv"))
    assert "'%d/%m/%Y'" in said
    assert "'%m/%d/%Y'" in said
    assert "cannot be told apart" in said


def test_the_wrong_order_of_day_and_month(refuse: Refuse, tmp_path: Path) -> None:
    said = refuse(csv(dated("%d/%m/%Y"), tmp_path / "t.csv"), "--date-format", "%m/%d/%Y")
    assert "13/01/2024" in said
    assert "is not --date-format %m/%d/%Y" in said
    assert "'%d/%m/%Y'" in said


@pytest.mark.parametrize("pattern", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.000", "%Y/%m/%d"])
def test_the_year_first_needs_no_option(run: Import, tmp_path: Path, pattern: str) -> None:
    manifest = run(csv(dated(pattern), tmp_path / "t.csv")).manifest
    assert (manifest.first_day, manifest.num_days) == (date(2024, 1, 1), 120)


def test_day_numbers_of_a_spreadsheet(run: Import, refuse: Refuse, tmp_path: Path) -> None:
    frame = table()
    frame["date"] = (pd.to_datetime(frame.date) - pd.Timestamp("1899-12-30")).dt.days
    path = csv(frame, tmp_path / "t.csv")
    assert "--date-format 'excel'" in refuse(path)
    assert run(path, "--date-format", "excel").manifest.first_day == date(2024, 1, 1)


def test_whole_numbers_as_dates_in_parquet(run: Import, refuse: Refuse, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    dated("%Y%m%d").astype({"date": int}).to_parquet(path)
    assert "--date-format '%Y%m%d'" in refuse(path)
    assert run(path, "--date-format", "%Y%m%d").manifest.first_day == date(2024, 1, 1)


@pytest.mark.parametrize("text", ["%d/%m", "day first", "%H:%M"])
def test_a_format_without_a_day_month_and_year(text: str) -> None:
    with pytest.raises(DataError, match="does not hold a year, a month and a day"):
        LongOptions(date_format=text)


@pytest.mark.parametrize("machine", ["UTC", "Pacific/Auckland", "America/New_York"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "+05:30"])
def test_zoned_timestamps(
    run: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str, machine: str
) -> None:
    monkeypatch.setitem(os.environ, "TZ", machine)
    frame = table()
    local = pd.DatetimeIndex(pd.to_datetime(frame.date)).tz_localize(zone)
    arrow = pa.Table.from_pandas(frame.drop(columns="date"), preserve_index=False)
    instants = pa.array(local.as_unit("us").asi8, pa.int64()).cast(pa.timestamp("us", tz=zone))
    arrow = arrow.append_column("date", instants)
    pq.write_table(arrow, tmp_path / "t.parquet")
    done = run(tmp_path / "t.parquet")
    assert (done.manifest.first_day, done.manifest.num_days) == (date(2024, 1, 1), 120)
    # The same instants as text, with the offset of the zone.
    text = frame.assign(date=[t.isoformat() for t in local])
    assert run(csv(text, tmp_path / "t.csv")).manifest.first_day == date(2024, 1, 1)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_midnights_of_another_zone_in_utc(
    run: Import, refuse: Refuse, tmp_path: Path, kind: str
) -> None:
    frame = table()
    instants = pd.to_datetime(frame.date).dt.tz_localize("Europe/Berlin").dt.tz_convert("UTC")
    path = tmp_path / f"t.{kind}"
    if kind == "csv":
        csv(frame.assign(date=instants.dt.strftime("%Y-%m-%dT%H:%M:%SZ")), path)
    else:
        frame.assign(date=instants).to_parquet(path)
    assert "--timezone Europe/Berlin" in refuse(path)
    done = run(path, "--timezone", "Europe/Berlin")
    assert (done.manifest.first_day, done.manifest.num_days) == (date(2024, 1, 1), 120)
    assert run(path, "--timezone", "UTC").manifest.first_day == date(2023, 12, 31)


# --- flags ---------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("x", ""), ("on", "off"), ("Yes", "No"), ("TRUE", "FALSE")])
def test_words_for_flags(run: Import, tmp_path: Path, words: tuple[str, str]) -> None:
    frame = table()
    frame["promotion"] = [words[i % 10 > 0] for i in range(len(frame))]
    done = run(csv(frame, tmp_path / "t.csv"))
    promoted = sum(int(s["promotion"].sum()) for s in done.series.values())
    assert promoted == len(frame) / 10


@pytest.mark.parametrize("word", ["Black Friday", "0.2", "20%", "2"])
@pytest.mark.parametrize("rest", ["", "0"])
def test_a_flag_that_only_words_set_is_refused(
    refuse: Refuse, tmp_path: Path, word: str, rest: str
) -> None:
    """Read as missing, all promotions of a table would be gone."""
    frame = table()
    frame["promotion"] = [word if i % 10 == 0 else rest for i in range(len(frame))]
    said = refuse(csv(frame, tmp_path / "t.csv"))
    assert f"promotion = {word} ({len(frame) // 10} rows) is neither 0 nor 1" in said
    assert "--ignore-columns promotion" in said


def test_some_unreadable_flags_stop_nothing(run: Import, tmp_path: Path) -> None:
    frame = table()
    frame["promotion"] = ["maybe" if i % 20 == 0 else str(int(i % 5 == 0)) for i in range(1440)]
    assert "bad_flag 72" in run(csv(frame, tmp_path / "t.csv")).said
