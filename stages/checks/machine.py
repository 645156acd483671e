"""Checks of the environment: Python, packages, devices."""

import os
import platform
import re
import shutil
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path

from stages.checks.finding import LIKELY, Finding, State, gigabytes, reason
from w2l.core.text import one_line

LEAST_PYTHON = (3, 10)
IMPORTED = {"av": "av", "numpy": "numpy", "onnxruntime": "onnxruntime", "opencv-python": "cv2", "pyyaml": "yaml",
            "rich": "rich", "safetensors": "safetensors", "torch": "torch"}  # fmt: skip
"""Packages that every job imports, with the module of each; for the others only the version is read."""
INSTEAD = {
    "onnxruntime": ("onnxruntime-gpu",),
    "opencv-python": ("opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless"),
}
"""Packages that contain the same module as the required one; two of them overwrite each other's files."""


def check_packages(root: Path | None) -> Iterator[Finding]:
    """Yield Python and each required package: its version, whether it is sufficient, whether it can be imported."""
    version = platform.python_version()
    state: State = "ok" if sys.version_info >= LEAST_PYTHON else "broken"
    advice = "" if state == "ok" else f"install Python {'.'.join(map(str, LEAST_PYTHON))} or later"
    yield Finding("packages", "python", state, version, advice, {"version": version, "system": platform.platform()})
    try:
        required = metadata.requires("w2l") or []
        version = metadata.version("w2l")
        yield Finding("packages", "w2l", "ok", version, facts={"version": version})
    except metadata.PackageNotFoundError:
        required = list(IMPORTED)
        advice = "run pip install . in its folder"
        yield Finding("packages", "w2l", "warning", "not installed as a package; its requirements are unknown", advice)
    for line in required:
        if "extra ==" not in line:
            yield _package(line)


def _package(requirement: str) -> Finding:
    """Return the finding about one line of requirements, such as ``opencv-python<5,>=4.10``."""
    name = re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower()
    limits = requirement.partition(";")[0][len(name) :].replace(" ", "")
    install = f"pip install '{name}{limits}'"
    here = {each: found for each in (name, *INSTEAD.get(name, ())) if (found := _version(each))}
    if not here:
        return Finding("packages", name, "broken", "not installed", install)
    holder, version = next(iter(here.items()))
    shown = f"{version} ({holder})" if holder != name else version
    facts = {"version": version, "distribution": holder}
    if not fits(version, limits):
        return Finding("packages", name, "broken", f"{shown} does not fit {limits}", install, facts)
    try:
        if name in IMPORTED:
            import_module(IMPORTED[name])
    except LIKELY as error:
        advice = f"pip install --force-reinstall '{name}{limits}'"
        return Finding("packages", name, "broken", f"{shown} cannot be imported: {reason(error)}", advice, facts)
    if len(here) > 1:
        detail = f"{' and '.join(here)} overwrite each other's files"
        advice = f"pip uninstall {' '.join(here)}; then {install}"
        return Finding("packages", name, "warning", detail, advice, facts)
    return Finding("packages", name, "ok", shown, facts=facts)


def _version(name: str) -> str:
    try:
        return metadata.version(name) or ""
    except metadata.PackageNotFoundError:
        return ""


def fits(version: str, limits: str) -> bool:
    """Whether a version satisfies limits such as ``<5,>=4.10``, by its release numbers."""
    release = _release(version)
    for limit in filter(None, limits.split(",")):
        found = re.fullmatch(r"(>=|<)([\d.]+)", limit)
        if found and (release >= _release(found[2])) != (found[1] == ">="):
            return False
    return True


def _release(version: str) -> tuple[int, ...]:
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in numbers[0].split(".")) if numbers else ()


def check_devices(root: Path | None) -> Iterator[Finding]:
    """Yield the CPU and each GPU that PyTorch can use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("devices", "cpu", "ok", f"{cores} cores, {platform.machine()}", facts={"cores": cores})
    import torch

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        gpus = [_gpu(index) for index in range(n_gpus)]
    yield from gpus
    if gpus:
        return
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia/version").exists():
        said_text = f": {one_line(said[0].message)}" if said else ""
        detail = f"an NVIDIA driver is installed, but torch {torch.__version__} finds no GPU{said_text}"
        advice = "install the CUDA build of PyTorch that fits the driver: https://pytorch.org/get-started"
        yield Finding("devices", "cuda", "warning", detail, advice)
    else:
        yield Finding("devices", "cuda", "missing", "no CUDA GPU; everything runs on the CPU, and training is slow")


def _gpu(index: int) -> Finding:
    """Return a GPU on which one sum was computed, or the reason why that failed."""
    import torch

    name = f"cuda:{index}"
    facts = torch.cuda.get_device_properties(index)
    detail = f"{facts.name}, {gigabytes(facts.total_memory)}"
    try:
        float(torch.ones(2, device=name).sum())
    except RuntimeError as error:
        advice = "free the GPU or install another build of PyTorch; --device cpu works meanwhile"
        return Finding("devices", name, "warning", f"{detail}: {reason(error)[:200]}", advice)
    return Finding("devices", name, "ok", detail, facts={"name": facts.name, "bytes": facts.total_memory})
