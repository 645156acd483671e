"""Where the golden vectors are read from: the repository, or another folder that is named."""

from pathlib import Path

import pytest

from tests.helpers import golden


def test_the_repository_holds_rule_names_and_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("W2L_SHARED", raising=False)
    assert golden.root() == golden.OWN
    stems = [f"{stem}_seed{seed}.npz" for stem in ("audio", "fid", "infer", "lse", "nets") for seed in (0, 1)]
    assert sorted(path.name for path in golden.OWN.glob("*.npz")) == stems
    assert golden.golden_seeds("nets") == [0, 1]
    assert golden.published_keys("expert")[0] == ["face_encoder.0.conv_block.0.weight", [32, 15, 7, 7], "float32"]


def test_another_folder_counts_where_it_has_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2L_SHARED", str(tmp_path))
    assert golden.root() == golden.OWN
    (tmp_path / "reference" / "golden").mkdir(parents=True)
    (tmp_path / "reference" / "golden" / "nets_seed7.npz").touch()
    assert golden.vectors_file("nets_seed7.npz") == tmp_path / "reference" / "golden" / "nets_seed7.npz"
    assert golden.golden_seeds("nets") == [7]
