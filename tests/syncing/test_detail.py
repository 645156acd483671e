"""How finely faces are cut for what draws them."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from w2l.core.errors import ConfigError
from w2l.faces.follow import fixed_face
from w2l.features.crop import CropSpec, FineCrop, side_in_frame
from w2l.models.checkpoint import ModelCard
from w2l.nets.generator import GeneratorDimensions, GeneratorLayout
from w2l.syncing.detail import check_detail, finer_spec

SPEC = CropSpec("aligned", 96)


def card(layout: GeneratorLayout = "warping") -> ModelCard:
    return ModelCard("generator", asdict(GeneratorDimensions(rows="lower", layout=layout)), SPEC)


@pytest.mark.parametrize(
    ("side", "size"), [(60, 96), (70, 192), (110, 192), (230, 192), (250, 288), (350, 288), (450, 384), (900, 576)]
)
def test_faces_are_cut_as_fine_as_they_are_in_the_video(side: float, size: int) -> None:
    faces = fixed_face((0.0, 0.0, 100.0, 100.0))
    scale = side / side_in_frame(faces.boxes, faces.points, SPEC)[0]
    found = finer_spec(SPEC, fixed_face((0.0, 0.0, 100 * scale, 100 * scale)), card())
    assert (found.size, found.kind) == (size, "aligned")
    assert isinstance(found, FineCrop) == (size > 96), "only the generator's own crop is cut as in training"


def test_a_user_s_word_counts_and_what_draws_all_itself_gets_what_it_knows() -> None:
    large = fixed_face((0.0, 0.0, 500.0, 500.0))
    assert [finer_spec(SPEC, large, card(), detail).size for detail in (1, 2, 6)] == [96, 192, 576]
    assert finer_spec(SPEC, large, card("published")) == SPEC
    for layout, detail in (("published", 1), ("warping", 3)):
        check_detail(detail, card(layout))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="detail 2 requires a generator that moves pixels"):
        check_detail(2, card("published"))


def test_large_faces_count_and_none_are_cut_as_the_card_says() -> None:
    small, large = (fixed_face((0.0, 0.0, side, side)) for side in (60.0, 900.0))
    both = replace(
        small, boxes=np.concatenate([small.boxes] * 3 + [large.boxes]),
        points=np.concatenate([small.points] * 3 + [large.points]),
    )  # fmt: skip
    assert finer_spec(SPEC, both, card()).size == 576
    assert finer_spec(SPEC, replace(small, boxes=small.boxes[:0], points=small.points[:0]), card()) == SPEC
