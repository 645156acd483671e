"""The house rules that can be read from the source: who imports whom, where files are opened, how large things are."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PURE = {
    "timing", "spectral", "stretches", "faces.boxes", "data.windows", "training.scores",
    "metrics.aperture", "metrics.columns", "metrics.frechet", "metrics.lag", "metrics.lse", "metrics.parts",
    "metrics.sync", "metrics.view", "score.matching", "study.means", "study.plan",
}  # fmt: skip
"""Modules of w2l that take and return arrays and open nothing."""
STAGE_GROUND = {"stages.batch", "stages.cli", "stages.options"}
"""Modules of stages that are no stages."""
MAX_LINES = 350
MAX_FUNCTION = 80
SHORT_FUNCTION = 40


def _modules() -> dict[str, Path]:
    paths = [path for package in ("w2l", "stages") for path in sorted((ROOT / package).rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


MODULES = _modules()
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def imports(tree: ast.AST) -> set[str]:
    """Dotted names of all imported modules, and of what is imported from them, where it is a module of ours."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide who imports whom"
            module = node.module or ""
            members = {f"{module}.{alias.name}" for alias in node.names}
            ours = {member for member in members if member in MODULES}
            found |= ours | (set() if ours == members else {module})
    return found


def top_level(tree: ast.Module) -> ast.Module:
    """The module without what only runs when a function is called, or what only type checkers see."""
    def keeps(node: ast.stmt) -> bool:
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        return not isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not typing_only

    return ast.Module([node for node in tree.body if keeps(node)], [])


def within(name: str, *packages: str) -> bool:
    """Whether a module is one of `packages` or lies in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def calls(tree: ast.AST) -> Iterator[str]:
    """Everything that is called, as written."""
    return (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """All functions and methods."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def length(node: ast.FunctionDef) -> int:
    """Lines from ``def`` to the end, without the docstring."""
    first = node.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if is_docstring else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - docstring


def test_there_is_something_to_look_at() -> None:
    assert {"w2l.cache", "w2l.nets.generator", "stages.preprocess", "stages.cli"} <= set(MODULES)
    assert imports(TREES["stages.preprocess"]) >= {"w2l.cache", "stages.options", "click"}
    assert {f"w2l.{name}" for name in PURE} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_dependencies_point_one_way(name: str) -> None:
    found = imports(TREES[name])
    if within(name, "w2l"):
        assert not [module for module in found if within(module, "stages", "click", "argparse")]
    else:
        allowed = STAGE_GROUND | {name}
        assert not [module for module in found if within(module, "stages") and module not in allowed]


@pytest.mark.parametrize("name", [name for name in MODULES if within(name, "w2l.metrics")])
def test_measures_know_nothing_of_the_scorer(name: str) -> None:
    assert not [module for module in imports(TREES[name]) if within(module, "w2l.score", "w2l.study")]


@pytest.mark.parametrize("name", [name for name in MODULES if within(name, "w2l.nets")])
def test_networks_know_networks_only(name: str) -> None:
    outside = {module for module in imports(TREES[name]) if not within(module, "torch", "w2l.nets")}
    assert outside <= sys.stdlib_module_names - {"pathlib", "os", "io", "logging"}


@pytest.mark.parametrize("name", [f"w2l.{name}" for name in sorted(PURE)])
def test_pure_modules_open_nothing(name: str) -> None:
    tree = TREES[name]
    ours = {f"w2l.{pure}" for pure in PURE}
    impure = {"os", "io", "pathlib", "tempfile", "shutil", "subprocess", "logging"}
    allowed = (set(sys.stdlib_module_names) - impure) | {"numpy", "librosa"}
    assert not [module for module in imports(tree) if module not in ours and module.partition(".")[0] not in allowed]
    assert not {"open", "print", "input"} & set(calls(tree))
    assert not [call for call in calls(tree) if call.startswith(("np.load", "np.save", "np.fromfile"))]


@pytest.mark.parametrize("name", MODULES)
def test_one_door_each(name: str) -> None:
    tree = TREES[name]
    found = imports(tree)
    if not within(name, "w2l.media"):
        assert not [module for module in found if within(module, "av")]
    if name != "w2l.training.checkpoint":
        assert not {"torch.save", "torch.load"} & set(calls(tree))
        assert not [module for module in found if within(module, "safetensors", "pickle")]
    if name not in ("w2l.cache", "w2l.locks"):
        assert not [call for call in calls(tree) if call.endswith((".lock", "fcntl.flock"))]
    if within(name, "w2l"):
        assert not {"print", "input", "sys.exit", "exit", "quit"} & set(calls(tree))


@pytest.mark.parametrize("name", MODULES)
def test_importing_is_cheap_and_does_no_work(name: str) -> None:
    tree = TREES[name]
    at_import = imports(top_level(tree))
    assert not [module for module in at_import if within(module, "librosa", "insightface", "mtcnn", "scenedetect")]
    if name in ("stages.cli", "stages", "w2l", "w2l.errors"):
        heavy = ("torch", "numpy", "cv2", "av", "yaml", "rich")
        assert not [module for module in imports(tree) if within(module, *heavy)]
    loose = [node for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    assert not loose, f"{name} calls something when it is imported, line {loose[0].lineno}"
    assert not {"open", "Path.read_text", "np.load", "torch.load"} & set(calls(top_level(tree)))


@pytest.mark.parametrize("name", MODULES)
def test_names_and_sizes(name: str) -> None:
    assert not {"utils", "util", "common", "helpers", "helper", "misc"} & set(name.split("."))
    lines = MODULES[name].read_text(encoding="utf-8").count("\n")
    assert lines < MAX_LINES, f"{name} has {lines} lines"
    tree = TREES[name]
    assert ast.get_docstring(tree), f"{name} does not say what it is for"
    for function in functions(tree):
        assert length(function) <= MAX_FUNCTION, f"{name}.{function.name} has {length(function)} lines"
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        bare = [argument.arg for argument in arguments if argument.annotation is None]
        assert not [argument for argument in bare if argument not in ("self", "cls")], f"{name}.{function.name}"


@pytest.mark.parametrize("name", MODULES)
def test_no_error_is_swallowed_unnamed(name: str) -> None:
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type is not None else ""
            raises = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
            blanket = caught in ("", "Exception", "BaseException")
            assert raises or not blanket, f"{name}, line {node.lineno}"
        assert not isinstance(node, ast.Global), f"{name}, line {node.lineno}"


def test_most_functions_are_short_and_public_ones_explained() -> None:
    lengths = [length(function) for tree in TREES.values() for function in functions(tree)]
    assert sum(lines < SHORT_FUNCTION for lines in lengths) >= 0.9 * len(lengths)
    public = [
        node for tree in TREES.values() for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    ]  # fmt: skip
    without = [node.name for node in public if not ast.get_docstring(node)]
    assert len(without) <= 0.05 * len(public), without
