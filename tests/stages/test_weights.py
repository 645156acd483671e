"""weights through the command line: the list, a model brought in and used by its name, a pack fetched after a yes."""

import dataclasses
import hashlib
import io
import json
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import click
import pytest
import torch

from stages import cli
from w2l.cache.store import Cache
from w2l.faces.detectors.factory import make_detector
from w2l.models import packs
from w2l.models import registry as weights
from w2l.models.checkpoint import ModelCard, dimensions_of, save_model
from w2l.models.packs import PACKS, Pack, PackFile
from w2l.nets.expert import Expert, ExpertDimensions

Run = Callable[..., tuple[int, str, str]]
CONTENT = b"the detector"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `w2l weights` in an empty folder; gives status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("W2L_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = 0
        try:
            cli.main(["weights", *map(str, arguments)])
        except SystemExit as stop:
            status = int(stop.code or 0)
        seen = capsys.readouterr()
        return status, seen.out, seen.err

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "mine.safetensors"
    network = Expert(ExpertDimensions(64, 5, 1))
    save_model(path, network, ModelCard("expert", dimensions_of(network), step=12, data="some clips"))
    return path


@pytest.fixture
def pack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pack]:
    """Has a server of this machine hold a small buffalo_l."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("det_10g.onnx", CONTENT)
        archive.writestr("w600k_r50.onnx", b"a recogniser" * 1000)
    content = buffer.getvalue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    made = dataclasses.replace(
        PACKS["buffalo_l"],
        url=f"http://127.0.0.1:{server.server_address[1]}/buffalo_l.zip",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        files=(PackFile("det_10g.onnx", len(CONTENT), hashlib.sha256(CONTENT).hexdigest()),),
    )
    monkeypatch.setitem(packs.PACKS, "buffalo_l", made)
    yield made
    server.shutdown()
    server.server_close()


def test_the_list_needs_no_cache_and_makes_none(run: Run, tmp_path: Path) -> None:
    status, out, err = run()
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["name", "kind", "size", "licence", "from"]
    shipped = [[name, path.stem.split("-")[0]] for name, path in weights._shipped()]
    assert [line.split()[:2] for line in lines[1:]] == shipped
    assert all("CC BY 4.0" in line and "shipped" in line for line in lines[1:])
    assert not (tmp_path / "cache").exists()
    status, out, _ = run("--json")
    found = json.loads(out)
    assert status == 0
    assert {entry["name"] for entry in found} == {"w2l", "w2l-still"}
    assert all(Path(entry["path"]).stat().st_size == entry["size"] for entry in found)
    status, _, err = run("--cache", "none")
    assert status == 1
    assert "does not exist" in err


def test_a_model_is_brought_in_and_listed(run: Run, model: Path, tmp_path: Path) -> None:
    status, out, err = run("import", model, "--as", "mine", "--licence", "for tests")
    assert (status, err) == (0, "")
    assert out.splitlines()[1].split("  ")[0] == "mine"
    assert "for tests" in out
    assert "imported, step 12: some clips" in out
    status, _, err = run("import", model, "--as", "mine")
    assert (status, err.count("\n")) == (2, 1)
    assert "already exists" in err
    assert run("import", model, "--as", "mine", "-y")[0] == 0
    _, out, _ = run("--json")
    mine = next(entry for entry in json.loads(out) if entry["name"] == "mine")
    assert (mine["kind"], mine["origin"], mine["step"], mine["licence"]) == ("expert", "imported", 12, "")
    cache = Cache.open(tmp_path / "cache")
    assert weights.load_by_name("mine", "expert", cache).card.step == 12


def test_options_count_before_and_after_the_word(run: Run, model: Path, tmp_path: Path) -> None:
    status, out, _ = run("--cache", "one", "--json", "import", model, "--as", "mine")
    assert status == 0
    assert json.loads(out)["name"] == "mine"
    assert (tmp_path / "one" / "models" / "mine.safetensors").is_file()
    assert run("--cache", "one", "import", model, "--as", "mine", "--cache", "two")[0] == 0
    assert (tmp_path / "two" / "models" / "mine.safetensors").is_file()
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("arguments", "status", "said"), [
    (("import", "none.pth", "--as", "x"), 1, "does not exist"),
    (("import", "bad.pth", "--as", "x"), 1, "bad.pth"),
    (("import", "mine.safetensors"), 2, "--as"),
    (("import", "mine.safetensors", "--as", "w2l"), 2, "shipped"),
    (("import", "mine.safetensors", "--as", "a/b"), 2, "plain"),
    (("import",), 2, "Missing argument"),
    (("fetch", "nothing"), 2, "buffalo_l"),
    (("fetch",), 2, "Missing argument"),
    (("fetch", "buffalo_l"), 2, "--yes"),
    (("fetch", "buffalo_l", "--yes", "--from", "none.zip"), 1, "none.zip cannot be read"),
    (("fetch", "buffalo_l", "--yes", "--from", "bad.pth"), 1, "cannot be unpacked"),
    (("fetch", "buffalo_l", "--yes", "--set", "timeout_s=0"), 2, "must be positive"),
    (("--set", "nosuch=1"), 2, "nosuch"),
    (("nosuch",), 2, "No such command"),
])  # fmt: skip
def test_bad_input_is_one_line(
    run: Run, model: Path, tmp_path: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    (tmp_path / "bad.pth").write_bytes(b"no model")
    ended, out, err = run(*arguments)
    assert (ended, out, err.count("\n")) == (status, "", 1)
    assert err.startswith("error: ")
    assert said in err
    models = tmp_path / "cache" / "models"
    assert not models.exists() or not list(models.rglob("*.*"))


def test_a_pack_is_fetched_after_a_yes_alone(
    run: Run, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(yes: bool) -> Callable[..., bool]:
        def confirm(text: str, **_: object) -> bool:
            asked.append(text)
            if not yes:
                raise click.Abort
            return True

        return confirm

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    folder = tmp_path / "cache" / "models" / "buffalo_l"
    monkeypatch.setattr(click, "confirm", answer(False))
    status, out, err = run("fetch", "buffalo_l")
    assert (status, out) == (130, "")
    assert "non-commercial" in err
    assert pack.url in err
    assert not folder.exists()
    monkeypatch.setattr(click, "confirm", answer(True))
    status, out, err = run("fetch", "buffalo_l")
    assert (status, len(asked)) == (0, 2)
    assert "non-commercial" in err
    assert "non-commercial" in out
    assert sorted(path.name for path in folder.iterdir()) == ["det_10g.onnx", "pack.json"]
    assert "buffalo_l  detector" in run()[1]
    assert run("fetch", "buffalo_l", "--yes")[::2] == (0, "")
    assert len(asked) == 2


def test_without_a_network_the_user_is_told_what_to_do(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    url = f"http://127.0.0.1:{closed.server_address[1]}/buffalo_l.zip"
    closed.server_close()
    monkeypatch.setitem(packs.PACKS, "buffalo_l", dataclasses.replace(PACKS["buffalo_l"], url=url))
    status, out, err = run("fetch", "buffalo_l", "--yes")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "w2l weights fetch buffalo_l --from buffalo_l.zip" in err


def test_a_pack_can_be_brought_by_hand_and_auto_then_takes_it(
    run: Run, tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("W2L_INSIGHTFACE", raising=False)
    content = (shared / "models" / "scrfd_500m_kps.onnx").read_bytes()
    file = PackFile("det_10g.onnx", len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(packs.PACKS, "buffalo_l", dataclasses.replace(PACKS["buffalo_l"], files=(file,)))
    (tmp_path / "brought").mkdir()
    (tmp_path / "brought" / file.name).write_bytes(content)
    models = Cache.open(tmp_path / "cache", create=True).models
    assert make_detector("auto", models=models).name == "mtcnn"
    assert run("fetch", "buffalo_l", "--yes", "--from", "brought")[0] == 0
    assert make_detector("auto", models=models).name == "insightface"
    assert make_detector("insightface", models=models).fingerprint == make_detector("auto", models=models).fingerprint
    assert make_detector("auto").name == "mtcnn"


def test_a_public_checkpoint_is_told_apart_by_its_keys(run: Run, tmp_path: Path) -> None:
    """Its kind is recognised before its weights are missed."""
    torch.save({"state_dict": {"module.netcnnlip.0.weight": torch.zeros(1)}}, tmp_path / "syncnet_v2.model")
    status, _, err = run("import", "syncnet_v2.model", "--as", "syncnet")
    assert status == 1
    assert "netcnnlip.0.weight" in err or "not a complete judge" in err
