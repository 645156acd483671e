"""Answer files of a study's raters: read, checked, and blind names resolved to systems by the key."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2l.core.errors import ConfigError
from w2l.core.reading import Unreadable, read_untrusted_json
from w2l.scoring.study.build import KEY, KEY_FORMAT
from w2l.scoring.study.page import ANSWERS_FORMAT, ASPECTS, SCALE

SIDES = ("left", "same", "right")
ASPECT_NAMES = tuple(aspect.name for aspect in ASPECTS)


@dataclass(frozen=True)
class Answer:
    """One rater's answer about one video, or about two of the same clip."""

    clip: str
    systems: tuple[str, ...]
    """One, or the left and the right one."""
    values: Mapping[str, int]
    """Aspect -> 1 to 5; for two: 1 for the left, -1 for the right, 0 for no difference."""
    is_repeat: bool = False
    """Whether the same rater saw the pair before, with the sides swapped."""

    @property
    def is_pair(self) -> bool:
        """Whether two videos were compared."""
        return len(self.systems) == 2


@dataclass(frozen=True)
class Rater:
    """One person's answers."""

    id: str
    """Random id from the browser."""
    name: str
    """As typed, may be empty."""
    file: Path
    asked: int
    """Number of videos and pairs to judge."""
    answers: tuple[Answer, ...]
    skipped: int
    """Those that the browser could not play."""
    saved: str
    """Time by the browser's clock."""


@dataclass(frozen=True)
class Answers:
    """All answers that were read."""

    study: str
    systems: tuple[str, ...]
    raters: tuple[Rater, ...]
    left_out: tuple[str, ...]
    """Files that are not used, with the reason."""


class _Unusable(ValueError):
    """Why a file is not used, in a few words."""


@dataclass(frozen=True)
class _Key:
    study: str
    systems: tuple[str, ...]
    clips: Mapping[str, tuple[str, str]]
    """Blind name -> system and clip."""


def read_answers(files: Sequence[Path], key: Path | None = None) -> Answers:
    """Read answer files; unusable ones are listed with the reason, the others continue.

    Parameters
    ----------
    files : sequence of Path
        Answers as saved by the page, in any order; the study's key may be among them.
    key : Path, optional
        The key; without it, one among the files, else `study-key*.json` beside them or in the folder above.

    Raises ConfigError if there is no key, or if no file has answers to its study.
    """
    contents: dict[Path, dict[str, Any]] = {}
    left_out = []
    for path in files:
        try:
            contents[path] = _content(path)
        except _Unusable as error:
            left_out.append(f"{path}: {error}")
    named = {path: content for path, content in contents.items() if content.get("format") == KEY_FORMAT}
    answered = {path: content for path, content in contents.items() if path not in named}
    chosen = _choose_key(named, answered, key)
    raters = []
    for path, content in answered.items():
        try:
            raters.append(_rater(path, content, chosen))
        except _Unusable as error:
            left_out.append(f"{path}: {error}")
    raters, doubles = _without_doubles(raters)
    if not raters:
        reasons = "; ".join(left_out) or "no answer files were given"
        raise ConfigError(f"no answers to study {chosen.study}: {reasons}")
    return Answers(chosen.study, chosen.systems, tuple(raters), (*left_out, *doubles))


def _content(path: Path) -> dict[str, Any]:
    try:
        content = read_untrusted_json(path)
    except Unreadable as error:
        raise _Unusable(f"cannot be read ({error})") from error
    if not isinstance(content, dict) or content.get("format") not in (ANSWERS_FORMAT, KEY_FORMAT):
        raise _Unusable("does not contain answers to a w2l study")
    return content


