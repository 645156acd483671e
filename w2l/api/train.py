"""`w2l.train`: train a generator, or tune one to a person."""

from collections.abc import Sequence

from w2l.api.given import PathLike, Settings, open_cache, paths_of, settings_of
from w2l.core.progress import ProgressCallback, reported_to
from w2l.training.generator.person_settings import PersonSettings
from w2l.training.generator.run import PERSON, STAGE, GeneratorResult, train_generator, tune_to_person
from w2l.training.generator.settings import GeneratorSettings

GENERATOR = "generator"
"""The name of a run that has no other."""


def train(
    *,
    run: str | None = None,
    expert: str | None = None,
    init: str | None = None,
    discriminator_init: str | None = None,
    person: PathLike | Sequence[PathLike] = (),
    force: bool = False,
    cache: PathLike | None = None,
    device: str = "auto",
    config: PathLike | None = None,
    settings: Settings | None = None,
    progress: ProgressCallback | None = None,
) -> GeneratorResult:
    """Train a generator on the crops and mels of the cache, or resume its run; the result is as without a stop.

    Parameters
    ----------
    run : str, optional
        Name of the run in the cache; default: ``generator``, or ``person`` with `person`.
    expert : str
        Run, file or ``w2l`` (shipped) that teaches sync; default ``expert``, or ``w2l`` with `person`.
    init : str
        Run, file or ``w2l`` whose weights are the start; default: none, or ``w2l`` with `person`.
    discriminator_init : str
        Discriminator (run or file) to begin with.
    person : path or sequence of paths
        Clips of the person to tune to. The cache's own clips are then not used.
    force : bool
        Restart the run.
    cache, device, config, settings, progress
        As for `w2l.detect`; the section of `config` is ``train``. Progress counts steps.

    Returns
    -------
    GeneratorResult
        The best model file, the steps, the scores of the last validation, and the folder of samples.

    Raises
    ------
    TrainingError, CheckpointError, CacheError, ConfigError, MediaError, NoFaceError
        See `w2l.errors`.
    """
    options = {"expert": expert, "init": init, "discriminator.init": discriminator_init}
    clips = paths_of(person)
    with reported_to(progress):
        if clips:
            tuning = settings_of(PersonSettings, STAGE, config, settings, options)
            return tune_to_person(tuning, clips, open_cache(cache, create=True), run or PERSON, device, force)
        chosen = settings_of(GeneratorSettings, STAGE, config, settings, options)
        return train_generator(chosen, open_cache(cache), run or GENERATOR, device, force)
