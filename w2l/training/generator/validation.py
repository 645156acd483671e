"""Validation of a generator: errors on validation windows, mouths over whole stretches, a sheet and a short video."""

import functools
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2l.core.errors import MediaError
from w2l.core.timing import FPS, WINDOW_FRAMES
from w2l.data.batches.augment import Look, draw_look
from w2l.data.batches.augment_sound import Sound, draw_sound
from w2l.data.batches.generator import Draw, GeneratorBatch, generator_batch, load_generator_batch
from w2l.data.sources.word_times import Words
from w2l.features.aperture import Word
from w2l.features.masks import hidden_pixels
from w2l.features.pauses import gate_silence
from w2l.features.windows import generator_mels
from w2l.training.data import TrainingData
from w2l.training.generator.collapse import CollapseWatch, copying
from w2l.training.generator.mouth_check import MouthCheck, MouthStretch
from w2l.training.generator.sample_video import SourceSound, sound_of, write_sample_video
from w2l.training.generator.samples import write_sheet
from w2l.training.generator.settings import STILL, GeneratorSettings
from w2l.training.generator.terms import Made, Terms
from w2l.training.task import Validation

logger = logging.getLogger(__name__)
VALIDATION_SEED = 20
"""Seed of the validation batches: the same in every validation."""
UNSETTLED = 1000.0
"""Subtracted from the quality while a term is not at full weight: an earlier model is never kept as the best."""
VALUED = ("l1", "edges", "sync", "lips", "drawn", "smooth")
"""Terms measured on validation windows if they are trained; their weighted sum decides which model is the best. A
discriminator's terms are not among them: they change from step to step."""

SoundOf = Callable[[int, int], SourceSound | None]
"""Track and frame -> source of the audio from there on."""


class GeneratorValidation:
    """Evaluation of a generator on the validation tracks; the same windows and stretches each time."""

    def __init__(
        self, settings: GeneratorSettings, data: TrainingData, terms: Terms, words: Words | None = None
    ) -> None:
        self.settings, self.tracks, self.crop, self.terms = settings, data.val, data.crop, terms
        self.sound: SoundOf = functools.partial(_sound, data)
        self.words = words or {}
        adversary = terms.judges.adversary
        self.watch = CollapseWatch(settings.watchdog, adversary.undecided if adversary else None)
        self._check: MouthCheck | None = None

    def __call__(self, step: int, folder: Path, make: Callable[[GeneratorBatch], Made]) -> Validation:
        """Score the output of `make`; sheet and video go to `folder`."""
        s = self.settings
        weights = {name: s.weights(s.loop.steps + 1).get(name, 0.0) for name in VALUED} | {"l1": s.l1}
        found: dict[str, list[float]] = {}
        copied = []
        for number in range(s.validation_batches):
            batch = generator_batch(self.tracks, s.without_change, VALIDATION_SEED, number)
            made = make(batch)
            for name, term in self.terms(made, weights).items():
                found.setdefault(name, []).append(float(term))
            copied.append(copying(made.lower(made.generated), made.lower_reference(), made.lower(made.target)))
            if number == 0:
                write_sheet(
                    folder / f"step{step:09d}.png", batch, made.generated, hidden_pixels(self.crop.size, s.mask)
                )
        scores = {name: float(np.mean(values)) for name, values in found.items()}
        cost = sum(weights[name] * value for name, value in scores.items())
        if s.validation_tracks:
            scores |= self._mouths(step, folder, make)
        warnings = self.watch.check(step, scores, float(np.mean(copied)))
        return Validation(scores, -cost - UNSETTLED * (not self._settled(step)), tuple(warnings), self._settled(step))

    def _settled(self, step: int) -> bool:
        """Whether all terms have their full weight."""
        return self.settings.weights(step) == self.settings.weights(self.settings.loop.steps + 1)

    def _mouths(self, step: int, folder: Path, make: Callable[[GeneratorBatch], Made]) -> dict[str, float]:
        """Measure the mouths of whole stretches, and write a video of the first one."""
        if self._check is None:
            self._check = MouthCheck(self.tracks, self.crop, self.settings.validation_tracks, self._words_of)
        made: dict[MouthStretch, NDArray[np.float32]] = {}

        def generate(stretch: MouthStretch) -> NDArray[np.float32]:
            found = self._generated(stretch, make)
            if not made:
                made[stretch] = found
            return found

        scores = self._check.measure(generate)
        if not made:  # lips are not measured if crops are not aligned
            generate(self._check.stretches[0])
        for shown, frames in made.items():
            real = np.asarray(self.tracks.frames(shown.track)[shown.first : shown.stop])
            drawn = np.rint(frames).astype(np.uint8)
            _write_video(folder / f"step{step:09d}.mp4", real, drawn, self.sound(shown.track, shown.first))
        return scores

    def _words_of(self, track: int) -> tuple[Word, ...]:
        """Return the words of a track, in seconds from its frame 0."""
        spoken = self.words.get(self.tracks.names[track], ())
        begins_s = self.tracks.spoken_from(track) / FPS if spoken else 0.0
        return tuple((from_s - begins_s, to_s - begins_s, word) for from_s, to_s, word in spoken)

    def _generated(self, stretch: MouthStretch, make: Callable[[GeneratorBatch], Made]) -> NDArray[np.float32]:
        """Generate a stretch, (frames, rows, width, 3) in 0..255, from references at the ends of its track."""
        s, n_frames = self.settings, int(self.tracks.lengths[stretch.track])
        look, sound = nothing_changed()
        starts = [*range(stretch.first, stretch.stop - WINDOW_FRAMES + 1, WINDOW_FRAMES)]
        if (left := (stretch.stop - stretch.first) % WINDOW_FRAMES) and starts:
            starts.append(stretch.stop - WINDOW_FRAMES)
        draws = [
            Draw(
                stretch.track, start, ends_of(n_frames, start, s.sampling.n_references, s.sampling.distance),
                stretch.track, start, silent=False,
                look=look, reference_looks=(look,) * s.sampling.n_references, sound=sound,
            )
            for start in starts
        ]  # fmt: skip
        mel = gate_silence(self.tracks.mel(stretch.track))  # as in `sync`
        parts = []
        for first in range(0, len(draws), s.sampling.batch_size):
            chosen = draws[first : first + s.sampling.batch_size]
            heard = np.stack([generator_mels(mel, draw.start) for draw in chosen])
            made = make(replace(load_generator_batch(self.tracks, chosen), mels=heard))
            parts.append(pixels(made.lower(made.generated)))
        frames = np.concatenate(parts)
        return np.concatenate([frames[: len(frames) - WINDOW_FRAMES], frames[-left:]]) if left else frames


