"""One training step of an expert, whether it trains a generator or scores as the judge."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from w2l.core.errors import ConfigError
from w2l.core.files import fingerprint
from w2l.data.batches.expert_loaders import ExpertDrawing, ExpertTensors
from w2l.data.batches.loaders import Loader, OwnLoader
from w2l.features.crop import CropSpec
from w2l.models.checkpoint import Kind, Model, ModelCard, dimensions_of, marks_of
from w2l.models.lineage import merged
from w2l.models.tensors import cast, in_order
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.judge import Judge, JudgeDimensions
from w2l.training.data import TrainingData
from w2l.training.ema import Average
from w2l.training.expert.evaluate import validation_scores
from w2l.training.expert.objectives import make_objective
from w2l.training.expert.pairing import Pairing, pairing_of
from w2l.training.expert.plateau import Plateau
from w2l.training.expert.settings import ExpertSettings
from w2l.training.parallel import ALONE, Ranks
from w2l.training.run_folder import Stateful
from w2l.training.task import Validation

__all__ = ["ExpertSettings", "ExpertTask", "pairing_of"]
logger = logging.getLogger(__name__)
COSINE_SCALE, DISTANCE_SCALE = 10.0, 1.0
"""Initial value of the learned factor on similarities."""

FIRST_LAYER = "face_encoder.0.conv_block.0.weight"
"""Tensors of a published expert that depend on the channel order."""


class ExpertTask:
    """Training of an expert or a judge; see `w2l.training.task.TrainingTask`."""

    def __init__(
        self, settings: ExpertSettings, data: TrainingData, device: torch.device, ranks: Ranks = ALONE,
        loader: Loader[ExpertTensors] | None = None, plateau: Plateau | None = None,
    ) -> None:  # fmt: skip
        """Create networks and optimisers.

        `loader` provides the batches; without it this process loads them. `plateau` ends a run that does not learn.
        """
        torch.manual_seed(settings.seed)
        self.settings, self.data, self.device, self.ranks = settings, data, device, ranks
        drawing = ExpertDrawing(settings.sampling, settings.seed, ranks.rank, ranks.size)
        self.loader: Loader[ExpertTensors] = loader or OwnLoader(data.train, drawing, device)
        is_expert = settings.arch == "expert"
        self.plateau = plateau
        run = fingerprint("run", settings.identity(), data.about, data.mark, data.train.names)
        self.ancestors: tuple[str, ...] = (run,)
        """Marks of what the exported weights derive from: this run, whose best and latest are related, and `init`."""
        self.objective = make_objective(settings.objective, COSINE_SCALE if is_expert else DISTANCE_SCALE).to(device)
        network = _network(settings, data.crop, self.objective.signed).to(device)
        if is_expert:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.pairing = pairing_of(network)
        self.average = Average(network, settings.ema) if settings.ema else None
        if ranks.size > 1 and device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        self.networks: dict[str, nn.Module] = {"network": network, "objective": self.objective}
        if self.average:
            self.networks["average"] = self.average.network
        self.optimisers: dict[str, torch.optim.Optimizer] = {"network": self._optimiser(network)}
        self.learning_rates = {"network": settings.lr}
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
        self.others: dict[str, Stateful] = {"scaler": self.scaler, **({"plateau": plateau} if plateau else {})}
        """Other objects whose state a resumed run needs."""

    def _optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        kind = torch.optim.AdamW if self.settings.optimiser == "adamw" else torch.optim.Adam
        groups = [
            {"params": list(network.parameters()), "weight_decay": self.settings.weight_decay},
            {"params": list(self.objective.parameters()), "weight_decay": 0.0},
        ]
        # One kernel for all parameters instead of several for each.
        fused = self.device.type in ("cpu", "cuda")
        return kind([group for group in groups if group["params"]], lr=self.settings.lr, fused=fused)

    def start_from(self, init: Model) -> None:
        """Start from the weights of another network of the same dimensions; raise ConfigError if they differ.

        An expert for BGR, such as the published one, is converted to RGB. Whether embeddings are signed is set by the
        settings: no weight depends on it.
        """
        network = self.networks["network"]
        begun, wanted = ({**dimensions_of(each), "signed": None} for each in (init.network, network))
        if init.card.kind != self.settings.arch or begun != wanted:
            raise ConfigError(
                f"init {init.path} is of kind {init.card.kind}: {init.card.dimensions}, not the {self.settings.arch} "
                "that the settings and the crops describe; set layout, width, n_frames and embedding accordingly, and "
                "preprocess with its crop.size"
            )
        weights = init.network.state_dict()
        if init.card.colour == "bgr" and init.card.kind == "expert":  # a judge takes BGR here, too
            weights[FIRST_LAYER] = in_order(weights[FIRST_LAYER], "bgr")
        for each in (network, self.average.network if self.average else network):
            each.load_state_dict(weights)
        self.ancestors = merged(self.ancestors, marks_of(init))

    def batch(self, step: int) -> ExpertTensors:
        """Return the batch of `step`, on the device."""
        return self.loader.batch(step)

    def step(self, step: int, batch: ExpertTensors) -> dict[str, float]:
        """Update the network and the parameters of the objective."""
        network, optimiser = self.networks["network"], self.optimisers["network"]
        optimiser.zero_grad(set_to_none=True)
        terms = self._backward(batch)
        self.ranks.add_gradients(network.parameters(), self.objective.parameters())
        self.scaler.unscale_(optimiser)
        largest = self.settings.clip_norm or float("inf")
        terms["grad_norm"] = nn.utils.clip_grad_norm_(network.parameters(), largest)
        self.scaler.step(optimiser)
        self.scaler.update()
        if self.average:
            self.average.update(network, step)
        values = torch.stack([term.detach().float() for term in terms.values()]).tolist()  # one synchronisation
        found = dict(zip(terms, values))
        if self.scaler.is_enabled() and not np.isfinite(found["grad_norm"]):
            found["grad_norm"] = 0.0  # too large for fp16: this step was skipped, and the scale halved
        if self.plateau:
            self.plateau.push(step, found["pair"])
        return found

    def _backward(self, batch: ExpertTensors) -> dict[str, Tensor]:
        """Return the terms of the joint batch, leaving the gradient of the loss in the network's parameters.

        The embeddings come from all processes and, with `accumulate`, from a first pass without gradient; the loss of
        all yields the gradient of each embedding, and then part after part that of the parameters. Gao et al.,
        "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", 2021.
        """
        n_parts = self.settings.accumulate
        inputs = list(zip(batch.faces.chunk(n_parts), batch.sounds.chunk(n_parts)))
        if len(inputs) == 1:
            parts = [self._embed(*inputs[0])]
        else:
            with torch.no_grad(), _buffers_kept(self.pairing.network):
                parts = [self._embed(*each) for each in inputs]
        own = [torch.cat([part[side].float() for part in parts]) for side in (0, 1)]
        audio, face = (self.ranks.joint(side, batch.first, len(batch)).requires_grad_() for side in own)
        terms: dict[str, Tensor] = self.objective(
            self.pairing.similarity(audio, face), batch.partner, batch.in_sync, batch.silent
        )
        self.scaler.scale(next(iter(terms.values()))).backward()  # type: ignore[no-untyped-call]
        first = batch.first
        for each, done in zip(inputs, parts):
            embedded = done if len(inputs) == 1 else self._embed(*each)
            end = first + len(each[0])
            gradients = [joint.grad[first:end] for joint in (audio, face) if joint.grad is not None]
            torch.autograd.backward([part.float() for part in embedded], gradients)
            first = end
        return terms

    def _embed(self, faces: Tensor, sounds: Tensor) -> tuple[Tensor, Tensor]:
        with cast(self.device, self.settings.precision):
            return self.pairing.embed(faces, sounds)

    @property
    def best_pairing(self) -> Pairing:
        """The pairing that is validated and exported: of the average if there is one."""
        return pairing_of(self.average.network) if self.average else self.pairing

    def validate(self, step: int, folder: Path) -> Validation:
        """Score all windows of the validation clips."""
        scores = validation_scores(self.data.val, self.best_pairing, self.device)
        return Validation(scores, scores["auc"])

    def exports(self, step: int, scores: dict[str, float]) -> dict[str, tuple[nn.Module, ModelCard]]:
        """Return the one model file."""
        kind: Kind = self.settings.arch
        network = self.best_pairing.network
        card = ModelCard(
            kind,
            dimensions_of(network),
            self.data.crop,
            "rgb" if kind == "expert" else "bgr",
            step=step,
            data=self.settings.data or self.data.about,
            licence=self.settings.licence,
            scores=scores,
            ancestors=self.ancestors,
        )
        if scores.get("scale", 0.0) > 0:
            card = replace(card, calibrated=True, scale=scores["scale"], bias=scores["bias"])
        elif "scale" in scores:
            logger.warning("step %d: off-sync pairs are more similar than in-sync ones: not calibrated", step)
        return {kind: (network, card)}

    def close(self) -> None:
        """Stop the batch loader."""
        self.loader.close()


@contextmanager
def _buffers_kept(network: nn.Module) -> Iterator[None]:
    """Undo the batch norm updates of a first pass, which the second pass repeats."""
    kept = [buffer.clone() for buffer in network.buffers()]
    yield
    for buffer, value in zip(network.buffers(), kept):
        buffer.copy_(value)


def _network(settings: ExpertSettings, crop: CropSpec, signed: bool) -> Expert | Judge:
    try:
        if settings.arch == "judge":
            return Judge(JudgeDimensions(crop.size, settings.width))
        return Expert(
            ExpertDimensions(
                crop.size, settings.n_frames, settings.width, signed, settings.layout, settings.norm, settings.embedding
            )
        )
    except ValueError as error:
        raise ConfigError(f"no {settings.arch} fits these crops: {error}") from error
