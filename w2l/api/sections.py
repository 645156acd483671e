"""The sections that a file of settings may hold."""

SECTIONS = {
    "preprocess": "w2l.data.prepare.clip:PrepareSettings",
    "detect": "w2l.faces.settings:DetectSettings",
    "audit": "w2l.training.audit.verdicts:AuditSettings",
    "train-expert": "w2l.training.expert.settings:ExpertSettings",
    "train": "w2l.training.generator.settings:GeneratorSettings",
    "sync": "w2l.syncing.settings:SyncSettings",
    "score": "w2l.scoring.settings:ScoreSettings",
    "study": "w2l.scoring.study.build:StudySettings",
}
"""Name -> its dataclass; `study` is for `w2l score --study`."""
COMMANDS_ALONE = ("export", "weights")
"""Sections of commands that have no function here."""
