"""audit: an expert measures the offset of every track; tracks out of step are shifted back or set aside."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from stages.options import Common, common_options
from w2l.api.audit import audit
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.training.audit.run import STAGE, AuditResult, undo_audit
from w2l.training.audit.table import audit_table
from w2l.training.audit.verdicts import AuditSettings


@click.command(STAGE)
@click.option("--expert", metavar="NAME|PATH", help="w2l (shipped, the default), a run of the cache, or a file.")
@click.option("--clips", metavar="PATTERN", default="*", help="Only clips whose id fits, as in 's1/*'.")
@click.option("--via", type=click.Path(path_type=Path), help="A cache with the same clips in crops for the expert.")
@click.option("--undo", is_flag=True, help="Forget all verdicts: every track counts as it lies on disk.")
@common_options
def command(expert: str | None, clips: str, via: Path | None, undo: bool, common: Common) -> None:
    """Finds sound that runs ahead of its picture, or behind: in each track of the cache, by an expert.

    A track that is a few frames off is shifted back for all who read it, one that nobody can be sure about is set
    aside; no file of it changes. Run it again to go on after a stop, after preprocess, or with other thresholds.

    \b
    w2l audit                                   by the shipped expert
    w2l audit --expert my-expert                by one trained on this cache
    w2l audit --expert syncnet_v2.model --via judge-cache
    w2l audit --undo

    An expert that tells sync from off sync no better than chance, or would leave nothing to train on, changes nothing.
    """
    if undo:
        common.settings(AuditSettings, STAGE)
        if via is not None or expert is not None:
            raise ConfigError("--undo takes no --expert and no --via: it forgets what any audit found")
        count = undo_audit(Cache.open(common.cache), clips)
        common.show({"undone": count}, f"the audit of {count} clips is undone")
        return
    result = audit(expert=expert, clips=clips, via=via, **common.given())
    common.show(_plain(result), audit_table(result))


def _plain(result: AuditResult) -> dict[str, Any]:
    return {**asdict(result), "warning": result.zero.warning}
