"""Lip sync of a stream: frames in, redrawn frames out, in constant memory and with a known delay.

`w2l.syncing.run` sees all of a video before it draws. A stream is worked on in blocks: the faces of a block are found
and followed in its frames and some before and after, then it is drawn. What the generator copies looks from are frames
of the first blocks of each shot.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from w2l.core.arrays import Canvas, Image
from w2l.core.errors import ConfigError, MediaError, NoFaceError
from w2l.core.timing import generator_window_at
from w2l.faces.appearance import look_of
from w2l.faces.follow import NO_FACE, Face, Faces, fixed_face, follow
from w2l.faces.search import scan_faces
from w2l.faces.select import Choice, Chosen, choose, parse_choice, steady_tracks
from w2l.faces.tracker import Scan
from w2l.features.crop import CropSpec
from w2l.features.pauses import gate_silence
from w2l.features.windows import mel_window
from w2l.media.picture import RgbPicture
from w2l.media.video import Frame
from w2l.syncing.detail import finer_spec
from w2l.syncing.engine import Cue, Redrawer
from w2l.syncing.portrait import face_on
from w2l.syncing.reference_bank import OWN_MOUTH_S, Bank, ReadFrames, Reference, find_references
from w2l.syncing.tools import Tools

BLOCK_S = 1.0
"""Seconds of frames whose faces are found together."""
MARGIN_S = 0.4
"""Seconds before and after a block that are looked at for it, so that boxes are as steady at its ends as within."""
BATCH = 8
"""Most frames drawn at the same time: more would only add to the delay."""
LEARN_BLOCKS = 4
"""Blocks of a shot that looks are taken from."""
MOST_MISSED = 3
"""Blocks for which a face that is gone is waited for where it was; then another may be taken in the same shot."""
FACES = ("auto", "largest", "left", "right", "place", "portrait")
"""Kinds of choices of a face that a stream can follow."""


def delay_frames(fps: float) -> int:
    """Return how many frames after a frame must have come, at most, before it is drawn."""
    block, margin = _block_and_margin(fps)
    return block + margin + BATCH


def _block_and_margin(fps: float) -> tuple[int, int]:
    return max(1, round(BLOCK_S * fps)), max(1, round(MARGIN_S * fps))


@dataclass(frozen=True)
class Block:
    """Some frames of a stream, with what was seen around them."""

    start: int
    """Place of its first frame in the stream."""
    images: list[Image]
    """Its frames."""
    seen: list[Image]
    """All frames that were looked at."""
    before: int
    """Frames that were looked at before its first one."""
    faces: Faces
    """Of all frames that were looked at; the number of a face's track is that of its shot in the stream."""

    def faces_at(self, idx: int) -> tuple[Face, ...]:
        """Return the faces to redraw in frame `idx` of the stream."""
        return self.faces.at(idx - self.start + self.before)


