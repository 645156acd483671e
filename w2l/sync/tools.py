"""What makes outputs: the generator and the face detector, loaded once for many outputs."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from w2l.cache.store import Cache
from w2l.core.device import choose
from w2l.core.files import sha256
from w2l.faces.detectors.base import Detector
from w2l.faces.detectors.factory import make_detector
from w2l.models import registry as weights
from w2l.models.checkpoint import Model
from w2l.models.runtime import Runner
from w2l.nets.generator import Rows
from w2l.sync.compose import Compositor
from w2l.sync.detail import check_detail
from w2l.sync.settings import SyncSettings


def make_runner(settings: SyncSettings, model: Model) -> Runner:
    """The generator made ready, for as many outputs as are wanted: this takes longer than its file takes to load."""
    compositor = Compositor(model.card.crop, _rows(model), settings.blend)
    return Runner(model, compositor.first_row, settings.backend, settings.batch)


def _rows(model: Model) -> Rows:
    return "lower" if model.card.dimensions.get("rows") == "lower" else "full"


@dataclass(frozen=True)
class Tools:
    """What makes outputs: each is loaded when it is first wanted, then kept for the next output."""

    settings: SyncSettings
    cache: Cache
    device: str

    @cached_property
    def model_path(self) -> Path:
        """The file of the generator."""
        return weights.find(self.settings.model, "generator", self.cache)

    @cached_property
    def model_sha256(self) -> str:
        """Of that file, in hexadecimal digits."""
        return sha256(self.model_path)

    @cached_property
    def model(self) -> Model:
        """The generator."""
        return weights.load(self.settings.model, "generator", self.cache, self.device)

    @cached_property
    def runner(self) -> Runner:
        """The generator at work."""
        return make_runner(self.settings, self.model)

    @cached_property
    def detector(self) -> Detector:
        """What finds faces."""
        detect = self.settings.detect
        return make_detector(detect.detector, self.device, detect.min_face, self.cache.models)


def set_up(settings: SyncSettings, root: Path, device: str) -> Tools:
    """What a worker makes once; the device is chosen where it works, as machines of a cluster may differ."""
    tools = Tools(settings, Cache.open(root, create=True), str(choose(device)))
    check_detail(settings.detail, tools.model.card)
    _ = tools.detector  # what cannot be used ends all, and is not told once for each output
    return tools
