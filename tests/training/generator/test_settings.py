"""The settings of a generator's training: what is refused, and the course of the weights."""

from pathlib import Path
from typing import Any

import pytest

from w2l.core import config
from w2l.core.errors import ConfigError
from w2l.data.batches.generator import GeneratorSampling
from w2l.training.generator.settings import DiscriminatorSettings, GeneratorSettings, Schedule


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rows": "upper"}, "choose full or lower"),
        ({"layout": "other"}, "choose published or warping"),
        ({"layout": "warping", "rows": "full"}, "set rows=lower"),
        ({"drawn": 0.1}, "drawn requires layout=warping"),
        ({"smooth": 0.1}, "smooth requires layout=warping"),
        ({"audio_encoder_init": "none"}, "choose own or expert"),
        ({"audio_encoder_init": "expert"}, "requires layout=warping"),
        ({"audio_encoder_init": "expert", "layout": "warping", "sync": 0.0}, "sync above 0"),
        ({"scale": "huge"}, "nano or small or base"),
        ({"mask": "all"}, "choose lower-half or jaw"),
        ({"precision": "fp64"}, "choose fp32 or bf16 or fp16"),
        ({"resident": "maybe"}, "choose auto or always or never"),
        ({"sync": -0.1}, "at least 0"),
        ({"l1": 0.0}, "l1 must be above 0"),
        ({"mouth_focus": -1.0}, "at least 0"),
        ({"contrast": 0.1}, "requires discriminator.kind=pairs, not published"),
        ({"features": 0.1}, "requires discriminator.kind=patches, not published"),
        ({"adversarial": 0.1, "discriminator": DiscriminatorSettings("pairs")}, "kind=published, not pairs"),
        ({"rest": 0.1}, r"set sampling\.silence above 0"),
        ({"validation_batches": 0}, "at least 1"),
        ({"width": 0}, "at least 1"),
        ({"accumulate": 0}, "at least 1"),
        ({"lr": 0.0}, "above 0"),
        ({"lr_end": 1.5}, "from 0 to 1"),
        ({"ema": 1.0}, "less than 1"),
        ({"seed": -1}, "at least 0"),
        ({"warm_up": -1}, "at least 0"),
    ],
)
def test_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        GeneratorSettings(**given)


@pytest.mark.parametrize(
    ("given", "said"), [({"kind": "x"}, "published or patches or pairs"), ({"frames": 3}, "1 or 5"),
                        ({"width": 0}, "at least 1"), ({"lr": -1.0}, "above 0")],
)  # fmt: skip
def test_refused_discriminators(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        DiscriminatorSettings(**given)


@pytest.mark.parametrize("steps", [(-1, 0), (0, -1), (1, 2, 3)])
def test_refused_schedules(steps: Any) -> None:
    with pytest.raises(ConfigError, match=r"schedule\.sync must be"):
        Schedule(sync=steps)


class TestWeights:
    settings = GeneratorSettings(
        l1=0.9, sync=0.03, adversarial=0.07, schedule=Schedule(sync=(10, 20), adversarial=(40, 0))
    )

    @pytest.mark.parametrize(
        ("step", "sync", "adversarial"), [(0, 0, 0), (10, 0, 0), (20, 0.015, 0), (30, 0.03, 0), (40, 0.03, 0.07)]
    )
    def test_terms_begin_and_rise_as_scheduled(self, step: int, sync: float, adversarial: float) -> None:
        found = self.settings.weights(step)
        assert found == pytest.approx({"l1": 0.9, "sync": sync, "adversarial": adversarial})

    def test_terms_without_weight_are_not_named(self) -> None:
        assert set(GeneratorSettings().weights(10**6)) == {"l1", "sync"}

    def test_each_weight_has_the_name_of_its_term(self) -> None:
        assert all(hasattr(GeneratorSettings(), name) for name in Schedule().by_term())

    def test_the_discriminator_trains_from_the_first_term_that_needs_it(self) -> None:
        both = GeneratorSettings(
            adversarial=0.1, features=0.1, discriminator=DiscriminatorSettings("patches"),
            schedule=Schedule(adversarial=(50, 0), features=(30, 0), contrast=(5, 0)),
        )  # fmt: skip
        assert both.adversary
        assert both.adversary_start == 30
        assert not GeneratorSettings().adversary


def test_widths_have_names() -> None:
    names = [GeneratorSettings(layout="warping", scale=name).channels for name in ("nano", "small", "base")]  # type: ignore[arg-type]
    assert names == sorted(names)
    assert GeneratorSettings(scale="base").channels == 16  # the published generator
    assert GeneratorSettings(width=7).channels == 7


def test_validation_hears_and_sees_what_is_real() -> None:
    settings = GeneratorSettings(sampling=GeneratorSampling(4, 2, swap=0.5, silence=0.2, repeat=0.3, near=0.7))
    still = settings.without_change
    assert (still.swap, still.silence, still.repeat, still.augment.noise, still.augment.flip) == (0, 0, 0, 0, 0)
    assert (still.batch_size, still.n_references, still.near) == (4, 2, 0.7)


def test_a_deprecated_name_is_accepted_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "old.yaml").write_text("train: {layout: warping, hearing: expert}")
    settings = config.load(GeneratorSettings, "train", tmp_path / "old.yaml")
    assert settings == GeneratorSettings(layout="warping", audio_encoder_init="expert")
    assert "train.hearing is deprecated; use train.audio_encoder_init" in caplog.text
    caplog.clear()
    assert config.load(GeneratorSettings, "train", None, ["audio_encoder_init=own"]) == GeneratorSettings()
    assert not caplog.text


def test_runs_of_the_deprecated_name_can_resume() -> None:
    identity = GeneratorSettings(layout="warping", audio_encoder_init="expert").identity()
    assert identity["hearing"] == "expert"
    assert "audio_encoder_init" not in identity
