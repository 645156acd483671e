"""Library behind the `w2l` command: lip sync, training and measurement."""


def __getattr__(name: str) -> str:
    """Return ``__version__`` from the installed package's metadata, read only when it is asked for."""
    if name != "__version__":
        raise AttributeError(f"module 'w2l' has no attribute '{name}'")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("w2l")
    except PackageNotFoundError:
        raise AttributeError("w2l.__version__ is unknown: w2l is not installed; run pip install -e . first") from None
