"""The stages of w2l, each a function `run(config, ...)` and a thin command."""
