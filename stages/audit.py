"""audit: measure the offset of every track with an expert; shift tracks back or set them aside."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from stages.options import Common, common_options
from stages.types import FILE
from w2l.api.audit import audit
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.training.audit.run import STAGE, AuditResult, undo_audit
from w2l.training.audit.table import audit_table
from w2l.training.audit.verdicts import AuditSettings


@click.command(STAGE)
@click.option("--expert", metavar="NAME|PATH", help="w2l (shipped, the default), a run of the cache, or a file.")
@click.option("--clips", metavar="PATTERN", default="*", help="Only clips whose id matches, such as 's1/*'.")
@click.option("--via", type=FILE, help="A cache with the same clips, cropped for the expert.")
@click.option("--undo", is_flag=True, help="Remove all verdicts; tracks are used as they lie on disk.")
@common_options
def command(expert: str | None, clips: str, via: Path | None, undo: bool, common: Common) -> None:
    """Find tracks of the cache whose audio is out of sync, using an expert.

    A track that is a few frames off is shifted back when it is read; one whose offset is uncertain is set aside. Its
    files do not change. Run the command again to resume, after preprocess, or with other thresholds.

    \b
    w2l audit                                   with the shipped expert
    w2l audit --expert my-expert                with one trained on this cache
    w2l audit --expert syncnet_v2.model --via judge-cache
    w2l audit --undo

    An expert that detects sync no better than chance, or would leave too little to train on, changes nothing.
    """
    if undo:
        common.settings(AuditSettings, STAGE)
        if via is not None or expert is not None:
            raise ConfigError("--undo cannot be combined with --expert or --via")
        count = undo_audit(Cache.open(common.cache), clips)
        common.show({"undone": count}, f"the audit of {count} clips is undone")
        return
    result = audit(expert=expert, clips=clips, via=via, **common.given())
    common.show(_plain(result), audit_table(result))


def _plain(result: AuditResult) -> dict[str, Any]:
    return {**asdict(result), "warning": result.zero.warning}
