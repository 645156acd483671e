"""Link clips of several caches into one, so that a model trains on all of them.

    python -m examples.research.join_caches UNION CACHE PORTRAITS --most s1=120

UNION shares all files by hard links; CACHE and PORTRAITS are not changed. Crops must be cut in the same way. Of a
speaker in `--most NAME=COUNT`, COUNT clips of the list `train` are linked, chosen by the hash of their names; clips on
no training list are all linked. Run `w2l preprocess` and `w2l audit` on the caches first: on UNION they would write
only into UNION.
"""

import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from w2l.cache.store import Cache
from w2l.data.batches.splits import TRAINING, hash_place


def chosen_clips(cache: Cache, most: Mapping[str, int]) -> list[str]:
    """Return the clips of a cache to link: all, but at most that many training clips of the speakers in `most`."""
    found: list[str] = []
    limited: dict[str, list[str]] = {}
    for clip in cache.clips():
        record = clip.record()
        if record.speaker and record.speaker in most and record.split in TRAINING:
            limited.setdefault(record.speaker, []).append(clip.id)
        else:
            found.append(clip.id)
    for speaker, clips in limited.items():
        found += sorted(clips, key=hash_place)[: most[speaker]]
    return sorted(found)


def join(union: Path, roots: Sequence[Path], most: Mapping[str, int]) -> dict[str, int]:
    """Make the cache `union` out of those at `roots`; return the number of clips in each split."""
    counts: Counter[str] = Counter()
    caches = [Cache.open(root) for root in roots]
    kinds = {str(crop) for cache in caches for crop in cache.all_tracks().distinct("crop")}
    if len(kinds) > 1:
        raise click.UsageError(f"crops differ: {', '.join(sorted(kinds))}; preprocess all caches with the same crop")
    target = Cache.open(union, create=True)
    for cache in caches:
        for name in chosen_clips(cache, most):
            folder = target.clip(name).folder
            if folder.exists():
                raise click.UsageError(f"clip {name} is in two caches; rename the folder of its speaker")
            shutil.copytree(cache.clip(name).folder, folder, copy_function=os.link)
            counts[cache.clip(name).record().split or ""] += 1
    target.invalidate_index()
    return dict(counts)


@click.command(help=__doc__)
@click.argument("union", type=click.Path(path_type=Path))
@click.argument("roots", metavar="CACHE...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--most", multiple=True, help="NAME=COUNT: most training clips of a speaker; repeatable.")
def main(union: Path, roots: tuple[Path, ...], most: tuple[str, ...]) -> None:
    """Link the caches and print the number of clips by split."""
    if union.exists():
        raise click.UsageError(f"{union} exists; pass a new folder")
    try:
        limits = {name: int(count) for name, count in (pair.split("=", 1) for pair in most)}
    except ValueError as error:
        raise click.UsageError(f"--most {' '.join(most)}: expected NAME=COUNT") from error
    for split, count in sorted(join(union, roots, limits).items()):
        click.echo(f"{split or 'on no list'}: {count} clips")


if __name__ == "__main__":
    main()
