"""Values of settings that choose a model or how it runs, importable without networks."""

from typing import Literal

SHIPPED = "w2l"
"""The name of the shipped model of each kind."""
STILLS = "w2l-still"
"""The name of the shipped generator for a person of whom one look is known, such as a photograph."""
Backend = Literal["auto", "torch", "onnx"]
"""What computes a network."""
InferencePrecision = Literal["auto", "float32", "half", "bf16"]
"""Precision in which a generator runs."""