def _choose_key(named: Mapping[Path, Any], answered: Mapping[Path, Any], given: Path | None) -> _Key:
    """Return the key of the study that most of the answers belong to."""
    if given is not None:
        try:
            return _key(given, _content(given))
        except _Unusable as error:
            raise ConfigError(f"{given}: {error}; choose the {KEY} that was written with the page") from error
    found = dict(named)
    if not found:
        for folder in dict.fromkeys(folder for path in answered for folder in _near(path)):
            for path in sorted(folder.glob(f"{Path(KEY).stem}*.json")):
                try:
                    found[path] = _content(path)
                except _Unusable:
                    continue  # not a key; there may be another
    keys = [_key(path, content) for path, content in found.items() if content.get("format") == KEY_FORMAT]
    if not keys:
        raise ConfigError(f"no {KEY} among these files or beside them; add it: it was written with the page")
    counts = Counter(str(content.get("study")) for content in answered.values())
    return max(keys, key=lambda key: counts[key.study])


def _near(path: Path) -> tuple[Path, Path]:
    folder = path.absolute().parent
    return folder, folder.parent


def _key(path: Path, content: dict[str, Any]) -> _Key:
    try:
        clips = {blind: (str(place["system"]), str(place["clip"])) for blind, place in content["clips"].items()}
        return _Key(str(content["study"]), tuple(map(str, content["systems"])), clips)
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} is not a complete study key ({error!r}); build the study again with the same seed"
        ) from error


def _rater(path: Path, content: dict[str, Any], key: _Key) -> Rater:
    if content.get("format") != ANSWERS_FORMAT:
        raise _Unusable("is a key, not answers")
    if content.get("study") != key.study:
        raise _Unusable(f"answers study {content.get('study')}, not {key.study}")
    given = content.get("answers")
    if not isinstance(given, list) or not isinstance(content.get("rater"), str) or not content["rater"]:
        raise _Unusable("lacks its rater or its answers; ask for it again")
    answers = tuple(_answer(number, one, key) for number, one in enumerate(given, 1))
    if not answers:
        raise _Unusable("contains no answers")
    seen = Counter((answer.clip, frozenset(answer.systems), answer.is_repeat) for answer in answers)
    if max(seen.values()) > 1:
        raise _Unusable("answers the same question twice; it was edited")
    skipped = content.get("skipped")
    n_skipped = len(skipped) if isinstance(skipped, list) else 0
    asked = content.get("asked")
    asked = asked if isinstance(asked, int) and asked >= len(answers) else len(answers) + n_skipped
    name, saved = str(content.get("name", "")), str(content.get("saved", ""))
    return Rater(content["rater"], name, path, asked, answers, n_skipped, saved)


def _answer(number: int, given: Any, key: _Key) -> Answer:
    """Return one answer, checked; `number` counts from 1 for messages."""
    try:
        blind, values, is_pair = list(given["clips"]), dict(given["answers"]), given["kind"] == "pair"
        places = [key.clips[name] for name in blind]
    except (KeyError, TypeError, ValueError) as error:
        raise _Unusable(f"answer {number} is damaged or about a video that the key does not know") from error
    systems, clips = tuple(system for system, _ in places), {clip for _, clip in places}
    if len(clips) != 1 or len(set(systems)) != len(systems) or len(systems) != (2 if is_pair else 1):
        raise _Unusable(f"answer {number} is not about one video, nor about two of the same clip")
    known: tuple[Any, ...] = SIDES if is_pair else tuple(range(1, len(SCALE) + 1))
    if set(values) != set(ASPECT_NAMES) or any(type(v) is bool or v not in known for v in values.values()):
        raise _Unusable(f"answer {number} is not one of the choices")
    meant = {name: 1 - SIDES.index(value) if is_pair else int(value) for name, value in values.items()}
    return Answer(clips.pop(), systems, meant, is_pair and given.get("repeat") is True)


def _without_doubles(raters: Iterable[Rater]) -> tuple[list[Rater], list[str]]:
    """Return each rater once, with the most answers, among equals the last saved; and what is dropped and why."""
    by_id: dict[str, list[Rater]] = defaultdict(list)
    for rater in raters:
        by_id[rater.id].append(rater)
    kept, dropped = [], []
    for states in by_id.values():
        best = max(states, key=lambda state: (len(state.answers), state.saved))
        kept.append(best)
        for state in states:
            if state is not best:
                why = "the same answers as" if state.answers == best.answers else "an earlier state of the answers in"
                dropped.append(f"{state.file}: {why} {best.file}")
    return kept, dropped
