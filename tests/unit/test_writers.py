"""Every output goes through ``pipeline/tools/files.py``: no writer goes round it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOME = "pipeline/tools/files.py"
METHODS = {"write_text", "write_bytes", "to_csv", "to_parquet", "to_json", "savefig"}
FUNCTIONS = {
    "os.replace", "os.rename", "json.dump", "yaml.dump", "yaml.safe_dump", "pickle.dump",
    "torch.save", "np.save", "np.savez", "pq.write_table", "pq.ParquetWriter", "shutil.copytree",
    "pa.CompressedOutputStream", "shutil.copy", "shutil.copyfile", "shutil.copy2", "shutil.move",
    "save_file", "pa.OSFile",
}  # fmt: skip
IN_MEMORY = {"buffer", "sink"}
"""Names of what is no path."""
ALLOWED = {
    ("pipeline/tools/streamed.py", "pq.ParquetWriter"): "it is part of the helper",
    ("pipeline/data/parts.py", "pq.ParquetWriter"): "inside a folder that is renamed when complete",
    (
        "pipeline/data/writer.py",
        "pq.ParquetWriter",
    ): "inside a folder that is renamed when complete",
    ("pipeline/data/pool.py", "pq.ParquetWriter"): "inside a folder that is renamed when complete",
    (
        "pipeline/data/quality.py",
        "pq.ParquetWriter",
    ): "written beside, row by row, and put in place",
    ("pipeline/data/importing/long/files.py", "open"): "a copy for this process in a spill folder",
    (
        "pipeline/algorithms/replay.py",
        "pa.CompressedOutputStream",
    ): "inside a checkpoint that is renamed when complete",
    ("cluster/ui.py", "open"): "a log that grows while it is read",
    ("cluster/local.py", "open"): "a log that grows while it is read",
}
"""Writers that may go round it: (file, call) -> why."""


def writers(source: str) -> Iterator[str]:
    """Calls that give a file its content or its name, but for those that write to a place that
    ``beside()`` gave."""
    tree = ast.parse(source)
    places = {
        item.optional_vars.id
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        for item in node.items
        if isinstance(item.context_expr, ast.Call)
        and ast.unparse(item.context_expr.func).endswith("beside")
        and isinstance(item.optional_vars, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (name := _writes(node)):
            used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            if not used & (places | IN_MEMORY):
                yield name


def _writes(call: ast.Call) -> str:
    name = ast.unparse(call.func)
    last = name.rsplit(".", 1)[-1]
    if name in FUNCTIONS:
        to_text = name.startswith("yaml.") and len(call.args) < 2
        reads = name == "pa.OSFile" and "'wb'" not in ast.unparse(call)
        return "" if to_text or reads else name
    if last == "open":
        modes = [*call.args[0 if "." in name and name != "gzip.open" else 1 :]]
        modes += [k.value for k in call.keywords if k.arg == "mode"]
        texts = [m.value for m in modes if isinstance(m, ast.Constant) and isinstance(m.value, str)]
        return "open" if any(set(t) & set("wax+") and len(t) <= 3 for t in texts) else ""
    if last in METHODS and isinstance(call.func, ast.Attribute):
        returns_text = last.startswith("to_") and not call.args
        return "" if returns_text else last
    if last in ("rename", "replace") and len(call.args) == 1 and not call.keywords:
        return last  # a path's; a text's replace() has two arguments
    return ""


def test_no_writer_goes_round_the_helper() -> None:
    found = {
        (str(path.relative_to(ROOT)), name)
        for package in ("envs", "pipeline", "tuning", "cluster")
        for path in sorted((ROOT / package).rglob("*.py"))
        for name in writers(path.read_text())
    }
    assert {(file, name) for file, name in found if file != HOME} == set(ALLOWED)


@pytest.mark.parametrize(
    "source",
    [
        "open('f', 'w')", "path.open('wb')", "path.open(mode='a')", "gzip.open(path, 'wb')",
        "path.write_text(text)", "table.to_csv(path)", "table.to_parquet(path, index=False)",
        "os.replace(a, b)", "partial.rename(path)", "partial.replace(path)", "json.dump(x, file)",
        "yaml.safe_dump(x, file)", "torch.save(x, path)", "figure.savefig(path)",
        "with beside(path) as partial:\n    other.write_text(text)",
    ],
)  # fmt: skip
def test_the_check_sees_a_writer(source: str) -> None:
    assert len(list(writers(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "path.open()", "open('f', encoding='utf-8')", "text.replace('a', 'b')",
        "replace(run, seed=1)", "write_text(path, text)",
        "table.to_csv(index=False)", "table.rename(columns=names)", "yaml.safe_dump(x)",
        "torch.save(x, buffer)", "with beside(path) as partial:\n    partial.write_text(text)",
        "with files.beside(path) as partial:\n    (partial / 'a').write_text(text)",
    ],
)  # fmt: skip
def test_the_check_lets_pass(source: str) -> None:
    assert list(writers(source)) == []
