"""The notebook runs from its first cell to its last, and is kept without outputs."""

import ast
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOTEBOOK = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Run a cell as a kernel does; return the value of an expression at its end."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # type: ignore[attr-defined]


def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    matplotlib.use("Agg", force=True)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*non-interactive.*")
        values = [run_cell("".join(cell["source"]), names) for cell in CODE]
    made, seen, streamed = names["made"], names["seen"], names["streamed"]
    assert (made.frames, seen["sync"], len(streamed)) == (50, (50, 50), 50)
    assert any((new != old).any() for new, old in zip(streamed, names["before"]))
    assert "LSE-D" in values[-3]._repr_html_()
    assert {row["clip"] for row in values[-2]} == {"synced"}
    assert names["axes"].get_xlabel().startswith("offset")


def test_it_is_kept_without_outputs() -> None:
    assert (NOTEBOOK["nbformat"], len({cell["id"] for cell in NOTEBOOK["cells"]})) == (4, len(NOTEBOOK["cells"]))
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CODE)
