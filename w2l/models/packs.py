"""Table of the downloadable model packs: sources, files and terms."""

from dataclasses import dataclass
from typing import Literal

RELEASE = "https://github.com/deepinsight/insightface/releases/download/v0.7"
INSIGHTFACE_LICENCE = "InsightFace model zoo: non-commercial research only"
INSIGHTFACE_TERMS = (
    "The InsightFace authors publish these models for non-commercial research purposes only; any commercial use needs "
    "a licence from them (see https://github.com/deepinsight/insightface, section License)."
)
PackKind = Literal["detector", "judge", "inception"]
"""Purpose of a pack: finding faces, LSE, FID."""


@dataclass(frozen=True)
class PackFile:
    """One file that is kept from a pack."""

    name: str
    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True)
class Pack:
    """A downloadable archive and the files kept from it."""

    name: str
    summary: str
    url: str
    size: int
    """Bytes of the archive."""
    sha256: str
    licence: str
    """A short description."""
    terms: str
    """Terms the user agrees to."""
    files: tuple[PackFile, ...]
    """The files that are kept; a pack of one file of the download's size is that file, not an archive."""
    kind: PackKind = "detector"

    @property
    def is_plain(self) -> bool:
        """Whether the download is the file itself."""
        return [file.sha256 for file in self.files] == [self.sha256]

    @property
    def kept(self) -> int:
        """Bytes kept on the disk."""
        return sum(file.size for file in self.files)


_POINTS = PackFile("2d106det.onnx", 5_030_888, "f001b856447c413801ef5c42091ed0cd516fcd21f2d6b79635b1e733a7109dbf")
_SYNCNET = "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442"
_INCEPTION = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
# The hashes were taken from public records, each from several projects that pin the release files and agree.
PACKS = {
    "buffalo_l": Pack(
        "buffalo_l",
        "SCRFD-10GF face detector and 106 face points",
        f"{RELEASE}/buffalo_l.zip",
        288_621_354,
        "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
        INSIGHTFACE_LICENCE,
        INSIGHTFACE_TERMS,
        (
            PackFile("det_10g.onnx", 16_923_827, "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91"),
            _POINTS,
        ),
    ),
    "buffalo_s": Pack(
        "buffalo_s",
        "SCRFD-500MF face detector, fast on a CPU, and 106 face points",
        f"{RELEASE}/buffalo_s.zip",
        127_607_557,
        "d85a87f503f691807cd8bb97128bdf7a0660326cd9cd02657127fa978bab8b5e",
        INSIGHTFACE_LICENCE,
        INSIGHTFACE_TERMS,
        (
            PackFile("det_500m.onnx", 2_524_817, "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a"),
            _POINTS,
        ),
    ),
    "syncnet-v2": Pack(
        "syncnet-v2",
        "SyncNet v2, the judge of published LSE-D and LSE-C",
        "https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
        54_573_114,
        _SYNCNET,
        "none stated by its authors",
        "The authors of SyncNet (Chung and Zisserman, 2016) publish these weights with their research code and state "
        "no licence for them; ask them before any commercial use.",
        (PackFile("syncnet_v2.model", 54_573_114, _SYNCNET),),
        "judge",
    ),
    "fid-inception": Pack(
        "fid-inception",
        "Inception network of published FID figures (pt_inception-2015-12-05)",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        95_628_359,
        _INCEPTION,
        "Apache 2.0",
        "Weights of TensorFlow's Inception network of 2015, as converted and published by pytorch-fid (Apache 2.0).",
        (PackFile("pt_inception-2015-12-05-6726825d.pth", 95_628_359, _INCEPTION),),
        "inception",
    ),
}
"""The packs by name, the better ones first."""
