"""`w2l.audit`: find tracks whose sound is out of step with the picture, and repair that."""

from w2l.api.given import PathLike, Settings, open_cache, settings_of
from w2l.core.device import choose_device
from w2l.core.progress import ProgressCallback, reported_to
from w2l.models.choices import SHIPPED
from w2l.training.audit.run import STAGE, AuditResult, audit_cache
from w2l.training.audit.verdicts import AuditSettings


def audit(
    *,
    expert: str | None = None,
    clips: str = "*",
    via: PathLike | None = None,
    cache: PathLike | None = None,
    device: str = "auto",
    config: PathLike | None = None,
    settings: Settings | None = None,
    progress: ProgressCallback | None = None,
) -> AuditResult:
    """Measure the offset of sound and picture in each track of the cache, by an expert.

    A track that is a few frames off is shifted back for all who read it; one that is doubtful is set aside. No file of
    it changes.

    Parameters
    ----------
    expert : str, optional
        ``w2l`` (shipped, the default), a run of the cache, or a file.
    clips : str
        Only clips whose id fits the pattern, as in ``s1/*``.
    via : path, optional
        A cache with the same clips in crops for the expert.
    cache, device, config, settings, progress
        As for `w2l.detect`; the section of `config` is ``audit``. Progress counts clips.

    Returns
    -------
    AuditResult

    Raises
    ------
    CheckpointError, CacheError, ConfigError
        See `w2l.errors`.
    """
    chosen = settings_of(AuditSettings, STAGE, config, settings)
    opened, seen_in = open_cache(cache), open_cache(via) if via is not None else None
    with reported_to(progress):
        return audit_cache(opened, expert or SHIPPED, chosen, choose_device(device), clips, seen_in)
