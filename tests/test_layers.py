"""The house rules that can be read from the source: who imports whom, where files are opened, how large things are."""

import ast
import functools
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLOORS = (
    "core nets", "media features cache report", "models marks", "faces", "data", "scoring syncing training",
    "api errors", "queue", "ui", "stages", "__main__",
)  # fmt: skip
"""Packages from the ground up; a package imports only packages on lower floors. `w2l.__main__` starts `stages.cli`."""
FLOOR = {package: floor for floor, names in enumerate(FLOORS) for package in names.split()}
TOP = {"__init__.py", "__main__.py", "py.typed", *FLOOR} - {"stages", "__main__"}
STAGE_GROUND = {
    "stages.batch", "stages.cli", "stages.log", "stages.options", "stages.types",
    *(f"stages.checks.{name}" for name in ("finding", "machine", "parts", "storage")),
}  # fmt: skip
"""Modules of stages that are not commands."""
PURE_CORE = ("w2l.core.arrays", "w2l.core.timing", "w2l.core.intervals")
PURE_SCORE = ("w2l.scoring.inputs.matching", "w2l.scoring.study.means", "w2l.scoring.study.plan")
PURE = ("w2l.features", *PURE_CORE, *PURE_SCORE, "w2l.training.scores", "w2l.training.audit.lag",
        *(f"w2l.marks.{name}" for name in ("code", "pattern", "embed", "detect")))  # fmt: skip
PURE_MEASURES = ("columns", "frechet", "lse", "parts", "ssim", "sync", "view")
PURE_MEASURES_OF = "w2l.scoring.metrics"
"""Modules that take and return arrays and open nothing."""
IMPURE = {"os", "io", "pathlib", "tempfile", "shutil", "subprocess", "logging"}
DOORS = {
    "av": ("w2l.media",),
    "safetensors": ("w2l.models.checkpoint",),
    "pickle": ("w2l.models.checkpoint",),
    "c2pa": ("w2l.marks.provenance",),
    "click": ("stages",),
    "cryptography": ("w2l.marks.keys",),
    "argparse": (),
    "fastapi": ("w2l.ui",),
    "gradio": ("w2l.ui",),
    "uvicorn": ("w2l.ui",),
}
"""Package -> the only modules of ours that import it."""
DOORS_OF_CALLS = {
    "torch.load": ("w2l.models.checkpoint",),
    "torch.save": ("w2l.models.checkpoint",),
    "fcntl.flock": ("w2l.core.locks",),
    "av.open": ("w2l.media.container", "w2l.media.unfinished"),
    "print": (),
    "input": (),
    "exit": (),
    "quit": (),
}
HEAVY = ("c2pa", "cryptography", "librosa", "insightface", "mtcnn", "scenedetect")
"""Imported only when they are used."""
LIGHT = ("stages", "stages.cli", "w2l", "w2l.__main__", "w2l.core.errors")
"""What ``w2l --help`` imports, and what it does not import."""
NOT_LIGHT = ("torch", "numpy", "cv2", "av", "yaml", "rich")
SHARED_NAMES = {
    "run": "the story of a stage",
    "score": "w2l.api calls the function of the same name", "train_expert": "the same", "verify": "the same",
    "run_figures": "w2l.queue calls it in its own process", "run_page": "the same",
    "pictures_of": "of a sequence, and of a source",
}  # fmt: skip
"""Public names that more than one module of w2l defines: why. Every other name has one meaning."""
MAX_LINES, MAX_FUNCTION, SHORT_FUNCTION, MAX_ARGUMENTS = 350, 80, 40, 7

PATHS = [path for package in ("w2l", "stages") for path in sorted((ROOT / package).rglob("*.py"))]
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in PATHS}
Functions = Iterator[tuple[str, ast.FunctionDef]]