def _sound(data: TrainingData, track: int, frame: int) -> SourceSound | None:
    """Return the audio of a validation track's source from a frame on."""
    return sound_of(data.cache, data.val.rows[track], int(data.val.begins[track]) + frame)


def _write_video(path: Path, real: NDArray[np.uint8], generated: NDArray[np.uint8], sound: SourceSound | None) -> None:
    """Write the sample video; silent, with a warning, if its audio cannot be read: that does not end a run."""
    try:
        write_sample_video(path, real, generated, sound)
    except MediaError as error:
        if sound is None:
            raise
        logger.warning("the sample video is silent: %s", error)
        write_sample_video(path, real, generated)


def ends_of(n_frames: int, start: int, n_references: int, distance: int) -> tuple[tuple[int, ...], ...]:
    """Return references for the window at `start`, each a still frame five times: from the track's ends, and between.

    None is nearer to the window than `distance` frames, as in training, so that its own mouth is not shown; the others
    are repeated in its place.
    """
    places = np.linspace(0, n_frames - 1, max(2, n_references)).round().astype(int)
    away = np.maximum(start - places, places - (start + WINDOW_FRAMES - 1))
    allowed = places[away >= min(distance, int(away.max()))]
    return tuple((int(allowed[number % len(allowed)]),) * WINDOW_FRAMES for number in range(n_references))


def nothing_changed() -> tuple[Look, Sound]:
    """Return an image and an audio augmentation that change nothing."""
    rng = np.random.default_rng(0)
    return draw_look(rng, STILL), draw_sound(rng, STILL)


def pixels(generated: Tensor) -> NDArray[np.float32]:
    """Convert (batch, 3, frames, rows, width) in 0..1 to (batch * frames, rows, width, 3) in 0..255."""
    flat = generated.permute(0, 2, 3, 4, 1).flatten(0, 1)
    return np.asarray(flat.clamp(0, 1).mul(255).to("cpu", torch.float32).numpy())
