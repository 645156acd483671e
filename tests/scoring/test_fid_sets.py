"""The distances of whole systems, from files of features: their sets, their halves, and what cannot be compared."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from w2l.core.errors import CacheError
from w2l.scoring.fid_sets import FrechetSets, read_features, write_features
from w2l.scoring.metrics.fid import ENOUGH_CLIPS, FD_JUDGE_COLUMNS, FID_COLUMNS, LEAST_CLIPS
from w2l.scoring.metrics.frechet import Moments, frechet_distance

Clip = tuple[NDArray[np.floating], NDArray[np.floating] | None]


def made_clips(n_clips: int, dims: int = 12, seed: int = 0, paired: bool = True) -> dict[str, Clip]:
    """Clips of 4 to 9 frames whose outputs differ a little from their references."""
    rng = np.random.default_rng(seed)
    clips: dict[str, Clip] = {}
    for idx in range(n_clips):
        real = rng.normal(size=(rng.integers(4, 10), dims)) + rng.normal(size=dims)
        clips[f"s{idx}"] = (0.8 * real + 0.3, real if paired else None)
    return clips


def stored(sets: FrechetSets, system: str, clips: dict[str, Clip], folder: Path) -> None:
    """Files as `write_features` makes them, which flushes each to the disk and so takes its time."""
    for name, (output, real) in clips.items():
        (folder / system).mkdir(parents=True, exist_ok=True)
        ours, theirs = (folder / system / f"{name}.{side}.npy" for side in ("output", "real"))
        np.save(ours, half(output))
        if real is not None:
            np.save(theirs, half(real))
        sets.add(system, name, ours, theirs if real is not None else None)


def half(rows: NDArray[np.floating]) -> NDArray[np.float16]:
    return rows.astype(np.float32).astype(np.float16)


def direct(outputs: list[NDArray[np.floating]], reals: list[NDArray[np.floating]]) -> float:
    sides = []
    for rows in (outputs, reals):
        sides.append(Moments(rows[0].shape[1]))
        sides[-1].add(half(np.concatenate(rows)))
    return frechet_distance(*sides)


@pytest.mark.parametrize("n_clips", [2, LEAST_CLIPS, 31])
def test_sets_of_files_give_the_distance_of_all_their_rows(n_clips: int, tmp_path: Path) -> None:
    clips = made_clips(n_clips)
    sets = FrechetSets()
    stored(sets, "ours", clips, tmp_path)
    found = sets.score("ours")
    outputs, reals = ([clip[side] for clip in clips.values()] for side in (0, 1))
    assert found["fid"] == pytest.approx(direct(outputs, reals), rel=1e-9)  # type: ignore[arg-type]
    assert found["fid_frames"] == sum(len(rows) for rows in outputs)  # type: ignore[arg-type]
    assert ("fid_unbiased" in found) == (n_clips >= LEAST_CLIPS)
    if n_clips >= LEAST_CLIPS:
        assert found["fid_unbiased"] < found["fid"]
    assert any(f"FID of ours: of {n_clips} clips" in note for note in sets.notes())
    assert set(found) <= {column.name for column in FID_COLUMNS}


def test_scores_depend_on_neither_order_nor_other_systems(tmp_path: Path) -> None:
    clips = made_clips(20)
    one, two = FrechetSets(FD_JUDGE_COLUMNS), FrechetSets(FD_JUDGE_COLUMNS)
    stored(one, "ours", clips, tmp_path)
    stored(two, "theirs", made_clips(20, seed=5), tmp_path)
    stored(two, "ours", dict(reversed(clips.items())), tmp_path)
    assert one.score("ours") == two.score("ours") == two.score("ours")
    assert set(one.score("ours")) == {column.name for column in FD_JUDGE_COLUMNS}
    assert two.score("theirs")["fd_judge"] != two.score("ours")["fd_judge"]
    seeded = FrechetSets(FD_JUDGE_COLUMNS, seed=1)
    stored(seeded, "ours", clips, tmp_path)
    assert seeded.score("ours")["fd_judge"] == pytest.approx(one.score("ours")["fd_judge"], rel=1e-9)
    assert seeded.score("ours")["fd_judge_unbiased"] != one.score("ours")["fd_judge_unbiased"]


def test_clips_without_a_real_video_are_left_out_and_told(tmp_path: Path) -> None:
    clips = made_clips(10)
    sets, fewer = FrechetSets(), FrechetSets()
    stored(fewer, "ours", clips, tmp_path)
    stored(sets, "ours", clips | {"odd": (np.full((5, 12), 9.0), None)}, tmp_path)
    assert sets.score("ours") == fewer.score("ours")
    assert any("1 of 11 clips left out" in note for note in sets.notes())


def test_without_own_references_all_real_clips_are_the_set(tmp_path: Path) -> None:
    ours, reals = made_clips(9, paired=False), made_clips(12, seed=3, paired=False)
    sets = FrechetSets()
    stored(sets, "ours", ours, tmp_path)
    assert sets.score("ours") == {}
    stored(sets, "real", reals, tmp_path)
    found = sets.score("ours")
    assert found["fid"] == pytest.approx(
        direct([a for a, _ in ours.values()], [a for a, _ in reals.values()]), rel=1e-9
    )
    assert any("all real clips (12)" in note for note in sets.notes())
    assert sets.score("real") == sets.score("nobody") == {}


def test_whole_clips_are_drawn_so_that_their_likeness_is_no_news(tmp_path: Path) -> None:
    """Twins: two sets of different speakers from one distribution; many like frames make no large set."""
    rng = np.random.default_rng(0)
    plain, extrapolated = [], []
    for trial in range(4):
        people = rng.normal(size=(2, ENOUGH_CLIPS, 1, 10)) + 0.2 * rng.normal(size=(2, ENOUGH_CLIPS, 6, 10))
        sets = FrechetSets()
        stored(sets, f"o{trial}", {f"{trial}-{i}": (*pair,) for i, pair in enumerate(zip(*people))}, tmp_path)
        found = sets.score(f"o{trial}")
        plain.append(found["fid"])
        extrapolated.append(found["fid_unbiased"])
        assert not sets.notes()
    assert np.mean(plain) > 0.3
    assert abs(np.mean(extrapolated)) < 0.4 * np.mean(plain)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_what_is_kept_gives_the_distance_of_the_features_themselves(scale: float, tmp_path: Path) -> None:
    """Small distances between large features, which half precision moves by 1e-4 of their value and more."""
    rng = np.random.default_rng(0)
    real = scale * np.abs(rng.normal(size=(300, 24))) * np.arange(1, 25) ** -0.5
    ours = 0.99 * real + 0.002 * scale
    sets = FrechetSets()
    for name, rows in (("ours", ours), ("real", real)):
        write_features(tmp_path / f"{name}.npy", rows.astype(np.float32))
        np.testing.assert_array_equal(read_features(tmp_path / f"{name}.npy"), rows.astype(np.float32))
    sets.add("ours", "clip", tmp_path / "ours.npy", tmp_path / "real.npy")
    exact = frechet_distance(_moments(ours.astype(np.float32)), _moments(real.astype(np.float32)))
    assert sets.score("ours")["fid"] == pytest.approx(exact, rel=1e-9)


def _moments(rows: NDArray[np.floating]) -> Moments:
    made = Moments(rows.shape[1])
    made.add(rows)
    return made


def test_what_cannot_be_compared_is_told(tmp_path: Path) -> None:
    def with_reference(name: str, reals: NDArray[np.float32]) -> FrechetSets:
        sets = FrechetSets()
        stored(sets, "ours", made_clips(3), tmp_path / name)
        write_features(tmp_path / name / "bad.npy", reals)
        sets.add("ours", "bad", tmp_path / name / "ours" / "s0.output.npy", tmp_path / name / "bad.npy")
        return sets

    with pytest.raises(CacheError, match=r"expected features \(frames"):
        with_reference("dims", np.zeros((4, 5), np.float32)).score("ours")
    with pytest.raises(CacheError, match="not finite"):
        with_reference("nan", np.full((4, 12), np.nan, np.float32)).score("ours")
    with pytest.raises(CacheError, match="does not contain the features"):
        with_reference("flat", np.zeros(12, np.float32)).score("ours")
    sets = with_reference("cut", np.zeros((4, 12), np.float32))
    (tmp_path / "cut" / "bad.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(CacheError, match=r"bad\.npy cannot be read"):
        sets.score("ours")
    mixed = FrechetSets()
    stored(mixed, "ours", {"a": (np.zeros((3, 4)), np.zeros((3, 5)))}, tmp_path)
    with pytest.raises(CacheError, match="several networks"):
        mixed.score("ours")
    short = FrechetSets()
    stored(short, "ours", {"a": (np.zeros((1, 4)), np.zeros((1, 4)))}, tmp_path)
    assert short.score("ours") == {}
    assert any("too short" in note for note in short.notes())


def test_memory_is_flat_in_the_number_of_clips(tmp_path: Path) -> None:
    peaks = []
    for n_clips in (100, 300):
        sets = FrechetSets()
        stored(sets, "ours", made_clips(n_clips, dims=128), tmp_path / str(n_clips))
        tracemalloc.start()
        sets.score("ours")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_a_name_that_is_no_text_is_drawn_all_the_same(tmp_path: Path) -> None:
    sets = FrechetSets()
    for name, pair in zip(("a", "b\udcff"), made_clips(2).values()):
        stored(sets, "ours", {name: pair}, tmp_path)
    assert sets.score("ours")["fid"] > 0
