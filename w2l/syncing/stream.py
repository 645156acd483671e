"""Lip sync of a stream: frames in, redrawn frames out, in constant memory and with a known delay.

`w2l.syncing.run` analyses the whole video before drawing. A stream is processed in blocks: faces are detected and
tracked in the frames of a block and in some before and after it, then the block is drawn. References are frames of the
first blocks of each shot.
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
from w2l.faces.follow import Face, Faces, fixed_face, follow, no_faces
from w2l.faces.search import scan_faces
from w2l.faces.select import Choice, Chosen, choose, parse_choice, steady_tracks
from w2l.faces.tracker import Scan
from w2l.features.crop import CropSpec
from w2l.features.pauses import gate_silence
from w2l.features.windows import mel_window
from w2l.media.picture import RgbPicture
from w2l.media.video import Frame
from w2l.syncing.covers import faces_without, find_covers, is_face
from w2l.syncing.detail import finer_spec
from w2l.syncing.engine import Cue, Redrawer
from w2l.syncing.portrait import face_on
from w2l.syncing.reference_bank import OWN_MOUTH_S, Bank, ReadFrames, Reference, find_references
from w2l.syncing.tools import Tools

BLOCK_S = 1.0
"""Length of a block in seconds."""
MARGIN_S = 0.4
"""Seconds before and after a block that are analysed with it, so that boxes are as steady at its ends as within."""
BATCH = 8
"""Most frames per batch; more would only add to the delay."""
LEARN_BLOCKS = 4
"""Number of blocks of a shot from which references are taken."""
MOST_MISSED = 3
"""Number of blocks for which a missing face is expected at its last position; then another may be chosen."""
FACES = ("auto", "largest", "left", "right", "place", "portrait")
"""Kinds of face choices that a stream supports."""


def delay_frames(fps: float) -> int:
    """Return the largest number of frames that must follow a frame before it is drawn."""
    block, margin = _block_and_margin(fps)
    return block + margin + BATCH


def _block_and_margin(fps: float) -> tuple[int, int]:
    return max(1, round(BLOCK_S * fps)), max(1, round(MARGIN_S * fps))


@dataclass(frozen=True)
class Block:
    """Consecutive frames of a stream, and the frames analysed with them."""

    start: int
    """Index of its first frame in the stream."""
    images: list[Image]
    """Frames of the block."""
    seen: list[Image]
    """All analysed frames."""
    before: int
    """Number of analysed frames before the first one of the block."""
    faces: Faces
    """Faces of all analysed frames; the track of a face is the number of its shot in the stream."""

    def faces_at(self, idx: int) -> tuple[Face, ...]:
        """Return the faces to redraw in frame `idx` of the stream."""
        return self.faces.at(idx - self.start + self.before)


class StreamSync:
    """Redraws one face in streams of frames.

    Parameters
    ----------
    tools : Tools
        Generator, detector and settings. Settings that concern a whole video (length, streams, encoding, references,
        start and end) are ignored.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        settings = tools.settings
        self._choice = parse_choice(settings.face)
        if self._choice.kind not in FACES or self._choice.at_s is not None:
            words = "auto, largest, left, right, x,y or a picture"
            raise ConfigError(f"face {settings.face!r} requires a whole video; for a stream use {words}")
        self._portrait: Image | None = None
        if self._choice.picture is not None:
            image, face = face_on(self._choice.picture, tools.detector)
            self._portrait = look_of(image, face.points)

    def redraw(self, frames: Iterable[Image], mel: NDArray[np.float32], fps: float) -> Iterator[Image]:
        """Yield each frame with a mouth in sync with the audio, in order; frames without the face are unchanged.

        Parameters
        ----------
        frames : iterable of (height, width, 3) uint8
            RGB, all of one size, at a constant rate.
        mel : (80, columns)
            Mel of the whole speech, which starts with the first frame and is followed by silence; see
            `w2l.syncing.hearing.hear`.
        fps : float

        Raises
        ------
        MediaError
            For a frame of another size or type.
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
            del block  # else its frames would stay in memory
            for canvas in redrawer.redraw(cues):
                yield canvas.rgb()

    @property
    def _n_references(self) -> int:
        return int(self._tools.model.card.dimensions.get("n_references", 1))

    def _redrawer(self, block: Block, looks: "_BlockLooks") -> Redrawer:
        """Return the redrawer of the stream, at the resolution of the face in the first block that has one."""
        tools, card = self._tools, self._tools.model.card
        spec = replace(card.crop, pads=(0, 0, 0, 0)) if tools.settings.box is not None else card.crop
        spec = finer_spec(spec, block.faces, card, tools.settings.detail)
        return Redrawer(tools.runner, card, spec, looks, tools.compositor(spec), BATCH)

    def _cues(
        self, blocks: Iterable[Block], mel: NDArray[np.float32], fps: float, spec: CropSpec, looks: "_BlockLooks"
    ) -> Iterator[Cue]:
        """Yield the cue of each frame."""
        for block in blocks:
            looks.learn(block, spec, fps)
            for idx, image in enumerate(block.images, block.start):
                window = mel_window(mel, generator_window_at(idx / fps))
                yield Cue(RgbPicture(image), block.faces_at(idx), window, idx, idx)

    def _blocks(self, frames: Iterable[Image], fps: float) -> Iterator[Block]:
        """Yield the stream in blocks; only the frames of a block and its margins are read."""
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
        """Return the faces of some frames, their cuts, and the position of the face in the frame before `stop`."""
        settings, tools = self._tools.settings, self._tools
        if settings.box is not None:
            return self._without_covered(images, fixed_face(settings.box, len(images)), fps), [], None
        shown = (Frame(idx, idx / fps, image) for idx, image in enumerate(images))
        scan = scan_faces(shown, tools.detector, settings.detect.stride, None, settings.detect.min_face)
        chosen = self._chosen(scan, known)
        if chosen is None or not chosen.faces:
            if settings.on_missing == "fail":
                raise NoFaceError("the face is missing in the stream; use on_missing=keep to pass such frames through")
            seen_before = None if known is None or len(scan.cuts) else replace(known, missed=known.missed + 1)
            return no_faces(len(images)), scan.cuts.tolist(), seen_before
        smooth_s, hold = tools.model.card.crop.smooth_s, settings.on_missing == "hold"
        faces = follow(scan, smooth_s, chosen, hold)
        return self._without_covered(images, faces, fps), scan.cuts.tolist(), _followed(faces, stop - 1)

    def _without_covered(self, images: list[Image], faces: Faces, fps: float) -> Faces:
        """Return the faces without those whose mouth is covered, as far as these frames show."""
        if self._tools.settings.on_covered == "redraw":
            return faces
        read = _reader(images)
        covers = find_covers(read, faces)
        if self._tools.settings.box is not None and not is_face(self._tools.detector, read, faces, covers):
            return faces
        return faces_without(faces, covers, fps)

    def _chosen(self, scan: Scan, known: "_Followed | None") -> Chosen | None:
        """Return the tracked face in the shot that continues, and the requested face in new shots."""
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
    """Position of the face at the end of the last block that contained it."""

    x: float
    """Pixels."""
    y: float
    missed: int = 0
    """Number of blocks since then."""


@dataclass(frozen=True)
class _BlockBank:
    """The references of the frames of one block."""

    stop: int
    """Index in the stream of the first frame after the block."""
    first: int
    """Place of the first frame that was looked at for it: the bank counts from there."""
    bank: Bank


class _BlockLooks:
    """References of a stream: frames from the first blocks of each shot, chosen by pose."""

    def __init__(self, n_references: int) -> None:
        self._n_references = n_references
        self._known: dict[int, list[Reference]] = {}
        self._learnt: dict[int, int] = {}
        self._banks: deque[_BlockBank] = deque(maxlen=3)

    def learn(self, block: Block, spec: CropSpec, fps: float) -> None:
        """Take references from a block if its shots need any, and choose those of each of its frames."""
        first = block.start - block.before
        shots = block.faces.tracks
        for shot in [shot for shot in self._known if shot < min(shots, default=0)]:
            del self._known[shot], self._learnt[shot]
        if any(self._learnt.get(shot, 0) < LEARN_BLOCKS for shot in shots):
            found = find_references(_reader(block.seen), block.faces, spec, self._n_references)
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
        """Return the references for a face in a frame of the stream; see `References`."""
        known = next(known for known in self._banks if frame_idx < known.stop)
        return known.bank.at(frame_idx - known.first, picture, face, crop)

    def __str__(self) -> str:
        return "frames of similar pose from the start of each shot"


def _reader(images: list[Image]) -> ReadFrames:
    """Return a reader of frames in memory."""

    def read(wanted: Iterable[int]) -> Iterator[tuple[int, Canvas]]:
        for idx in wanted:
            yield idx, RgbPicture(images[idx])

    return read


def _checked(frames: Iterable[Image]) -> Iterator[Image]:
    """Yield frames that are RGB images of one size; raise MediaError for others."""
    shape: tuple[int, ...] | None = None
    for idx, frame in enumerate(frames):
        image = np.asarray(frame)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or min(image.shape) < 3:
            found = f"{image.dtype} {image.shape}"
            raise MediaError(f"frame {idx} of the stream is {found}; expected uint8 (height, width, 3) in RGB")
        if shape is not None and image.shape != shape:
            sizes = f"{image.shape[1]} x {image.shape[0]} px, earlier ones {shape[1]} x {shape[0]}"
            raise MediaError(f"frame {idx} of the stream is {sizes}; all frames must have the same size")
        shape = image.shape
        yield image


def _numbered_by_shot(faces: Faces, cuts: list[int], n_before: int) -> Faces:
    """Return the faces with the number of their shot as track; `n_before` shots ended before."""
    frame_of = np.repeat(np.arange(faces.n_frames), np.diff(faces.first))
    return replace(faces, track=(n_before + np.searchsorted(cuts, frame_of, side="right")).astype(np.int64))


def _followed(faces: Faces, idx: int) -> _Followed | None:
    """Return the position of the face in the frame nearest to frame `idx` that contains it."""
    frame_of = np.repeat(np.arange(faces.n_frames), np.diff(faces.first))
    if not len(frame_of):
        return None
    row = int(np.abs(frame_of - idx).argmin())
    x, y = ((faces.boxes[row, :2] + faces.boxes[row, 2:]) / 2).tolist()
    return _Followed(x, y)
