"""What the tests of this folder share: their modules for media and runs, and the command line in an empty folder."""

from pathlib import Path

import pytest

from stages import cli
from tests.helpers.kept_models import keep_models
from tests.helpers.sync_runs import BOX_OPTION, Outcome, Run, make_media

BY_HAND = ("--box", BOX_OPTION, "--on-covered", "redraw")


@pytest.fixture
def w2l(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line in an empty folder, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("W2L_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = 0
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = int(stop.code or 0)
        seen = capsys.readouterr()
        return Outcome(status, seen.out, seen.err)

    return run


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `sync_runs.make_media`."""
    folder = tmp_path_factory.mktemp("media")
    make_media(folder)
    return folder


@pytest.fixture
def sync(w2l: Run, media: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`w2l sync` of the clip, or of another, with a small model, losslessly, and a box by hand unless `faces`.

    What covers a mouth is not looked for in such a box, where the waves of the clip would change nothing.
    """
    keep_models(monkeypatch)

    def run(
        *extra: object,
        video: object = "clip.mp4",
        speech: object = "speech.wav",
        model: str = "aligned",
        faces: bool = False,
        crf: int = 0,
    ) -> Outcome:
        videos = video if isinstance(video, list) else [video]
        spoken = speech if str(speech) == "-" else media / str(speech)
        given = [*(media / str(one) for one in videos), spoken]
        marked = () if "--mark" in extra else ("--mark", "record")  # tests compare samples with the source's
        quick = ("--device", "cpu", "--crf", crf, "--preset", "ultrafast", *(() if faces else BY_HAND))
        return w2l("sync", *given, "--model", media / f"{model}.safetensors", *quick, *marked, *extra)

    return run
