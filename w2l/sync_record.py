"""The record beside an output of `sync`: what it was made of and how, for people and for `score`."""

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("w2l", "av", "numpy", "onnxruntime", "opencv-python", "torch")
"""What the pixels and the sound of an output depend on."""
BLOCK = 2**20


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that make the pixels."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
