"""The calls over HTTP, as docs/ui.md writes them, against a live server."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ui.conftest import Server
from w2l.cache.store import Cache

pytestmark = pytest.mark.slow
PAGE = Path(__file__).resolve().parents[2] / "docs" / "ui.md"
DOCUMENTED = "http://127.0.0.1:7860"


def blocks(language: str) -> list[str]:
    section = PAGE.read_text(encoding="utf-8").split("## Over HTTP")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def test_the_documented_calls_run_as_written(serve: Callable[[], Server], inputs: Path, tmp_path: Path) -> None:
    pytest.importorskip("gradio_client")
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    shutil.copy(inputs / "face.mp4", tmp_path / "in.mp4")
    shutil.copy(inputs / "own.wav", tmp_path / "speech.wav")
    address = serve().address
    call, upload = blocks("sh")
    (client,) = blocks("python")
    environment = {**os.environ, "TOKEN": "none"}

    def run(command: list[str]) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
        return done.stdout

    answer = run(["bash", "-c", call.replace(DOCUMENTED, address)])
    assert "event: complete" in answer
    (queued,) = json.loads(answer.split("data: ")[1])
    assert (queued["kind"], queued["title"]) == ("sync", "in-synced.mp4")
    assert "--set 'silence=\"model\"'" in queued["command"]
    said = run([sys.executable, "-c", client.replace(DOCUMENTED, address)])
    assert "\ndone [" in said
    assert said.count(".mp4'") == 1
    (received,) = json.loads(run(["bash", "-c", upload.replace(DOCUMENTED, address)]))
    assert Path(received).read_bytes() == (tmp_path / "in.mp4").read_bytes()
    file = re.findall(r"'([^']+\.mp4)'", said)[0]
    with urllib.request.urlopen(f"{address}/gradio_api/file={file}") as response:
        assert response.read() == Path(file).read_bytes()


@pytest.fixture
def links(tmp_path: Path) -> list[str]:
    """Addresses of files that are not those of jobs."""
    jobs = tmp_path / "cache" / "jobs"
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    Cache.open(tmp_path / "cache", create=True)
    jobs.mkdir()
    (jobs / "link.txt").symlink_to(secret)
    (jobs / "folder").symlink_to(tmp_path)
    inside = f"{jobs}/../../secret.txt"
    files = ["/etc/hostname", str(secret), inside, inside.replace("..", "%2e%2e"), "../../etc/hostname"]
    links = [f"{jobs}/link.txt", f"{jobs}/folder/secret.txt"]
    return [*files, *links, f"{tmp_path}/cache/cache.json", "http://example.org/"]


def test_wrong_calls_have_the_sentence_and_other_files_are_refused(
    serve: Callable[[], Server], links: list[str], tmp_path: Path
) -> None:
    gradio_client = pytest.importorskip("gradio_client")
    address = serve().address
    client = gradio_client.Client(address, verbose=False)
    for call, given, sentence in (
        ("/sync", ("", "", {}, ".mp4"), "choose a video"),
        ("/sync", ("gone.mp4", "x.wav", {}, ".mp4"), "gone.mp4"),
        ("/score", ([], [], {}), "choose videos to score"),
        ("/job", ("../..",), "there is no job"),
    ):
        with pytest.raises(Exception, match=sentence):
            client.predict(*given, api_name=call)
    assert client.predict(api_name="/jobs") == []
    for link in links:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/gradio_api/file={link}")
        assert refused.value.code in (403, 404), link
