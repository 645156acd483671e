"""The models that `sync` needs, loaded once for many outputs."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from w2l.cache.store import Cache
from w2l.core.device import choose_device
from w2l.core.files import sha256
from w2l.faces.detectors.base import Detector
from w2l.faces.detectors.factory import make_detector
from w2l.faces.recogniser import Recogniser
from w2l.features.crop import CropSpec
from w2l.models import registry as weights
from w2l.models.backend_choice import choice_key, choose_backend, is_open, kept_choice
from w2l.models.checkpoint import Model
from w2l.models.runtime import Runner
from w2l.nets.generator import GeneratedRows
from w2l.syncing.compose import Compositor
from w2l.syncing.detail import check_detail, moves_pixels
from w2l.syncing.settings import SyncSettings

CHOICES = "backends.json"
"""Name in the cache of the file that keeps which library runs which generator."""
MEASURED_FROM = 750
"""Pictures of an output from which a measurement pays: half a minute."""


@dataclass(frozen=True)
class Tools:
    """Models and settings of `sync`; each model is loaded on first use and kept for further outputs."""

    settings: SyncSettings
    cache: Cache
    device: str

    @cached_property
    def model_path(self) -> Path:
        """The file of the generator."""
        return weights.find(self.settings.model, "generator", self.cache)

    @cached_property
    def model_sha256(self) -> str:
        """The SHA-256 of that file, in hexadecimal digits."""
        return sha256(self.model_path)

    @cached_property
    def model(self) -> Model:
        """The generator."""
        return weights.load_by_name(self.settings.model, "generator", self.cache, self.device)

    @cached_property
    def for_stills(self) -> "Tools":
        """The same tools with the shipped generator for still pictures."""
        return replace(self, settings=replace(self.settings, model=weights.STILLS, reference="closed"))

    @property
    def rows(self) -> GeneratedRows:
        """The rows that the generator draws."""
        return "lower" if self.model.card.dimensions.get("rows") == "lower" else "full"

    @cached_property
    def runner(self) -> Runner:
        """The generator, ready for inference, which takes longer than loading its file."""
        settings = self.settings
        backend = settings.backend
        if self._may_measure:
            backend = kept_choice(self._choices, choice_key(self.model, self._first_row, settings.batch)) or backend
        return Runner(
            self.model, self._first_row, backend, settings.batch, settings.precision, own_pixels=settings.own_pixels
        )

    def measure_backend(self, n_pictures: int) -> None:
        """Measure once per machine which library runs the generator faster, if so many pictures are worth it."""
        settings, batch = self.settings, self.settings.batch
        if n_pictures < MEASURED_FROM or "runner" in vars(self) or not self._may_measure:
            return
        if kept_choice(self._choices, choice_key(self.model, self._first_row, batch)) is None:
            choose_backend(self._choices, self.model, self._first_row, batch, settings.own_pixels)

    @property
    def _may_measure(self) -> bool:
        settings = self.settings
        return settings.backend == "auto" and settings.precision in ("auto", "float32") and is_open(self.model)

    @property
    def _choices(self) -> Path:
        return self.cache.models / CHOICES

    @cached_property
    def _first_row(self) -> int:
        return self.compositor(self.model.card.crop).first_row

    @cached_property
    def detector(self) -> Detector:
        """The face detector."""
        detect = self.settings.detect
        return make_detector(detect.detector, self.device, detect.min_face, self.cache.models)

    @cached_property
    def expert(self) -> Model:
        """The shipped expert, which chooses mouth samples by audio."""
        return weights.load_by_name(weights.SHIPPED, "expert", self.cache, self.device)

    @cached_property
    def recogniser(self) -> Recogniser | None:
        """The face recogniser, if its file is given."""
        return Recogniser(Path(self.settings.recogniser), self.device) if self.settings.recogniser else None

    def compositor(self, spec: CropSpec, still: bool = False) -> Compositor:
        """Return the compositor for crops of `spec`; `still`: the source is a still picture."""
        fit_jaw = moves_pixels(self.model.card)
        return Compositor(spec, self.rows, self.settings.blend, still=still, fit_jaw=fit_jaw)


def make_tools(settings: SyncSettings, root: Path, device: str) -> Tools:
    """Return the tools of a worker with the cache at `root`; errors are raised here rather than for each output.

    The device is chosen by the worker, as the machines of a cluster may differ.
    """
    tools = Tools(settings, Cache.open(root, create=True), str(choose_device(device)))
    check_detail(settings.detail, tools.model.card)
    _ = tools.detector
    return tools
