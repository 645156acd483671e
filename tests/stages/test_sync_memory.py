"""`w2l sync --reference memory`: looks of the face itself, kept in the cache, the same after a stop; none in stills."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import w2l.syncing.draw as sync_draw
import w2l.syncing.footage as footage
from tests.faces.test_recogniser import made_recogniser
from tests.helpers.sync_runs import Run, pictures, same, voice, write_pictures
from tests.syncing.memory.made_looks import covered, talking
from w2l.core.errors import MediaError
from w2l.core.files import sha256
from w2l.media.audio import write_wav
from w2l.media.parts import PartWriter
from w2l.syncing import tools
from w2l.syncing.compose import Compositor

BOX = "41.7,26.7,118.3,127.7"
MEMORY = ("--box", BOX, "--reference", "memory")


@pytest.fixture(scope="module")
def talk(media: Path) -> Path:
    """A drawn face that talks for 1.6 s, something to say, and less."""
    write_pictures(media / "talk.mp4", talking(40)[0], options={"crf": "10"})
    write_wav(media / "said.wav", voice(1.2))
    write_wav(media / "word.wav", voice(0.4))
    return media


@pytest.mark.usefixtures("talk")
class TestMemory:
    def test_looks_are_chosen_and_kept_in_the_cache(self, sync: Run, tmp_path: Path) -> None:
        made = sync("-o", "one.mp4", *MEMORY, video="talk.mp4", speech="said.wav", faces=True)
        assert made.status == 0, made.err
        record = json.loads((tmp_path / "one.w2l.json").read_text())
        assert record["references"].startswith("the person's own mouths, chosen by audio (")
        (kept,) = (tmp_path / "cache").rglob("looks.npz")
        assert sync("-o", "two.mp4", *MEMORY, video="talk.mp4", speech="said.wav", faces=True).status == 0
        assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()
        kept.write_bytes(kept.read_bytes()[:-100])
        again = sync("-o", "three.mp4", *MEMORY, video="talk.mp4", speech="said.wav", faces=True)
        assert again.status == 0
        assert "is damaged" in again.err
        assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "three.mp4").read_bytes()

    def test_other_speech_shows_other_mouths(self, sync: Run, tmp_path: Path) -> None:
        write_wav(tmp_path / "other.wav", voice(1.2)[::-1].copy())
        for name, speech in (("one", "said.wav"), ("two", tmp_path / "other.wav")):
            assert sync("-o", f"{name}.mp4", *MEMORY, video="talk.mp4", speech=speech, faces=True).status == 0
        one, two = (pictures(tmp_path / f"{name}.mp4") for name in ("one", "two"))
        assert max(np.abs(a.y.astype(int) - b.y).max() for a, b in zip(one, two)) > 5

    def test_a_stopped_job_goes_on_as_if_it_never_had(
        self, sync: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sync_draw, "LONG_S", 0.5)
        monkeypatch.setattr(sync_draw, "PART_S", 0.4)
        call: dict[str, Any] = {"video": "talk.mp4", "speech": "said.wav", "faces": True, "crf": 20}
        assert sync("-o", "whole.mp4", *MEMORY, **call).status == 0
        write, written = PartWriter.write, []

        def full(writer: PartWriter, picture: object) -> None:
            written.append(picture)
            if len(written) == 17:
                raise MediaError("out.mp4: no space")
            write(writer, picture)  # type: ignore[arg-type]

        monkeypatch.setattr(PartWriter, "write", full)
        assert sync("-o", "out.mp4", *MEMORY, **call).status == 1
        assert sync("-o", "out.mp4", *MEMORY, "--resume", **call).status == 0
        assert len(written) < 17 + 30
        assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()

    def test_frames_with_something_over_the_mouth_pass_through_and_are_counted(self, sync: Run, tmp_path: Path) -> None:
        images = talking(40)[0]
        images[10:16] = [covered(image, "cup") for image in images[10:16]]
        write_pictures(tmp_path / "cup.mp4", images, options={"crf": "10"})
        tried = sync("-o", "out.mp4", *MEMORY, "--dry-run", video=tmp_path / "cup.mp4", speech="said.wav", faces=True)
        assert "6 something covers the mouth or chin" in tried.out
        assert "mouths, chosen by audio (face 0: " in tried.out
        made = sync("-o", "out.mp4", *MEMORY, video=tmp_path / "cup.mp4", speech="said.wav", faces=True)
        assert made.status == 0, made.err
        record = json.loads((tmp_path / "out.w2l.json").read_text())
        assert record["frames_passed_through"] == {"something covers the mouth or chin": 6}
        source = pictures(tmp_path / "cup.mp4")
        assert all(same(ours, theirs) for ours, theirs in zip(pictures(tmp_path / "out.mp4")[10:16], source[10:16]))

    def test_where_there_are_no_looks_closed_mouths_serve_and_that_is_said(self, sync: Run, tmp_path: Path) -> None:
        write_pictures(tmp_path / "short.mp4", talking(3)[0])
        made = sync("-o", "out.mp4", *MEMORY, video=tmp_path / "short.mp4", faces=True)
        assert made.status == 0, made.err
        assert "3 mouth samples of face 0 are too few to choose from" in made.err
        assert json.loads((tmp_path / "out.w2l.json").read_text())["references"].startswith("frames of similar pose")


@pytest.mark.usefixtures("talk")
class TestStills:
    """The shipped generator for stills takes the place of the other where there are no mouths to choose from."""

    SHIPPED = ("--box", BOX, "--model", "w2l")

    def model(self, sync: Run, tmp_path: Path, *extra: str, video: object, faces: bool = True) -> tuple[str, str]:
        made = sync("-o", "out.mp4", *self.SHIPPED, *extra, video=video, speech="word.wav", faces=faces, crf=30)
        assert made.status == 0, made.err
        record = json.loads((tmp_path / "out.w2l.json").read_text())
        assert record["hashes"]["model"] == sha256(Path(record["model"]))
        return Path(record["model"]).name, made.err

    def test_a_still_and_a_listener_get_it_and_a_speaker_does_not(self, sync: Run, tmp_path: Path) -> None:
        images = talking(12)[0]
        still = tmp_path / "still.png"
        cv2.imwrite(str(still), images[0][..., ::-1])
        write_pictures(tmp_path / "listener.mp4", [images[0]] * 20, options={"crf": "10"})
        for video in (still, tmp_path / "listener.mp4"):
            name, said = self.model(sync, tmp_path, "-y", video=video)
            assert name == "generator-still.safetensors"
            assert "drawn by w2l-still" in said
        assert self.model(sync, tmp_path, "-y", video="talk.mp4")[0] == "generator.safetensors"
        assert self.model(sync, tmp_path, "-y", "--reference", "closed", video=still)[0] == "generator.safetensors"

    def test_a_still_shows_its_own_teeth_unless_it_gets_the_mouths_of_a_video(
        self, sync: Run, tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[bool] = []

        class Spy(Compositor):
            def __init__(self, *given: Any, still: bool = False, **named: Any) -> None:
                asked.append(still)
                super().__init__(*given, still=still, **named)

        monkeypatch.setattr(tools, "Compositor", Spy)
        still = tmp_path / "still.png"
        cv2.imwrite(str(still), talking(1)[0][0][..., ::-1])
        mouths = ("--mouths", str(media / "talk.mp4"))
        for extra, video, expected in (((), still, True), ((), "talk.mp4", False), (mouths, still, False)):
            asked.clear()
            self.model(sync, tmp_path, "-y", *extra, video=video)
            assert any(asked) is expected, (extra, video)

    def test_the_dry_run_names_it_and_the_second_run_finds_the_first(self, sync: Run, tmp_path: Path) -> None:
        still = tmp_path / "still.png"
        cv2.imwrite(str(still), talking(1)[0][0][..., ::-1])
        tried = sync("-o", "out.mp4", *self.SHIPPED, "--dry-run", video=still, speech="word.wav", faces=True)
        assert "generator-still.safetensors" in tried.out
        self.model(sync, tmp_path, video=still)
        again = sync("-o", "out.mp4", *self.SHIPPED, "--resume", video=still, speech="word.wav", faces=True, crf=30)
        assert again.status == 0
        assert "is up to date" in again.err


@pytest.mark.usefixtures("talk")
class TestMouths:
    """`--mouths`: further videos of the same person."""

    def test_a_still_speaks_with_the_mouths_of_a_video(self, sync: Run, tmp_path: Path, media: Path) -> None:
        still = tmp_path / "still.png"
        cv2.imwrite(str(still), talking(1)[0][0][..., ::-1])
        call: dict[str, Any] = {"video": still, "speech": "word.wav", "faces": True, "crf": 30}
        more = ("--model", "w2l", "--mouths", media / "talk.mp4")
        made = sync("-o", "out.mp4", *more, **call)
        assert made.status == 0, made.err
        record = json.loads((tmp_path / "out.w2l.json").read_text())
        assert Path(record["model"]).name == "generator.safetensors"
        assert record["references"].startswith("the person's own mouths, chosen by audio (face 0: ")
        assert record["settings"]["mouths"] == [str(media / "talk.mp4")]
        assert record["hashes"][f"mouths {media / 'talk.mp4'}"] == sha256(media / "talk.mp4")
        assert "is up to date" in sync("-o", "out.mp4", *more, "--resume", **call).err
        assert sync("-o", "out.mp4", "--model", "w2l", "--resume", **call).status == 2  # another output

    def test_a_recogniser_tells_whether_it_is_the_same_person(
        self, sync: Run, tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(footage, "SAME_PERSON", 0.95)  # the made recogniser sees colours alone
        call: dict[str, Any] = {"video": "talk.mp4", "speech": "word.wav", "faces": True, "crf": 30}
        stranger = tmp_path / "stranger.mp4"
        tint = np.array([0.4, 0.75, 1.0])
        images = [np.asarray(image * tint, np.uint8) for image in talking(30, seed=3)[0]]
        write_pictures(stranger, images, options={"crf": "10"})
        told = ("--model", "w2l", "--set", f"recogniser={made_recogniser(tmp_path / 'r.onnx')}", "--dry-run")
        same = sync("-o", "out.mp4", *told, "--mouths", media / "talk.mp4", **call)
        assert same.status == 0, same.err
        assert "not verified" not in same.err
        other = sync("-o", "out.mp4", *told, "--mouths", stranger, **call)
        assert other.status == 2
        assert "stranger.mp4 shows a different person" in other.err
        unchecked = sync("-o", "out.mp4", "--model", "w2l", "--dry-run", "--mouths", stranger, **call)
        assert unchecked.status == 0
        assert "not verified to show the person" in unchecked.err

    def test_what_cannot_be_used_is_refused_by_name(self, sync: Run, tmp_path: Path, media: Path) -> None:
        call: dict[str, Any] = {"video": "talk.mp4", "speech": "word.wav", "faces": True}
        nobody = tmp_path / "nobody.mp4"
        write_pictures(nobody, [np.full((160, 160, 3), 90, np.uint8)] * 10)
        still = tmp_path / "still.png"
        cv2.imwrite(str(still), talking(1)[0][0][..., ::-1])
        for mouths, options, told in (
            (tmp_path / "none.mp4", (), "is not a file"),
            (still, (), "is a picture"),
            (nobody, (), "no face"),
            (media / "talk.mp4", ("--reference", "closed"), "--reference memory"),
        ):
            refused = sync("-o", "out.mp4", "--model", "w2l", "--mouths", mouths, *options, **call)
            assert refused.status == 2, refused.err
            assert told in refused.err
        assert not (tmp_path / "out.mp4").exists()
