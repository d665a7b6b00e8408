"""``bench scale``: generation, evaluation and orders of many inventories, time and memory.

Each step is a command of its own, as a user would run it, measured with all its processes.
What grows with the number of inventories is reported per million as well: the start-up, which
is timed on a handful of inventories, is taken off first.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from pipeline.studies.speed.measure import Usage, run_measured

DAYS, TEST_DAYS, FEW = 180, 56, 300


def bench_scale(inventories: int, folder: Path, workers: int) -> list[dict[str, object]]:
    """Generation of N x 180 days, evaluation of N x 56 days, snapshot and orders of N.

    The policy is an untrained BOTH network of [64, 64] on all features.

    Args:
        inventories: N.
        folder: For the data; about 0.5 KB per inventory.
        workers: Ray workers of the evaluation, processes of the generation.

    Returns:
        Rows with ``what``, ``inventories``, ``wall_s``, ``cpu_s``, ``peak_pss_gib``,
        ``wall_s_per_million`` and ``cpu_s_per_million``.
    """
    few, many = folder / "few", folder / "many"
    rows: list[dict[str, object]] = []
    usage: dict[tuple[str, Path], Usage] = {}
    for place, count in ((few, FEW), (many, inventories)):
        usage["generate", place] = run_measured(
            ["-m", "pipeline", "data", "make", "--inventories", str(count), "--days", str(DAYS),
             "--test-start", str(DAYS - TEST_DAYS), "--jobs", str(workers), "--overwrite",
             "--out", place / "data"]
        )  # fmt: skip
        save_untrained(place / "data", place)
        (place / "test.parquet").unlink(missing_ok=True)  # or there would be nothing to do
        usage["evaluate 56 days", place] = run_measured(
            ["-m", "pipeline", "evaluate", "--run", place, "--data", place / "data",
             "--workers", str(workers), "--out", place / "test.parquet"]
        )  # fmt: skip
        usage["snapshot", place] = run_measured(
            ["-m", "pipeline", "data", "snapshot", "--data", place / "data", "--model", place,
             "--out", place / "snapshot.parquet"]
        )  # fmt: skip
        usage["decide", place] = run_measured(
            ["-m", "pipeline", "decide", "--model", place, "--snapshot",
             place / "snapshot.parquet", "--out", place / "orders.parquet"]
        )  # fmt: skip
    for what, place in usage:
        if place == many:
            whole, start = usage[what, many], usage[what, few]
            million = 1e6 / inventories
            rows.append(
                {
                    "what": what,
                    "inventories": inventories,
                    "wall_s": whole.wall_s,
                    "cpu_s": whole.cpu_s,
                    "peak_pss_gib": whole.peak_pss_gib,
                    "wall_s_per_million": (whole.wall_s - start.wall_s) * million,
                    "cpu_s_per_million": (whole.cpu_s - start.cpu_s) * million,
                }
            )
    return rows


def save_untrained(data: Path, run: Path) -> None:
    """Writes a model, as a training run would, that suits a data set."""
    # Here, not above: the command line lists its commands without importing torch.
    import torch

    from pipeline.policies.action_models import make_action_model
    from pipeline.policies.networks import PolicyNetwork
    from pipeline.policies.store import save_model
    from pipeline.scenarios.dataset import DatasetSource

    source = DatasetSource(data)
    torch.manual_seed(0)
    model = make_action_model("both", source.layout.basis)
    policy = PolicyNetwork(source.layout, model, (64, 64))
    save_model(run / "model", policy, source.factors)


@click.command()
@click.option("--inventories", default=100_000, show_default=True, type=click.IntRange(1_000))
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1))
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False),
    help="Keeps data and results; default: a temporary folder.",
)  # fmt: skip
def scale(inventories: int, workers: int, folder: Path | None) -> None:
    """Generation, evaluation and orders of many inventories: time and memory."""
    import pandas as pd

    with tempfile.TemporaryDirectory() as scratch:
        table = pd.DataFrame(bench_scale(inventories, folder or Path(scratch), workers))
    with pd.option_context("display.float_format", "{:,.2f}".format):
        click.echo(table.to_string(index=False))
