"""How finely faces are cut for what draws them."""

from dataclasses import asdict

import pytest

from w2l.errors import ConfigError
from w2l.faces.crop import CropSpec, side_in_frame
from w2l.faces.following import fixed_face
from w2l.nets.generator import GeneratorDimensions, Layout
from w2l.sync_draw import finer_spec
from w2l.training.checkpoint import ModelCard

SPEC = CropSpec("aligned", 96)


def card(layout: Layout = "warping") -> ModelCard:
    return ModelCard("generator", asdict(GeneratorDimensions(rows="lower", layout=layout)), SPEC)


@pytest.mark.parametrize(
    ("side", "size"), [(60, 96), (96, 96), (110, 96), (125, 192), (200, 192), (230, 288), (900, 288)]
)
def test_faces_are_cut_as_fine_as_they_are_in_the_video(side: float, size: int) -> None:
    faces = fixed_face((0.0, 0.0, 100.0, 100.0))
    scale = side / side_in_frame(faces.boxes, faces.points, SPEC)[0]
    found = finer_spec(SPEC, fixed_face((0.0, 0.0, 100 * scale, 100 * scale)), card())
    assert (found.size, found.kind) == (size, "aligned")


def test_a_user_s_word_counts_and_what_draws_all_itself_gets_what_it_knows() -> None:
    large = fixed_face((0.0, 0.0, 500.0, 500.0))
    assert [finer_spec(SPEC, large, card(), detail).size for detail in (1, 2, 3)] == [96, 192, 288]
    assert [finer_spec(SPEC, large, card("published"), detail) for detail in (0, 1)] == [SPEC, SPEC]
    with pytest.raises(ConfigError, match="detail 2 needs a generator that moves pixels"):
        finer_spec(SPEC, large, card("published"), 2)
