"""What the study's folder holds.

OFFLINE/data/{m5,fresh,pool}/     the data sets
OFFLINE/<piece>/<part>/           a sweep's folder (see pipeline.runs.sweep) per part
OFFLINE/tables/*.csv              all that was measured, one file per piece and table
OFFLINE/tables/*.md, figures/*.png, offline.html    made from the tables alone
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from envs.errors import ConfigError
from pipeline.runs.sweep import SELECTION, Sweep, read_sweep
from pipeline.studies.offline.pieces import PIECES, Part, Piece
from pipeline.tools.files import write_csv

REPORT = "offline.html"


@dataclass(frozen=True)
class OfflineFolder:
    """Paths of one study."""

    directory: Path

    def data(self, name: str) -> Path:
        """A data set."""
        return self.directory / "data" / name

    def sweep(self, piece: Piece, part: Part) -> Path:
        """A part's sweep."""
        return self.directory / piece.name / part.name

    def sweeps(self, piece: Piece) -> dict[str, Sweep]:
        """A piece's finished sweeps, by part."""
        folders = {part.name: self.sweep(piece, part) for part in piece.parts}
        return {n: read_sweep(f) for n, f in folders.items() if (f / SELECTION).exists()}

    @property
    def tables(self) -> Path:
        """Folder of the tables."""
        return self.directory / "tables"

    def table(self, piece: Piece, name: str) -> pd.DataFrame | None:
        """A table that was measured; None: it was not."""
        path = self.tables / f"{piece.name}-{name}.csv"
        return pd.read_csv(path) if path.exists() else None

    def write(self, piece: Piece, name: str, table: pd.DataFrame) -> None:
        """Writes a table."""
        write_csv(self.tables / f"{piece.name}-{name}.csv", table)

    def measured(self) -> list[Piece]:
        """The pieces that have tables.

        Raises:
            ConfigError: There is none.
        """
        found = [p for p in PIECES.values() if any(self.tables.glob(f"{p.name}-*.csv"))]
        if not found:
            raise ConfigError(
                "offline study", str(self.directory),
                "Name a folder in which `make offline` has finished a piece.", "holds no tables",
            )  # fmt: skip
        return found
