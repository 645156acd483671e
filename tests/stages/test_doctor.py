"""`w2l doctor`: a whole machine, and made absences and damage; it never fails, fetches or writes."""

import json
import os
import shutil
import socket
import subprocess
import sys
import warnings
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from stages import doctor
from stages.checks import machine, parts, storage
from stages.checks.finding import Finding
from tests.stages.test_cli import Run, run  # noqa: F401
from tests.test_dependencies import requirements
from w2l.cache.store import Cache
from w2l.core.errors import MediaError
from w2l.models import fetch, packs, registry


def by_name(findings: Any) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("W2L_INSIGHTFACE", raising=False)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("doctor must not use the network"))


def test_a_whole_installation_is_healthy(run: Run, tmp_path: Path) -> None:  # noqa: F811
    Cache.open(tmp_path / "cache", create=True)
    before = sorted(tmp_path.rglob("*"))
    status, out, err = run("doctor", "--json")
    assert (status, err) == (0, "")
    content = json.loads(out)
    assert content["healthy"]
    found = {finding["name"]: finding for finding in content["findings"]}
    names = {requirement.split(">=")[0] for requirement in requirements()}
    assert names <= set(found)
    assert found["torch"]["facts"]["version"] == metadata.version("torch")
    for name in ("h264", "aac", "mtcnn", "generator", "expert", "judge", "lip reader", "disk"):
        assert found[name]["state"] == "ok", found[name]
    assert found["syncnet-v2"]["state"] == "missing"
    assert "w2l weights fetch syncnet-v2" in found["syncnet-v2"]["advice"]
    assert found["disk"]["facts"]["free"] > 0
    assert found["cache"]["facts"]["bytes"] == sum(path.stat().st_size for path in before if path.is_file())
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_report_fits_and_names_what_to_do(width: int) -> None:
    findings = [
        Finding("packages", "torch", "ok", "2.9.0"),
        Finding("packages", "av", "broken", "not installed " * 9, "pip install 'av>=18'"),
        Finding("models", "judge", "missing", "here not", "w2l weights fetch judge"),
    ]
    text = click.unstyle(doctor.report(findings, width))
    assert max(map(len, text.splitlines())) <= width
    assert "-> pip install 'av>=18'" in text
    assert text.endswith("Broken: av. Follow the arrows above, from the top.")
    assert "1 optional part missing" in doctor.report([findings[0], findings[2]], width)


MANY = ("av", "cv2", "onnxruntime", "rich", "safetensors", "yaml")


@pytest.mark.parametrize("absent", [("torch",), pytest.param(("numpy",), marks=pytest.mark.slow), MANY])
def test_absent_packages_are_findings(tmp_path: Path, absent: tuple[str, ...]) -> None:
    script = f"import sys\nsys.modules.update(dict.fromkeys({absent}))\n"  # importing them now raises ImportError
    script += "from stages.cli import main\nmain(['doctor', '--json', '--cache', 'none'])"
    environment = os.environ | {"PYTHONPATH": str(Path(doctor.__file__).parents[1])}
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1, ended.stderr
    found = by_name(Finding(**finding) for finding in json.loads(ended.stdout)["findings"])
    for module in absent:
        distribution = next(name for name, imported in machine.IMPORTED.items() if imported == module)
        assert found[distribution].state == "broken"
        assert "pip install" in found[distribution].advice
        assert distribution in doctor.report(list(found.values()), 80).splitlines()[-1]
    assert found["click"].state == "ok"


@pytest.mark.parametrize(("line", "versions", "state", "said"), [
    ("av>=18", {"av": "17.2"}, "broken", "17.2 does not fit >=18"),
    ("av>=18", {}, "broken", "not installed"),
    ("av>=18", {"av": "18.0rc1"}, "ok", "18.0rc1"),
    ("opencv-python<5,>=4.10", {"opencv-python": "5.0"}, "broken", "does not fit"),
    ("opencv-python<5,>=4.10", {"opencv-python-headless": "4.11"}, "ok", "(opencv-python-headless)"),
    ("opencv-python<5,>=4.10", {"opencv-python": "4.11", "opencv-contrib-python": "4.11"}, "warning", "overwrite"),
])  # fmt: skip
def test_versions_are_compared_with_what_is_required(
    monkeypatch: pytest.MonkeyPatch, line: str, versions: dict[str, str], state: str, said: str
) -> None:
    monkeypatch.setattr(machine, "_version", lambda name: versions.get(name, ""))
    monkeypatch.setattr(metadata, "requires", lambda _: [line, "ray>=2; extra == 'ray'"])
    monkeypatch.setattr(metadata, "version", lambda _: "0.2.0")
    *_, finding = machine.check_packages(None)
    assert (finding.state, said in finding.detail) == (state, True), finding
    assert bool(finding.advice) == (state != "ok")


def test_without_the_package_of_w2l_the_requirements_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    found = by_name(machine.check_packages(None))
    assert found["w2l"].state == "warning"
    assert found["torch"].state == "ok"


