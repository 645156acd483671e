"""The commands of w2l: each is a function `run(config, ...)` and a thin click command."""
