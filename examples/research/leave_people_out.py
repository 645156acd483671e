r"""Link a cache whose validation clips are those of chosen people, who are then excluded from training.

    python -m examples.research.leave_people_out CACHE FOLD --people s33 --people ub --people ud \
        --same uc=s5 --same uf=s3

FOLD shares the crops and audio of CACHE by hard links; only the records of the clips are new files. Clips of the
chosen people on the list `train` validate, the old validation clips (of people who train) are not used, and all other
splits stay. `--same A=B` merges two speakers who are one person, so that no window of a person validates while another
trains. Then `w2l train-expert --cache FOLD` fits threshold, scale and bias on people left out.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from w2l.core.files import write_text

INDEXES = ("index.npz", "index.old.npz")


def left_out(
    record: Mapping[str, Any], people: Sequence[str], same: Mapping[str, str], only: Sequence[str] = ()
) -> dict[str, Any]:
    """Return a clip's record with its split and speaker in the fold; `only`: the people who train, or all."""
    speaker = same.get(record["speaker"], record["speaker"])
    split = record["split"]
    if people and split == "val":
        split = ""
    elif split == "train" and speaker in people:
        split = "val"
    elif split == "train" and only and speaker not in only:
        split = ""
    return {**record, "split": split, "speaker": speaker}


def link_fold(
    root: Path, fold: Path, people: Sequence[str], same: Mapping[str, str], only: Sequence[str] = ()
) -> dict[str, int]:
    """Make the cache `fold` out of the cache `root`; return the number of clips in each split. See `left_out`."""
    shutil.copytree(root / "clips", fold / "clips", copy_function=os.link)
    shutil.copy2(root / "cache.json", fold / "cache.json")
    counts: dict[str, int] = {}
    for path in sorted((fold / "clips").glob("**/clip.json")):
        record = left_out(json.loads(path.read_text()), people, same, only)
        path.unlink()  # a new file: writing in place would change the linked one
        write_text(path, json.dumps(record, indent=1, sort_keys=True))
        counts[record["split"]] = counts.get(record["split"], 0) + 1
    for name in INDEXES:
        (fold / name).unlink(missing_ok=True)
    return counts


def same_people(pairs: Sequence[str]) -> dict[str, str]:
    """Return speaker -> person from texts such as `uc=s5`; raise BadParameter for others."""
    found = dict(pair.partition("=")[::2] for pair in pairs)
    if not all(speaker and person for speaker, person in found.items()):
        raise click.BadParameter(f"--same {' '.join(pairs)}: write each as SPEAKER=PERSON, such as uc=s5")
    return found


@click.command(help=__doc__)
@click.argument("root", metavar="CACHE", type=click.Path(path_type=Path, exists=True))
@click.argument("fold", metavar="FOLD", type=click.Path(path_type=Path))
@click.option("--people", multiple=True, help="A person for validation; repeatable.")
@click.option("--same", multiple=True, help="A=B: speaker A is person B.")
def main(root: Path, fold: Path, people: tuple[str, ...], same: tuple[str, ...]) -> None:
    """Link the fold and print the number of clips by split."""
    merged = same_people(same)
    if fold.exists():
        raise click.UsageError(f"{fold} exists; pass a new folder")
    for split, count in sorted(link_fold(root, fold, people, merged).items()):
        click.echo(f"{split or 'unused'}: {count} clips")


if __name__ == "__main__":
    main()
