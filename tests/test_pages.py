"""What pages, recipes and help texts name is there: files by path, scripts by module."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMED = re.compile(r"(?<![\w/*.-])(?:docs|examples|tests|w2l)/[\w/.-]+\.(?:md|py|yaml|png|safetensors|npz)\b")
MODULES = re.compile(r"python -m (examples(?:\.\w+)+)")
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/*.md",
    "w2l/models/assets/README.md",
    "examples/**/*.py",
    "examples/**/*.yaml",
    "stages/*.py",
)
TEXTS = {path: path.read_text(encoding="utf-8") for pattern in PAGES for path in sorted(ROOT.glob(pattern))}


def module_exists(name: str) -> bool:
    """Return whether ``python -m`` finds the module; NAME stands for any."""
    path = ROOT / name.replace(".", "/")
    return name.endswith(".NAME") or path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_what_pages_name_is_there() -> None:
    wrong = []
    for page, text in TEXTS.items():
        missing = [name for name in NAMED.findall(text) if not (ROOT / name).is_file()]
        missing += [name for name in MODULES.findall(text) if not module_exists(name)]
        wrong += [f"{page.relative_to(ROOT)} names {name}" for name in missing]
    assert not wrong, "\n".join(wrong)


def test_names_are_found_at_all() -> None:
    named = {name for text in TEXTS.values() for name in (*NAMED.findall(text), *MODULES.findall(text))}
    assert named >= {"docs/results.md", "examples/recipes/expert.yaml", "examples/quickstart.py", "examples.benchmarks"}
