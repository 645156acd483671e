"""The verdict on the judge that precedes all numbers: whether it can detect lip sync on these clips."""

from w2l.scoring.metrics.columns import Column
from w2l.scoring.report.wording import DOUBT, small_p
from w2l.scoring.results import JudgeCheck, ScoreReport

OTHER_JUDGE = (
    "Try another --judge: SyncNet v2 (w2l weights fetch syncnet-v2, then --judge syncnet-v2), or a judge or expert "
    "trained on such people."
)
OWN_JUDGE = "Try a --judge trained on such people (w2l train-expert)."
"""Advice if SyncNet v2 is the judge."""
UNKNOWN = (
    ": either the judge does not work here, or picture and sound do not match. There was no real video to find out "
    "which; pass some with --reference."
)
"""Added if the check was made on outputs."""
MORE = " Five or more clips, or longer ones, make this check stronger."


def is_doubtful(report: ScoreReport, column: Column) -> bool:
    """Return whether the numbers of a column come from a judge that cannot detect sync on these clips."""
    check = report.judge_check
    return check is not None and not check.can_tell and column.group == "lse" and bool(column.better)


def judge_lines(report: ScoreReport) -> list[str]:
    """Return one line if the judge can detect sync, else also what that means and what to do."""
    check = report.judge_check
    if check is None:
        return []
    found = f"{_evidence(check)}, p {small_p(check.p_value)}"
    where = "these clips" if check.clips > 1 else "this clip"
    if check.can_tell:
        unchecked = "" if check.real else " There was no real video to check it on."
        return [f"The judge can tell lip sync on {where}: {found}.{unchecked}"]
    meaning = f"LSE, offset and in sync (marked {DOUBT}) mean nothing here{'.' if check.real else UNKNOWN}"
    advice = OWN_JUDGE if check.published else OTHER_JUDGE
    return [f"The judge cannot tell lip sync on {where}: {found}.", meaning, advice + MORE * (check.how == "alone")]


def _evidence(check: JudgeCheck) -> str:
    """Return the result of the check and the number of clips it was made on."""
    several = check.clips > 1
    which = f"{check.clips} {'real video' if check.real else 'output'}{'s' if several else ''}"
    if check.how == "shuffled":
        better = "better" if check.can_tell else "no better"
        return f"{which} score {better} with their own sound than with shuffled sound"
    verb, own = ("fit", "their") if several else ("fits", "its")
    where = "better at one offset" if check.can_tell else "at no offset better"
    return f"{which} {verb} {own} own sound {where} than next to it"
