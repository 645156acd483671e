"""Model files: checkpoints, registry of names, downloads, inference, ONNX export."""
