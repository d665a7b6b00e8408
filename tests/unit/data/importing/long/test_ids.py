"""Ids, blank rows and signs of a long table as other programs write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.unit.data.long_tables import Import, Refuse, table


def attributes(frame: pd.DataFrame, path: Path) -> Path:
    frame[["sku", "warehouse"]].drop_duplicates().assign(lead_time=3).to_csv(path, index=False)
    return path


def numbered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(sku=frame.sku.str.replace("K", "1").astype(int))


def test_ids_that_became_fractions_are_whole(run: Import, tmp_path: Path) -> None:
    """pandas makes 12 to 12.0 where a row of the column had no id."""
    frame = numbered(table())
    given = attributes(frame, tmp_path / "a.csv")
    fractions = frame.assign(sku=frame.sku.astype(float))
    fractions.loc[3, "sku"] = np.nan
    fractions.to_parquet(tmp_path / "t.parquet")
    done = run(tmp_path / "t.parquet", "--attributes", given)
    assert set(done.statics.sku) == {str(i) for i in range(10, 16)}
    assert "unknown_id 1" in done.said


def test_zeros_before_an_id_belong_to_it(run: Import, refuse: Refuse, tmp_path: Path) -> None:
    frame = table().assign(sku=lambda t: t.sku.str.replace("K", "000"))
    given = attributes(frame, tmp_path / "a.csv")
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert "0001" in set(run(tmp_path / "t.csv", "--attributes", given).statics.sku)
    frame.astype({"sku": int}).to_parquet(tmp_path / "t.parquet")
    said = refuse(tmp_path / "t.parquet", "--attributes", given)
    assert "sku 0," in said
    assert "as they do (e.g. 0000@W0)" in said


def test_rows_that_hold_nothing_are_no_rows(run: Import, tmp_path: Path) -> None:
    text = table().to_csv(index=False) + ",,,\n" * 400 + "\n\n"
    (tmp_path / "t.csv").write_text(text)
    done = run(tmp_path / "t.csv", "--max-bad-share", 0)
    assert done.demand == table().demand.sum()
    assert "1,440 rows passed" in done.said


@pytest.mark.parametrize("form", ["{}-", "({})", "-{}"])
def test_negative_numbers_of_accounts(
    run: Import, refuse: Refuse, tmp_path: Path, form: str
) -> None:
    frame = table().astype({"demand": object})
    frame.loc[::50, "demand"] = [form.format(v + 1) for v in frame.demand[::50]]
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert "--returns ignore" in refuse(tmp_path / "t.csv")
    done = run(tmp_path / "t.csv", "--returns", "ignore")
    assert done.demand == table().demand.drop(index=frame.index[::50]).sum()


@pytest.mark.parametrize(
    ("mark", "options", "proposed"),
    [
        ("\u2019", ("--thousands", "'"), '--thousands "\'"'),
        ("\u2019", ("--thousands", "\u2019"), ""),
    ],
)
def test_the_swiss_apostrophe(
    run: Import, refuse: Refuse, tmp_path: Path, mark: str, options: tuple[str, ...], proposed: str
) -> None:
    frame = table()
    frame["demand"] = frame.demand * 1000 + 1000
    path = tmp_path / "t.csv"
    frame.assign(demand=[f"{v:,}".replace(",", mark) for v in frame.demand]).to_csv(
        path, index=False
    )
    assert proposed in refuse(path)
    assert run(path, *options).demand == frame.demand.sum()


def test_powers_of_ten_with_a_decimal_comma(run: Import, refuse: Refuse, tmp_path: Path) -> None:
    frame = table()
    written = [f"{v * 1000:.3E}".replace(".", ",") for v in frame.demand]
    frame.assign(demand=written).to_csv(tmp_path / "t.csv", index=False)
    assert "--decimal ," in refuse(tmp_path / "t.csv")
    assert run(tmp_path / "t.csv", "--decimal", ",").demand == 1000 * frame.demand.sum()


def test_inventories_without_any_price_are_counted(run: Import, tmp_path: Path) -> None:
    frame = table().assign(price=2.5)
    frame.loc[frame.sku == "K1", "price"] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    done = run(tmp_path / "t.csv")
    assert "price: 2 of 12 have none on any day: drawn" in done.said
    assert "prices: lognormal" in done.manifest.source
    given = frame[["sku", "warehouse"]].drop_duplicates().assign(price=3.0)
    given.to_csv(tmp_path / "a.csv", index=False)
    assert (
        "prices: lognormal"
        not in run(tmp_path / "t.csv", "--attributes", tmp_path / "a.csv").manifest.source
    )


def test_days_to_come_that_were_filled_with_zeros(run: Import, tmp_path: Path) -> None:
    frame = table()
    frame.loc[frame.date > "2024-04-15", "demand"] = 0
    frame.to_csv(tmp_path / "t.csv", index=False)
    said = run(tmp_path / "t.csv").said
    assert "no demand at all on the last 14 days, to 2024-04-29" in said
    assert "give --last-day 2024-04-15" in said
    assert "no demand at all" not in run(tmp_path / "t.csv", "--last-day", "2024-04-15").said


def test_a_column_for_each_day(refuse: Refuse, tmp_path: Path) -> None:
    wide = table().pivot(index=["sku", "warehouse"], columns="date", values="demand")
    wide.to_csv(tmp_path / "t.csv")
    assert "a column for each day: write a row for each" in refuse(tmp_path / "t.csv")


def test_demand_in_fractions_is_said(run: Import, tmp_path: Path) -> None:
    frame = table().astype({"demand": float})
    frame.loc[7, "demand"] = 2.5
    frame.to_csv(tmp_path / "t.csv", index=False)
    done = run(tmp_path / "t.csv")
    assert done.manifest.order_multiple == 0
    assert "not in whole units" in done.said
    assert "not in whole units" not in run(tmp_path / "t.csv", "--order-multiple", 1).said
