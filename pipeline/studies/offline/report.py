"""One page, and a Markdown file per piece, from the study's tables alone."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from pipeline.comparison.pages import page
from pipeline.comparison.style import DARK
from pipeline.studies.offline.figures import drawn
from pipeline.studies.offline.findings import Judged, judged
from pipeline.studies.offline.folder import REPORT, OfflineFolder
from pipeline.studies.offline.pieces import Piece
from pipeline.studies.offline.tables import SHOWN
from pipeline.tools.files import write_bytes, write_text


@dataclass(frozen=True)
class Section:
    """A table of a piece, ready for the page."""

    title: str
    note: str
    titles: list[str]
    rows: list[list[str]]
    light: str
    """The figure as a data URL; empty if there is none."""
    dark: str


def write_offline(directory: Path) -> Path:
    """Writes ``tables/<piece>.md``, ``figures/*.png`` and the page.

    Args:
        directory: The study's; pieces that are not there yet are left out.

    Returns:
        Path of the page.

    Raises:
        ConfigError: It holds no tables.
    """
    folder = OfflineFolder(directory)
    pieces = []
    for piece in folder.measured():
        tables = {n: t for n in SHOWN if (t := folder.table(piece, n)) is not None and len(t)}
        pairs = folder.table(piece, "pairs")
        found = [] if pairs is None else judged(pairs)
        write_text(folder.tables / f"{piece.name}.md", _markdown(piece, tables, found))
        sections = [_section(folder, piece, name, table) for name, table in tables.items()]
        pieces.append({"piece": piece, "findings": found, "sections": sections})
    text = page(
        "offline.html.j2",
        title="DeepStock: the offline study",
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        pieces=pieces,
    )
    write_text(directory / REPORT, text)
    return directory / REPORT


def _section(folder: OfflineFolder, piece: Piece, name: str, table: pd.DataFrame) -> Section:
    shown = SHOWN[name]
    light, dark = drawn(name, table), drawn(name, table, DARK)
    if light is not None:
        write_bytes(folder.directory / "figures" / f"{piece.name}-{name}.png", light)
    return Section(
        shown.title,
        shown.note,
        [column.title for column in shown.there(table)],
        shown.cells(table),
        _inline(light),
        _inline(dark),
    )


def _inline(png: bytes | None) -> str:
    return "" if png is None else "data:image/png;base64," + base64.b64encode(png).decode()


def _markdown(piece: Piece, tables: dict[str, pd.DataFrame], found: list[Judged]) -> str:
    parts = [f"# {piece.title}\n"]
    if found:
        parts.append("## Published findings\n")
        parts += [f"{finding.paragraph}\n" for finding in found]
    parts += [SHOWN[name].markdown(table) for name, table in tables.items()]
    return "\n".join(parts)
