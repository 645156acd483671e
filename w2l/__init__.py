"""Lip sync from Python: the functions behind the `w2l` commands, imported when they are first used.

    import w2l

    made = w2l.sync("in.mp4", "speech.wav", "out.mp4")
    print(w2l.score("out.mp4", reference="in.mp4"))

`sync`, `detect`, `preprocess`, `train_expert`, `train`, `score` and `audit` are the commands of the same names; their
keywords are the commands' options. `LipSync` redraws a stream of frames, `embed` gives what the networks that judge
lip sync make of a clip, `verify` finds the marks of outputs, and `errors` holds all that is raised.
"""

TYPE_CHECKING = False  # type checkers take it for true; importing typing takes longer than all of this
if TYPE_CHECKING:
    from w2l import errors as errors
    from w2l.api.audit import audit as audit
    from w2l.api.detect import detect as detect
    from w2l.api.embed import embed as embed
    from w2l.api.lipsync import LipSync as LipSync
    from w2l.api.preprocess import preprocess as preprocess
    from w2l.api.score import score as score
    from w2l.api.scores import Scores as Scores
    from w2l.api.sync import sync as sync
    from w2l.api.train import train as train
    from w2l.api.train_expert import train_expert as train_expert
    from w2l.api.verify import verify as verify
    from w2l.marks.verdict import Verdict as Verdict

    __version__: str

PUBLIC = {
    "LipSync": "w2l.api.lipsync",
    "Scores": "w2l.api.scores",
    "audit": "w2l.api.audit",
    "detect": "w2l.api.detect",
    "embed": "w2l.api.embed",
    "errors": "w2l.errors",
    "preprocess": "w2l.api.preprocess",
    "score": "w2l.api.score",
    "sync": "w2l.api.sync",
    "train": "w2l.api.train",
    "train_expert": "w2l.api.train_expert",
    "Verdict": "w2l.marks.verdict",
    "verify": "w2l.api.verify",
}
"""Name -> the module that it is in."""

__all__ = [
    "LipSync", "Scores", "Verdict", "audit", "detect", "embed", "errors", "preprocess", "score", "sync", "train",
    "train_expert", "verify",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Import a public name when it is first used; `__version__` is that of the installed package."""
    if name == "__version__":
        return _version()
    if name not in PUBLIC:
        raise AttributeError(f"module 'w2l' has no attribute '{name}'")
    from importlib import import_module

    module = import_module(PUBLIC[name])
    found: object = module if name == "errors" else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *PUBLIC, "__version__"})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("w2l")
    except PackageNotFoundError:
        raise AttributeError("w2l.__version__ is unknown: w2l is not installed; run pip install -e . first") from None
