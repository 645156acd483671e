"""What of a source's pictures an output cannot keep, in words, so that it is never lost without one."""

from w2l.media.video import VideoInfo


def not_kept(info: VideoInfo) -> str:
    """Return what an output does not keep of a source's pictures, in a few words; empty where it keeps all."""
    lost = []
    if info.has_alpha:
        lost.append("transparency (no codec written here has it; what it hid is seen)")
    if info.chroma != "4:2:0":
        lost.append(f"{info.chroma} chroma (becomes 4:2:0)")
    sides = (("width", "column", info.width), ("height", "row", info.height))
    lost += [
        f"{name} {size} px (becomes {size + 1}, the last {line} repeated)" for name, line, size in sides if size % 2
    ]
    return ", ".join(lost)