@pytest.mark.parametrize(("driver", "state"), [("/usr/bin/nvidia-smi", "warning"), (None, "missing")])
def test_a_driver_without_a_gpu_in_torch_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, driver: str | None, state: str
) -> None:
    def unavailable() -> bool:
        warnings.warn("the driver is too old", stacklevel=1)
        return False

    monkeypatch.setattr("torch.cuda.is_available", unavailable)
    monkeypatch.setattr(machine.shutil, "which", lambda _: driver)
    monkeypatch.setattr(machine.Path, "exists", lambda _: False)
    cuda = by_name(machine.check_devices(None))["cuda"]
    assert (cuda.state, "too old" in cuda.detail) == (state, state == "warning")


def test_a_gpu_that_cannot_compute_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = SimpleNamespace(name="Some GPU", total_memory=8_000_000_000)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: facts)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel image")

    monkeypatch.setattr("torch.ones", fail)
    gpu = by_name(machine.check_devices(None))["cuda:0"]
    assert gpu.state == "warning"
    assert "Some GPU, 8.0 GB: RuntimeError: no kernel image" in gpu.detail


def test_absent_encoders_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("av.codecs_available", {"libx265", "libopus"})
    found = by_name(parts.check_encoders(None))
    assert [found[name].state for name in ("h264", "hevc", "av1", "aac", "libopus")] == [
        "broken", "ok", "missing", "broken", "ok",
    ]  # fmt: skip


def test_detectors_that_cannot_be_built_are_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("W2L_INSIGHTFACE", str(tmp_path / "gone.onnx"))
    found = by_name(parts.check_detectors(tmp_path))
    assert (found["auto"].state, found["mtcnn"].state) == ("broken", "ok")
    assert "unset W2L_INSIGHTFACE" in found["auto"].advice
    monkeypatch.delenv("W2L_INSIGHTFACE")
    monkeypatch.setattr("w2l.faces.detectors.mtcnn._weights_folder", lambda: tmp_path)
    found = by_name(parts.check_detectors(tmp_path))
    assert (found["auto"].state, found["mtcnn"].state) == ("broken", "broken")


def test_damaged_models_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shipped = tmp_path / "assets"
    shutil.copytree(registry.BUNDLED, shipped)
    (shipped / "judge.safetensors").unlink()
    content = (shipped / "expert.safetensors").read_bytes()
    (shipped / "expert.safetensors").write_bytes(content[: len(content) // 2])
    monkeypatch.setattr(registry, "BUNDLED", shipped)
    cache = Cache.open(tmp_path / "cache", create=True)
    (cache.models / "syncnet-v2").mkdir(parents=True)
    (cache.models / "mine.safetensors").write_bytes(b"rubbish")
    found = by_name(parts.check_models(cache.root))
    assert [found[kind].state for kind in ("generator", "expert", "judge")] == ["ok", "broken", "broken"]
    assert found["syncnet-v2"].state == found["mine"].state == "warning"
    monkeypatch.setattr(fetch, "fetched", lambda models: {"syncnet-v2": models, "buffalo_l": models})
    monkeypatch.setattr(registry, "fetched", lambda models: {})
    found = by_name(parts.check_models(cache.root))
    assert (found["syncnet-v2"].state, found["buffalo_l"].state) == ("ok", "ok")
    assert set(packs.PACKS) - set(found) == {"buffalo_s"}


def test_caches_that_cannot_be_used_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, content in (("old", '{"format": 99}'), ("damaged", "{")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cache.json").write_text(content)
        assert by_name(storage.check_cache(tmp_path / name))["cache"].state == "broken"
    (tmp_path / "file").write_text("x")
    assert by_name(storage.check_cache(tmp_path / "file"))["cache"].state == "warning"
    assert by_name(storage.check_cache(tmp_path))["cache"].state == "warning"
    found = by_name(storage.check_cache(tmp_path / "not" / "there"))
    assert (found["cache"].state, found["disk"].state) == ("ok", "ok")
    monkeypatch.setattr(storage.os, "access", lambda *_: False)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    found = by_name(storage.check_cache(tmp_path / "not" / "there"))
    assert (found["access"].state, found["disk"].state, found["disk"].detail) == ("warning", "warning", "1.0 MB free")


def test_a_huge_cache_is_sized_in_bounded_time(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "x").write_bytes(b"1234")
    assert storage.disk_size(tmp_path) == (12, True)
    size, is_whole = storage.disk_size(tmp_path, limit_s=-1)
    assert (size < 12, is_whole) == (True, False)


def test_a_check_that_fails_keeps_what_it_found_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(root: Path | None) -> Any:
        yield Finding("cache", "first", "ok", "fine")
        raise MediaError("a part is broken; mend it")

    monkeypatch.setattr(doctor, "CHECKS", {"cache": check, "models": lambda root: 1 / 0})
    with pytest.raises(ZeroDivisionError):  # a fault of ours is not hidden
        doctor.run(None)
    monkeypatch.setattr(doctor, "CHECKS", {"cache": check})
    found = by_name(doctor.run(None))
    assert (found["first"].state, found["cache"].state) == ("ok", "broken")
    assert "a part is broken" in found["cache"].detail
