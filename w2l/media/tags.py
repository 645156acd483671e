"""Read the metadata tags of a file."""

from pathlib import Path

from w2l.media.container import open_input


def comments(path: Path) -> list[str]:
    """Return the comments in the tags of a file; raise MediaError if it cannot be opened."""
    with open_input(path) as container:
        return [value for key, value in container.metadata.items() if key.lower() == "comment"]
