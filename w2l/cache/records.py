"""The record beside an output: its suffix and the versions it names."""

import platform
from importlib.metadata import PackageNotFoundError, version

SIDECAR = ".w2l.json"
"""Suffix of the record beside the output."""
PACKAGES = ("w2l", "av", "numpy", "onnxruntime", "opencv-python", "torch")
"""What the pixels and the sound of an output depend on."""


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that make the pixels."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
