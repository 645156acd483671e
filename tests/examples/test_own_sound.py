"""Whether a clip's own sound beats those of other clips: counted clip by clip and pair by pair."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from examples.research import evaluate_expert, own_sound
from examples.research.own_sound import Scored
from tests.helpers.tiny_cache import ALIGNED, JUDGE, talking_cache
from w2l.data.batches.tracks import Tracks
from w2l.models.checkpoint import ModelCard, dimensions_of, save_model
from w2l.nets.judge import Judge, JudgeDimensions


def scored(clip: str, person: str, own: float, *others: float, same: tuple[bool, ...] = ()) -> Scored:
    both = {"LSE-C": tuple(others), "LSE-D": tuple(-10 - other for other in others)}
    return Scored(clip, person, {"LSE-C": own, "LSE-D": -10 - own}, both, same or (False,) * len(others))


def test_a_clip_is_told_by_the_mean_and_a_pair_by_itself() -> None:
    clips = [scored("a", "me", 2.0, 1.0, 2.5, same=(True, False)), scored("b", "you", 1.0, 1.0, 4.0)]
    assert own_sound.clips_right(clips, "LSE-C") == 0.5  # 2 over 1.75, 1 not over 2.5
    assert own_sound.clips_right(clips, "LSE-D") == 0.5
    assert own_sound.pairs_right(clips, "LSE-C") == (1 + 0 + 0.5 + 0) / 4
    assert own_sound.pairs_right(clips, "LSE-C", within=True) == 1.0
    # The other clip has no other sound of its person.
    assert [own_sound.clips_right(clips, score, within=True) for score in ("LSE-C", "LSE-D")] == [1.0, 0.0]
    assert np.isnan(own_sound.clips_right(clips[1:], "LSE-D", within=True))
    assert np.isnan(own_sound.pairs_right(clips[1:], "LSE-C", within=True))


def test_the_table_names_the_worst_person() -> None:
    clips = [scored("a", "me", 2.0, 1.0), scored("b", "you", 1.0, 3.0)]
    lines = own_sound.own_sound_table("unseen", "m", clips)
    assert [line.split("|")[1].strip() for line in lines] == [
        "unseen", "unseen: me", "unseen: you", "unseen: worst of 2 people"
    ]  # fmt: skip
    assert [line.split("|")[4].strip() for line in lines] == ["0.500", "1.000", "0.000", "0.000"]
    assert {line.count("|") for line in [*lines, *own_sound.HEADER]} == {12}


class Loud:
    """Embeds faces by the height of the mouth and sounds by their level: the truth of `talking_cache`."""

    network = torch.nn.Identity()

    def embed(self, faces: torch.Tensor, sounds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        open_ = (faces[..., 2] == 30).float().mean(dim=(2, 3)).mean(dim=1)
        loud = sounds.mean(dim=(1, 2))
        return (loud + 3.5)[:, None] / 4.5, (open_ - 1 / 32)[:, None] / 0.4

    def similarity(self, audio: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


def test_one_who_reads_lips_tells_all_clips(tmp_path: Path) -> None:
    cache = talking_cache(tmp_path / "cache", 4, n_frames=60)
    tracks = Tracks(cache, cache.tracks(), ALIGNED)
    found = own_sound.score_own_and_others(tracks, Loud(), torch.device("cpu"), 2)
    assert [len(clip.others["LSE-C"]) for clip in found] == [2] * 4
    assert own_sound.clips_right(found, "LSE-D") == 1.0
    alone = Tracks(cache, cache.tracks().select(np.array([0])), ALIGNED)
    assert own_sound.score_own_and_others(alone, Loud(), torch.device("cpu"), 2) == []


@pytest.mark.parametrize("others", [None, 0])
def test_a_judge_is_measured_so_unless_it_is_not_wanted(tmp_path: Path, others: int | None) -> None:
    cache = talking_cache(tmp_path / "cache", 5, n_frames=30, crop=JUDGE, split="test")
    for clip, split in zip(list(cache.clips())[:2], ("train", "val")):
        record = json.loads((clip.folder / "clip.json").read_text())
        (clip.folder / "clip.json").write_text(json.dumps(record | {"split": split}))
    cache.invalidate_index()
    torch.manual_seed(0)
    judge = Judge(JudgeDimensions(size=JUDGE.size, width=2))
    save_model(tmp_path / "judge.safetensors", judge, ModelCard("judge", dimensions_of(judge), JUDGE))
    given = [str(cache.root), str(tmp_path / "judge.safetensors"), "--kind", "judge", "--out", str(tmp_path / "out")]
    given += [] if others is None else ["--others", str(others)]
    done = CliRunner().invoke(evaluate_expert.main, given, catch_exceptions=False)
    assert done.exit_code == 0
    assert ("own sound over others" in done.stdout) == (others is None)
    rows = json.loads((tmp_path / "out/scores.json").read_text())["rows"]
    row = next(row for row in rows if row["split"] == "test")
    assert len(row["own_sound"]) == (3 if others is None else 0)
