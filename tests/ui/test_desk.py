"""What the page may name: uploads, and paths of this machine only where nobody else reaches the page."""

from pathlib import Path

import pytest

from w2l.cache.store import Cache
from w2l.core.errors import ConfigError
from w2l.queue.helper import Helper
from w2l.queue.line import Line
from w2l.queue.store import Jobs
from w2l.scoring.metrics.columns import GROUPS
from w2l.ui import texts
from w2l.ui.desk import Desk


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    made = Jobs(Cache.open(tmp_path / "cache", create=True))
    made.uploads.mkdir(parents=True)
    return made


def desk(jobs: Jobs, is_local: bool) -> Desk:
    return Desk(jobs, Line(jobs), Helper(), Helper(), is_local)


def test_paths_are_those_of_uploads_and_lines(jobs: Jobs) -> None:
    upload = str(jobs.uploads / "x" / "a.mp4")
    assert desk(jobs, True).paths([upload], " /b.mp4\n\n/c d.mp4 \n") == (upload, "/b.mp4", "/c d.mp4")
    assert desk(jobs, True).paths(None, None) == ()
    assert desk(jobs, False).paths([upload], "") == (upload,)


@pytest.mark.parametrize("typed", ["/etc/hostname", "{uploads}/../job.json", "{uploads}/link/x", "~/a.mp4", "a.mp4"])
def test_over_the_network_other_paths_are_refused(jobs: Jobs, tmp_path: Path, typed: str) -> None:
    (jobs.uploads / "link").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="cannot be named over the network"):
        desk(jobs, False).paths(None, typed.format(uploads=jobs.uploads))


def test_over_the_network_settings_name_no_files(jobs: Jobs) -> None:
    given = {"model": "/etc/passwd"}
    assert desk(jobs, True).allowed(given) == given
    for settings in (given, {"lpips": ["x", "../y"]}, {"reference": "~/me.png"}):
        with pytest.raises(ConfigError, match="cannot be named over the network"):
            desk(jobs, False).allowed(settings)
    spoken = {"disclosure.label": "AI / made", "judge": "syncnet-v2", "detail": 2}
    assert desk(jobs, False).allowed(spoken) == spoken


def test_every_group_of_measures_has_words() -> None:
    assert tuple(texts.MEASURES) == GROUPS
