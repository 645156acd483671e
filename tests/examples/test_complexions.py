"""The example that picks portraits by complexion: angle, class, and who is picked."""

import numpy as np
import pytest

from examples.research import complexions as script
from examples.research.portrait_faces import Portrait, to_rgb


def portrait(name: str, lab: tuple[float, float, float]) -> Portrait:
    """A face of one colour."""
    colour = to_rgb(np.full((64, 64, 3), lab, np.float32)).astype(np.uint8)
    places = np.full((468, 3), 32.0)
    places[::2, 0] = 30.0
    return Portrait(name, colour, places)


@pytest.mark.parametrize(
    ("lab", "group"),
    [((70, 10, 15), "light"), ((62, 12, 17), "intermediate"), ((55, 12, 16), "tan"), ((45, 14, 18), "brown"),
     ((30, 10, 12), "dark")],
)  # fmt: skip
def test_the_class_follows_the_angle(lab: tuple[float, float, float], group: str) -> None:
    assert script.class_of(script.typology_angle(np.array(lab))) == group


def test_each_class_gives_its_middle_and_grey_pictures_none() -> None:
    light = [portrait(f"a/{level}", (level, 10, 15)) for level in (66, 70, 76)]
    found = script.picked([*light, portrait("b/grey", (60, 0, 0)), portrait("c/brown", (45, 14, 18))], 1)
    assert [one.name for one in found["light"]] == ["a/70"]
    assert [one.name for one in found["brown"]] == ["c/brown"]
    assert not found["intermediate"]
