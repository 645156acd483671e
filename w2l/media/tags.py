"""The tags of a file: what it says of itself beside its streams."""

from pathlib import Path

from w2l.media.container import open_input


def comments(path: Path) -> list[str]:
    """Return the comments in the tags of a file; MediaError where it cannot be opened."""
    with open_input(path) as container:
        return [value for key, value in container.metadata.items() if key.lower() == "comment"]
