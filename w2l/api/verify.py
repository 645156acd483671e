"""`w2l.verify`: whether a file says that it was made by w2l."""

from w2l.api.given import PathLike, given_path
from w2l.marks.verdict import Verdict
from w2l.marks.verify import verify as verify_file


def verify(path: PathLike) -> Verdict:
    """Find the marks of a file, without its original: in the picture, its tags, its manifest, the record beside it.

    Parameters
    ----------
    path : path
        Any video; it may have been encoded again, scaled, cropped or cut.

    Returns
    -------
    Verdict
        ``is_marked``, the marks with the stretches of time that carry them, and what the other layers say.

    Raises
    ------
    MediaError
        When the file cannot be read.
    """
    return verify_file(given_path(path))
