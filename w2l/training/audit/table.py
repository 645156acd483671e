"""Result of an audit as text: counts, a histogram of offsets and the worst tracks."""

from collections import Counter
from collections.abc import Sequence

from w2l.cache.records import EXCLUDED, SHIFTED, VERDICTS
from w2l.training.audit.run import AuditedTrack, AuditResult

BAR = 40
"""Characters of the longest bar of the histogram."""
MOST_ASIDE = 0.5
"""Share of tracks set aside above which the expert is doubted, too."""
WORST = 10
"""Number of tracks listed."""


def audit_table(result: AuditResult) -> str:
    """Return plain text of a few dozen lines, whatever the number of tracks."""
    total = max(len(result.findings), 1)
    lines = [f"audit by {result.expert}, zero at {result.zero.lag:+.2f} frames"]
    lines += [f"  {word:9} {result.counts[word]:7}  {result.counts[word] / total:6.1%}" for word in VERDICTS]
    if result.offsets:
        lines += ["", "offset (frames by which the audio runs ahead)    tracks"]
        lines += _histogram(result.offsets)
    for title, word in (("shifted most", SHIFTED), ("set aside", EXCLUDED)):
        chosen = [found for found in result.findings if found.verdict.verdict == word]
        if chosen:
            lines += ["", f"{title}:", *_named(chosen)]
    reasons = Counter(found.verdict.reason.partition(":")[0] for found in result.findings if found.verdict.reason)
    if reasons:
        lines += ["", "set aside, by reason:", *(f"  {count:7}  {reason}" for reason, count in reasons.most_common())]
    if result.zero.warning:
        lines += ["", f"warning: {result.zero.warning}"]
    if result.refused:
        lines += ["", f"nothing was changed: {result.refused}"]
    elif result.counts[EXCLUDED] > MOST_ASIDE * len(result.findings):
        lines += ["", "warning: most tracks are set aside and not used for training; perhaps this expert does not "
                      "know such faces: choose another with --expert, or undo the audit with --undo"]  # fmt: skip
    return "\n".join(lines)


def _histogram(offsets: dict[int, int]) -> list[str]:
    """Return one line per offset, from the smallest to the largest, including those without tracks."""
    most = max(offsets.values())
    rows = [(offset, offsets.get(offset, 0)) for offset in range(min(offsets), max(offsets) + 1)]
    return [f"  {offset:+3d}  {'█' * -(-count * BAR // most):{BAR}}  {count}" for offset, count in rows]


def _named(findings: Sequence[AuditedTrack]) -> list[str]:
    """Return the tracks with the largest offsets, then the least certain ones."""
    ordered = sorted(findings, key=lambda found: (-abs(found.verdict.offset), found.verdict.confidence, found.clip))
    lines = [
        f"  {found.clip} track {found.track}: "
        + (found.verdict.reason or f"{found.verdict.offset:+d} frames, confidence {found.verdict.confidence:.2f}")
        for found in ordered[:WORST]
    ]
    left = len(ordered) - WORST
    return [*lines, f"  ... and {left} more (--json lists all)"] if left > 0 else lines
