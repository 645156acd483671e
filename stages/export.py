"""export: write a generator as an ONNX file that runs without w2l."""

from dataclasses import asdict, dataclass
from pathlib import Path

import click

from stages.options import Common, common_options
from stages.types import FILE
from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.core.reading import real_path
from w2l.models import registry as weights
from w2l.models.choices import SHIPPED
from w2l.models.onnx_export import export

STAGE = "export"
SUFFIX = ".onnx"


@dataclass(frozen=True)
class ExportSettings:
    """What is exported."""

    model: str = SHIPPED
    """The generator: `w2l` (the shipped one), an imported model, a run of the cache, or a file."""
    first_row: int = 0
    """First row of the face that is generated, from its top; the lower, the less there is to compute."""

    def __post_init__(self) -> None:
        """Reject rows above the face."""
        if self.first_row < 0:
            raise ConfigError(f"first_row {self.first_row} must be at least 0")


@dataclass(frozen=True)
class Result:
    """The written file."""

    output: Path
    model: Path
    first_row: int
    """First row of the face that is generated; at least half the face's size for a model of lower rows."""
    size: int
    """Rows and columns of the face, in pixels."""
    n_bytes: int
    difference: float
    """Largest difference from PyTorch, in [0, 1] like the images."""


def run(settings: ExportSettings, output: Path, cache: Cache | None = None, overwrite: bool = False) -> Result:
    """Write the ONNX file `output`, once it agrees with PyTorch.

    Raises CheckpointError for a model of another kind, ConfigError for an invalid output path.
    """
    if output.suffix.lower() != SUFFIX:
        raise ConfigError(f"{output} must end in {SUFFIX}")
    if output.exists() and not overwrite:
        raise ConfigError(f"{output} exists; overwrite it with -y or choose another file")
    model = weights.load_by_name(settings.model, "generator", cache)
    if real_path(output) == real_path(model.path):
        raise ConfigError(f"{output} is the model itself; choose another file")
    made = export(model, output, settings.first_row)
    return Result(
        output=real_path(output),
        model=real_path(model.path),
        first_row=made.first_row,
        size=made.size,
        n_bytes=output.stat().st_size,
        difference=made.difference,
    )


@click.command(STAGE)
@click.argument("output", type=FILE)
@click.option("--model", metavar="NAME|PATH", help="The generator: w2l (shipped), a run of the cache, or a file.")
@click.option("--first-row", type=int, metavar="N", help="Generate only the face's rows from N on  [0]")
@click.option("-y", "--overwrite", is_flag=True, help="Replace an existing file.")
@common_options
def command(output: Path, overwrite: bool, common: Common, **given: str | int) -> None:
    """Write a generator as the ONNX file OUTPUT, check it against PyTorch and print the difference.

    The graph takes `mel` (batch, 1, 80, 16) in [-4, 4] and `faces` (batch, 3 * (1 + references), size, size) in [0, 1],
    the face first, black where the model's card says that it is hidden, and returns `generated` (batch, 3, rows, size)
    in [0, 1], for any batch size.
    Its metadata contain the model's card as JSON, under `w2l`: crop spec, channel order, licence.

    \b
    w2l export generator.onnx
    w2l export lower.onnx --model wav2lip_gan.pth --first-row 48
    """
    settings = common.settings(ExportSettings, STAGE, **given)
    is_here = settings.model == SHIPPED or Path(settings.model).is_file()
    cache = None if is_here and common.cache is None else Cache.open(common.cache)
    result = run(settings, output, cache, overwrite)
    rows = f"rows {result.first_row} to {result.size - 1} of {result.size}"
    text = f"{output}: {rows}, {result.n_bytes / 1e6:.1f} MB, at most {result.difference:.1e} from PyTorch"
    common.show(asdict(result), text)
