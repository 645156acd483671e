"""ONNX Runtime opened quietly: one door for the models of face packs."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2l.errors import CheckpointError

log = logging.getLogger(__name__)


def open_session(file: Path, device: str) -> tuple[Any, Any]:
    """An ONNX Runtime session of `file`, and its only input (name, shape: numbers, or text where it may vary).

    Raises CheckpointError for a file that is no ONNX model.
    """
    import onnxruntime

    providers = ["CPUExecutionProvider"]
    if device.startswith("cuda"):
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            providers.insert(0, "CUDAExecutionProvider")
        else:
            log.info("this onnxruntime has no CUDA; faces are detected on the CPU")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others compute meanwhile
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=providers)
    except _errors() as error:
        raise CheckpointError(f"{file}: not a readable ONNX model ({_first_line(error)}); fetch it again") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise CheckpointError(f"{file}: not a model that looks at one picture; name a face model")
    return session, inputs[0]


def run_session(session: Any, inputs: Mapping[str, NDArray[np.float32]], file: Path) -> list[NDArray[np.float32]]:
    """All outputs for `inputs`; CheckpointError where the model of `file` cannot take them."""
    try:
        outputs: list[NDArray[np.float32]] = session.run(None, dict(inputs))
    except _errors() as error:
        raise CheckpointError(f"{file}: the model cannot be run ({_first_line(error)}); name another file") from error
    return outputs


def _errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises for a model that cannot be read or run."""
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    names = ("InvalidProtobuf", "InvalidGraph", "InvalidArgument", "Fail", "RuntimeException", "NotImplemented")
    return tuple(getattr(states, name) for name in names)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
