"""Initial weights of a generator's training: those of another generator, of the same or another size."""

import logging
import math
import re

import torch
from torch import Tensor, nn

from w2l.core.errors import ConfigError
from w2l.models.checkpoint import Model, dimensions_of
from w2l.models.onnx_generator import OnnxGenerator
from w2l.models.tensors import in_order
from w2l.nets.discriminator import Discriminator
from w2l.nets.expert import Expert
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.nets.warping import WarpingGenerator

logger = logging.getLogger(__name__)
FIRST_LAYER = "face_encoder_blocks.0.0.conv_block.0.weight"
LAST_LAYER = ("output_block.1.weight", "output_block.1.bias")
"""Tensors of a published generator that depend on the channel order."""
DECODER = re.compile(r"^face_decoder_blocks\.(\d+)\.")
MUST_AGREE = ("layout", "width")


def start_from(generator: Generator | WarpingGenerator, init: Model) -> None:
    """Initialise the generator from another one of the same layout and width.

    A generator for BGR, such as the published ones, is converted to RGB. From a generator for another size, the common
    levels are used (coarse to fine); the others keep their random weights. For another number of references the weights
    are spread as if each one were a copy of their mean.
    """
    begun, wanted = init.network, generator.dimensions
    if isinstance(begun, OnnxGenerator):
        raise ConfigError(f"init {init.path} is an ONNX file, which cannot be trained; choose its original")
    if not isinstance(begun, (Generator, WarpingGenerator)):
        raise ConfigError(f"init {init.path} is not a generator; choose another model")
    for name in MUST_AGREE:
        if getattr(begun.dimensions, name) != getattr(wanted, name):
            raise ConfigError(
                f"init {init.path} has {name}={getattr(begun.dimensions, name)}, the settings "
                f"{getattr(wanted, name)}; set {name} to the same value"
            )
    weights = begun.state_dict()
    if init.card.colour == "bgr" and isinstance(begun, Generator):
        weights[FIRST_LAYER] = in_order(weights[FIRST_LAYER], "bgr")
        weights |= {name: weights[name].flip(0) for name in LAST_LAYER}
    if begun.dimensions.n_references != wanted.n_references:
        weights |= _for_references(weights, begun.dimensions.n_references, wanted.n_references)
    if begun.dimensions.size != wanted.size:
        weights = _of_other_size(weights, begun.dimensions, generator)
    generator.load_state_dict(weights)


def copy_audio_encoder(generator: Generator | WarpingGenerator, expert: Model) -> None:
    """Initialise the audio encoder from the expert; raise ConfigError if its encoder has another shape."""
    if not isinstance(expert.network, Expert):
        raise ConfigError(f"{expert.path} is not an expert; choose another model")
    try:
        generator.audio_encoder.load_state_dict(expert.network.audio_encoder.state_dict())
    except RuntimeError as error:
        raise ConfigError(
            f"audio_encoder_init=expert: {expert.path} ({expert.card.dimensions}) has another audio encoder than a "
            f"generator of width {generator.dimensions.width}; set width to the expert's, and its layout to strided, "
            "or audio_encoder_init=own"
        ) from error


def begin_discriminator(network: nn.Module, init: Model) -> None:
    """Initialise the network trained against a generator from another one of the same dimensions.

    One for BGR, such as the published one, is converted to RGB. Raises ConfigError for other dimensions.
    """
    begun, wanted = dimensions_of(init.network), dimensions_of(network)
    differ = [f"{name} {begun.get(name)}, not {value}" for name, value in wanted.items() if begun.get(name) != value]
    if type(init.network) is not type(network) or differ:
        raise ConfigError(
            f"discriminator.init {init.path} is a {init.card.kind} with {', '.join(differ) or 'another layout'}; set "
            "discriminator.kind, width and frames accordingly (the public one: published, 32 and 1), and crop.size"
        )
    weights = init.network.state_dict()
    if init.card.colour == "bgr" and isinstance(init.network, Discriminator):
        weights[FIRST_LAYER] = in_order(weights[FIRST_LAYER], "bgr")
    network.load_state_dict(weights)


def _for_references(weights: dict[str, Tensor], n_begun: int, n_wanted: int) -> dict[str, Tensor]:
    """Return the weights that depend on the number of references, converted to another number.

    With one image as each of its references, the new network does what the old one did, as far as that moved them
    alike: inputs are spread evenly over the new ones, they move as the old ones did on average, and their shares have
    the same sum.
    """
    first = next(name for name, tensor in weights.items() if tensor.dim() == 4 and tensor.shape[1] == 3 * (1 + n_begun))
    masked, seen = weights[first][:, :3], torch.stack(weights[first][:, 3:].chunk(n_begun, dim=1))
    seen = seen.sum(dim=0) / n_wanted
    found = {first: torch.cat([masked, seen.repeat(1, n_wanted, 1, 1)], dim=1)}
    for name in ("flow.weight", "flow.bias"):
        if name in weights:
            move = torch.stack(weights[name].chunk(n_begun)).mean(dim=0)
            found[name] = move.repeat(n_wanted, *[1] * (move.dim() - 1))
    for name in ("output.weight", "output.bias"):
        if name in weights:
            drawn, share = weights[name][:4], weights[name][4:].mean(dim=0, keepdim=True)
            if name.endswith("bias"):
                share = share + math.log(n_begun / n_wanted)  # a softmax over more gives each a smaller share
            found[name] = torch.cat([drawn, share.expand(n_wanted, *share.shape[1:])])
    return found


def _of_other_size(
    weights: dict[str, Tensor], begun: GeneratorDimensions, generator: Generator | WarpingGenerator
) -> dict[str, Tensor]:
    """Return the generator's own weights, with those replaced that the other one has at the same level."""
    own = generator.state_dict()
    if begun.layout == "published":  # its decoder counts from the coarsest level, where sizes differ
        more = len(generator.dimensions.level_sizes) - len(begun.level_sizes)
        weights = {_moved(name, more): tensor for name, tensor in weights.items()}
    taken = {name: tensor for name, tensor in weights.items() if name in own and own[name].shape == tensor.shape}
    if not taken:
        raise ConfigError(
            f"init for {begun.size} px shares no level with one for {generator.dimensions.size} px; choose another init"
        )
    share = sum(tensor.numel() for tensor in taken.values()) / sum(tensor.numel() for tensor in own.values())
    logger.info("%.0f %% of the weights come from the generator for %d px", 100 * share, begun.size)
    return {**own, **taken}


def _moved(name: str, more: int) -> str:
    found = DECODER.match(name)
    if not found or int(found[1]) == 0:
        return name
    return f"face_decoder_blocks.{int(found[1]) + more}.{name[found.end() :]}"