@functools.cache
def trees() -> dict[str, ast.Module]:
    """Return the parsed modules by name; only in the processes that run these tests."""
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def imports(tree: ast.AST) -> set[str]:
    """Return the dotted names of all imported modules, lazy and typing-only imports included."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide who imports whom"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            ours = members & set(MODULES)
            found |= ours | (set() if ours == members else {node.module or ""})
    return found


@functools.cache
def all_imports() -> dict[str, set[str]]:
    """Return what each module imports."""
    return {name: imports(tree) for name, tree in trees().items()}


def at_import(tree: ast.Module) -> ast.Module:
    """Return the module without what runs only when a function is called, or what only type checkers see."""

    def runs(node: ast.stmt) -> bool:
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        return not isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not typing_only

    return ast.Module([node for node in tree.body if runs(node)], [])


def within(name: str, *packages: str) -> bool:
    """Return whether a module is one of `packages` or lies in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def package_of(name: str) -> str:
    """Return the package of the plan that a module of ours lies in; empty for `w2l` itself."""
    parts = name.split(".")
    return "stages" if parts[0] == "stages" else (parts[1] if len(parts) > 1 else "")


def calls(tree: ast.AST) -> set[str]:
    """Return everything that is called, as written."""
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def functions() -> Functions:
    """Yield all functions and methods with the names of their modules."""
    for name, tree in trees().items():
        yield from ((name, node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def arguments(node: ast.FunctionDef) -> list[ast.arg]:
    """Return the arguments that a caller gives."""
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return [argument for argument in given if argument.arg not in ("self", "cls")]


def length(node: ast.FunctionDef) -> int:
    """Return the number of lines from ``def`` to the end, without the docstring."""
    first = node.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if is_docstring else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - docstring


def test_the_rooms_are_those_of_the_plan() -> None:
    here = {path.name for path in (ROOT / "w2l").iterdir() if path.is_file() or any(path.rglob("*.py"))}
    assert here == TOP  # folders of compiled files that an earlier version left do not count
    assert {package_of(name) for name in MODULES} - {""} == set(FLOOR)
    assert all_imports()["stages.preprocess"] >= {"w2l.cache.store", "stages.options", "click"}


def test_imports_go_down() -> None:
    wrong = []
    for name, found in all_imports().items():
        for other in sorted(found & set(MODULES) - {"w2l", "stages"}):
            here, there = package_of(name), package_of(other)
            if here != there and here and FLOOR[there] >= FLOOR[here]:
                wrong.append(f"{name} imports {other}")
            if here == there == "stages" and other not in STAGE_GROUND:
                wrong.append(f"{name} imports the stage {other}")
    assert not wrong, "\n".join(wrong)


def test_modules_form_no_cycle() -> None:
    graphlib.TopologicalSorter({name: found & set(MODULES) - {name} for name, found in all_imports().items()}).prepare()


def test_measures_do_not_know_the_scorer() -> None:
    known = {
        name: [other for other in found if within(other, "w2l.scoring") and not within(other, "w2l.scoring.metrics")]
        for name, found in all_imports().items()
        if within(name, "w2l.scoring.metrics")
    }
    assert not {name: found for name, found in known.items() if found}


def test_networks_know_networks_only() -> None:
    allowed = sys.stdlib_module_names - IMPURE
    for name in filter(lambda name: within(name, "w2l.nets"), MODULES):
        assert {other for other in all_imports()[name] if not within(other, "torch", "w2l.nets")} <= allowed, name


def test_pure_modules_open_nothing() -> None:
    pure = (*PURE, *(f"{PURE_MEASURES_OF}.{measure}" for measure in PURE_MEASURES))
    assert not [entry for entry in pure if not any(within(name, entry) for name in MODULES)]
    allowed = (set(sys.stdlib_module_names) - IMPURE) | {"numpy", "librosa", "scipy", "cv2"}
    files = {"open", "np.load", "np.save", "np.savez", "np.fromfile", "cv2.imread", "cv2.imwrite"}
    for name in filter(lambda name: within(name, *pure), MODULES):
        others = {other for other in all_imports()[name] if not within(other, *pure, "w2l.core.errors")}
        assert {other.partition(".")[0] for other in others} <= allowed, name
        assert not files & calls(trees()[name]), name


def test_one_door_each() -> None:
    wrong = [
        f"{name} imports {package}"
        for name, found in all_imports().items()
        for package, doors in DOORS.items()
        if any(within(other, package) for other in found) and not within(name, *doors)
    ]
    wrong += [
        f"{name} calls {call}"
        for name, tree in trees().items()
        for call, doors in DOORS_OF_CALLS.items()
        if call in calls(tree) and within(name, "w2l") and not within(name, *doors)
    ]
    assert not wrong, "\n".join(wrong)


def test_importing_is_cheap_and_does_no_work() -> None:
    wrong = []
    for name, tree in trees().items():
        early = at_import(tree)
        wrong += [f"{name} imports {other} early" for other in imports(early) if within(other, *HEAVY)]
        if name in LIGHT:
            wrong += [f"{name} imports {other}" for other in all_imports()[name] if within(other, *NOT_LIGHT)]
        loose = [node for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
        wrong += [f"{name}, line {node.lineno}: a call at import" for node in loose]
        wrong += [f"{name} calls {call} at import" for call in {"open", "np.load", "torch.load"} & calls(early)]
    assert not wrong, "\n".join(wrong)


def shared_names(parsed: dict[str, ast.Module]) -> dict[str, list[str]]:
    """Return the public classes and functions that several modules define at their top level -> those modules."""
    found: dict[str, list[str]] = {}
    for module, tree in parsed.items():
        for node in tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name[0] != "_":
                found.setdefault(node.name, []).append(module)
    return {name: modules for name, modules in found.items() if len(modules) > 1}


def test_a_public_name_has_one_meaning() -> None:
    found = shared_names({module: tree for module, tree in trees().items() if module.startswith("w2l")})
    new = [f"{name}: {', '.join(modules)}" for name, modules in found.items() if name not in SHARED_NAMES]
    assert not new, "defined twice; give one of them a more precise name:\n" + "\n".join(new)
    assert SHARED_NAMES.keys() <= found.keys(), "names that are no longer shared"


def test_a_name_defined_twice_is_found() -> None:
    one, other = ast.parse("def load(): ...\nclass Box: ..."), ast.parse("def load(): ...\ndef _box(): ...")
    assert shared_names({"a": one, "b": other}) == {"load": ["a", "b"]}


def test_sizes_and_signatures() -> None:
    wrong = []
    for name, path in MODULES.items():
        lines = path.read_text(encoding="utf-8").count("\n")
        wrong += [f"{name} has {lines} lines"] * (lines >= MAX_LINES)
        wrong += [f"{name} has no docstring"] * (not ast.get_docstring(trees()[name]))
        wrong += [f"{name}: a name that says nothing"] * bool({"utils", "common", "helpers"} & set(name.split(".")))
        wrong += [f"{name}: global" for node in ast.walk(trees()[name]) if isinstance(node, ast.Global)]
    for name, node in functions():
        asked, commands = arguments(node), ast.unparse(node.decorator_list[0]) if node.decorator_list else ""
        wrong += [f"{name}.{node.name} has {length(node)} lines"] * (length(node) > MAX_FUNCTION)
        wrong += [f"{name}.{node.name}: {one.arg} has no type" for one in asked if one.annotation is None]
        public = node.name == "__init__" or not node.name.startswith("_")
        named = node.args.kwonlyargs if within(name, "w2l.api") else asked if "click.command" in commands else []
        too_many = len(asked) - len(named) > MAX_ARGUMENTS and public  # users give options by name
        wrong += [f"{name}.{node.name} takes {len(asked)} arguments"] * too_many
    assert not wrong, "\n".join(wrong)


def test_most_functions_are_short_and_public_ones_explained() -> None:
    lengths = [length(node) for _, node in functions()]
    assert sum(lines < SHORT_FUNCTION for lines in lengths) >= 0.9 * len(lengths)
    kinds = (ast.FunctionDef, ast.ClassDef)
    public = [
        node for tree in trees().values() for node in tree.body if isinstance(node, kinds) and node.name[0] != "_"
    ]
    without = [node.name for node in public if not ast.get_docstring(node)]
    assert len(without) <= 0.05 * len(public), without