class StreamSync:
    """Redraws one face of streams of frames.

    Parameters
    ----------
    tools : Tools
        Generator, detector and settings. Of the settings those about a whole video (length, streams, encoding,
        references, start and end) do not count.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        settings = tools.settings
        self._choice = parse_choice(settings.face)
        if self._choice.kind not in FACES or self._choice.at_s is not None:
            words = "auto, largest, left, right, x,y or a picture"
            raise ConfigError(f"face {settings.face!r} needs a whole video; of a stream choose {words}")
        self._portrait: Image | None = None
        if self._choice.picture is not None:
            image, face = face_on(self._choice.picture, tools.detector)
            self._portrait = look_of(image, face.points)

    def redraw(self, frames: Iterable[Image], mel: NDArray[np.float32], fps: float) -> Iterator[Image]:
        """Yield each frame with a mouth that fits the sound, in order; one without the face comes as it is.

        Parameters
        ----------
        frames : iterable of (height, width, 3) uint8
            RGB, all of one size, at a constant rate.
        mel : (80, columns)
            Of the whole speech, which begins with the first frame; see `w2l.syncing.hearing.hear`. Silence follows it.
        fps : float

        Raises
        ------
        MediaError
            For a frame of another size or kind.
        """
        heard = gate_silence(mel) if self._tools.settings.silence == "close" else mel
        looks = _BlockLooks(self._n_references)
        blocks = self._blocks(frames, fps)
        for block in blocks:
            if not len(block.faces.track):
                yield from block.images
                continue
            redrawer = self._redrawer(block, looks)
            cues = self._cues(chain([block], blocks), heard, fps, redrawer.spec, looks)
            del block  # or its frames would be held to the end
            for canvas in redrawer.redraw(cues):
                yield canvas.rgb()

    @property
    def _n_references(self) -> int:
        return int(self._tools.model.card.dimensions.get("n_references", 1))

    def _redrawer(self, block: Block, looks: "_BlockLooks") -> Redrawer:
        """Return what draws the stream, as fine as the face is in the first block that shows it."""
        tools, card = self._tools, self._tools.model.card
        spec = replace(card.crop, pads=(0, 0, 0, 0)) if tools.settings.box is not None else card.crop
        spec = finer_spec(spec, block.faces, card, tools.settings.detail)
        return Redrawer(tools.runner, card, spec, looks, tools.compositor(spec), BATCH)

    def _cues(
        self, blocks: Iterable[Block], mel: NDArray[np.float32], fps: float, spec: CropSpec, looks: "_BlockLooks"
    ) -> Iterator[Cue]:
        """Yield what each frame is drawn from."""
        for block in blocks:
            looks.learn(block, spec, fps)
            for idx, image in enumerate(block.images, block.start):
                window = mel_window(mel, generator_window_at(idx / fps))
                yield Cue(RgbPicture(image), block.faces_at(idx), window, idx, idx)

    def _blocks(self, frames: Iterable[Image], fps: float) -> Iterator[Block]:
        """Yield the stream block by block; no more is read than a block and its margins need."""
        n_block, n_margin = _block_and_margin(fps)
        stream = _checked(frames)
        held: list[Image] = []
        first = start = n_shots = 0  # of `held`; of the block; cuts before it
        known: _Followed | None = None
        while True:
            held += islice(stream, start + n_block + n_margin - first - len(held))
            stop = min(start + n_block, first + len(held))
            if stop <= start:
                return
            faces, cuts, known = self._look(held, fps, known, stop - first)
            inside = [cut for cut in cuts if start - first <= cut]
            if start == 0:
                inside = [cut for cut in inside if cut > 0]
            faces = _numbered_by_shot(faces, inside, n_shots)
            yield Block(start, held[start - first : stop - first], list(held), start - first, faces)
            n_shots += sum(cut < stop - first for cut in inside)
            start = stop
            dropped = max(0, start - n_margin - first)
            del held[:dropped]
            first += dropped

    def _look(
        self, images: list[Image], fps: float, known: "_Followed | None", stop: int
    ) -> tuple[Faces, list[int], "_Followed | None"]:
        """Return the faces of some frames, their cuts, and where the face is in the frame before `stop`."""
        settings, tools = self._tools.settings, self._tools
        if settings.box is not None:
            return fixed_face(settings.box, len(images)), [], None
        shown = (Frame(idx, idx / fps, image) for idx, image in enumerate(images))
        scan = scan_faces(shown, tools.detector, settings.detect.stride, None, settings.detect.min_face)
        chosen = self._chosen(scan, known)
        if chosen is None or not chosen.faces:
            if settings.on_missing == "fail":
                raise NoFaceError("the face is missing in the stream; on_missing=keep passes such frames through")
            seen_before = None if known is None or len(scan.cuts) else replace(known, missed=known.missed + 1)
            return _no_faces(len(images)), scan.cuts.tolist(), seen_before
        smooth_s, hold = tools.model.card.crop.smooth_s, settings.on_missing == "hold"
        faces = follow(scan, smooth_s, chosen, hold)
        return faces, scan.cuts.tolist(), _followed(faces, stop - 1)

    def _chosen(self, scan: Scan, known: "_Followed | None") -> Chosen | None:
        """Return the face that was followed before, in the shot that continues, and in new shots as was asked for."""
        tracks = steady_tracks(scan)
        try:
            asked = choose(tracks, scan, self._choice, self._portrait)
        except NoFaceError:
            return None
        if known is None or known.missed >= MOST_MISSED or self._choice.kind == "portrait":
            return asked
        ends = int(scan.cuts[0]) if len(scan.cuts) else scan.n_frames
        new = [face for face in asked.faces if tracks[face[0]].start >= ends]
        try:
            same = choose(tracks, scan, Choice("place", x=known.x, y=known.y)).faces
        except NoFaceError:
            same = ()
        return replace(asked, faces=(*(face for face in same if tracks[face[0]].start < ends), *new))


@dataclass(frozen=True)
class _Followed:
    """Where the face was at the end of the last block that showed it."""

    x: float
    """Pixels."""
    y: float
    missed: int = 0
    """Blocks since then."""


@dataclass(frozen=True)
class _BlockBank:
    """The looks of the frames of one block."""

    stop: int
    """Place in the stream of the first frame after the block."""
    first: int
    """Place of the first frame that was looked at for it: the bank counts from there."""
    bank: Bank


class _BlockLooks:
    """The references of a stream: for each shot looks from its first blocks, chosen by pose."""

    def __init__(self, n_references: int) -> None:
        self._n_references = n_references
        self._known: dict[int, list[Reference]] = {}
        self._learnt: dict[int, int] = {}
        self._banks: deque[_BlockBank] = deque(maxlen=3)

    def learn(self, block: Block, spec: CropSpec, fps: float) -> None:
        """Take looks from a block, where its shots need any, and choose some for each of its frames."""
        first = block.start - block.before
        shots = block.faces.tracks
        for shot in [shot for shot in self._known if shot < min(shots, default=0)]:
            del self._known[shot], self._learnt[shot]
        if any(self._learnt.get(shot, 0) < LEARN_BLOCKS for shot in shots):
            found = find_references(_reader(block), block.faces, spec, self._n_references)
            for shot, some in found.items():
                self._learnt[shot] = self._learnt.get(shot, 0) + 1
                moved = [replace(look, frame_idx=look.frame_idx + first) for look in some]
                self._known.setdefault(shot, []).extend(moved)
        here = {
            shot: [replace(look, frame_idx=look.frame_idx - first) for look in self._known[shot]]
            for shot in shots
            if shot in self._known
        }
        bank = Bank(here, block.faces, self._n_references, round(OWN_MOUTH_S * fps))
        self._banks.append(_BlockBank(block.start + len(block.images), first, bank))

    def at(self, frame_idx: int, picture: int, face: Face, crop: Image) -> Image:
        """Return the looks for a face in a frame of the stream; see `References`."""
        known = next(known for known in self._banks if frame_idx < known.stop)
        return known.bank.at(frame_idx - known.first, picture, face, crop)

    def __str__(self) -> str:
        return "frames of like pose from the beginning of each shot"


def _reader(block: Block) -> ReadFrames:
    """Return what gives the frames that were looked at for a block."""

    def read(wanted: Iterable[int]) -> Iterator[tuple[int, Canvas]]:
        for idx in wanted:
            yield idx, RgbPicture(block.seen[idx])

    return read


def _checked(frames: Iterable[Image]) -> Iterator[Image]:
    """Yield frames that are RGB pictures of one size; MediaError for one that is not."""
    shape: tuple[int, ...] | None = None
    for idx, frame in enumerate(frames):
        image = np.asarray(frame)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or min(image.shape) < 3:
            found = f"{image.dtype} {image.shape}"
            raise MediaError(f"frame {idx} of the stream is {found}; expected uint8 (height, width, 3) in RGB")
        if shape is not None and image.shape != shape:
            sizes = f"{image.shape[1]} x {image.shape[0]} px, those before {shape[1]} x {shape[0]}"
            raise MediaError(f"frame {idx} of the stream is {sizes}; give frames of one size")
        shape = image.shape
        yield image


def _numbered_by_shot(faces: Faces, cuts: list[int], n_before: int) -> Faces:
    """Return the faces with the number of their shot in place of their track's; `n_before` shots ended before."""
    frame_of = np.repeat(np.arange(faces.n_frames), np.diff(faces.first))
    return replace(faces, track=(n_before + np.searchsorted(cuts, frame_of, side="right")).astype(np.int64))


def _no_faces(n_frames: int) -> Faces:
    """Return that no face is redrawn in any frame."""
    fixed = fixed_face((0.0, 0.0, 1.0, 1.0), 0)
    return replace(fixed, first=np.zeros(n_frames + 1, np.int64), why=np.full(n_frames, NO_FACE, np.int8))


def _followed(faces: Faces, idx: int) -> _Followed | None:
    """Return where the face is in the frame nearest to frame `idx` that shows it."""
    frame_of = np.repeat(np.arange(faces.n_frames), np.diff(faces.first))
    if not len(frame_of):
        return None
    row = int(np.abs(frame_of - idx).argmin())
    x, y = ((faces.boxes[row, :2] + faces.boxes[row, 2:]) / 2).tolist()
    return _Followed(x, y)
