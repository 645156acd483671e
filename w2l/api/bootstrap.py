"""Two trainings in a row: train an expert on all tracks, audit them with it, and train again on those in sync."""

import logging

from w2l.cache.store import Cache
from w2l.core.device import choose_device
from w2l.core.errors import ConfigError
from w2l.models.checkpoint import card_fingerprint, read_card
from w2l.training.audit.run import audit_cache
from w2l.training.audit.verdicts import AuditSettings
from w2l.training.expert.run import train_expert
from w2l.training.expert.settings import ExpertSettings
from w2l.training.parallel import under_torchrun
from w2l.training.reported import TrainingResult

logger = logging.getLogger(__name__)
ALL = "-all"
"""Suffix of the name of the run on unaudited data."""


def bootstrap(
    settings: ExpertSettings, cache: Cache, name: str = "expert", device: str = "auto", force: bool = False
) -> TrainingResult:
    """Train the run `name`-all on all tracks, audit them with it, and train `name` on what remains, repaired.

    Each of the three parts is skipped if it is finished: called again after an interruption, this resumes.
    """
    if under_torchrun():
        commands = f"train {name}{ALL}, audit, train {name}"
        raise ConfigError(f"--bootstrap runs in one process; with torchrun run three commands: {commands}")
    first = train_expert(settings, cache, f"{name}{ALL}", device, force)
    result = audit_cache(cache, str(first.model), AuditSettings(), choose_device(device))
    logger.info("audit by %s: %s", first.model, result)
    if result.refused:
        logger.warning("the audit changed nothing: %s; %s is trained on all tracks, too", result.refused, name)
    if result.zero.warning:
        logger.warning("%s", result.zero.warning)
    return train_expert(settings, cache, name, device, force, card_fingerprint(read_card(first.model)))
