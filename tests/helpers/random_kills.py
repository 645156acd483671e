"""SIGKILL at random moments: runs w2l in a group of processes of its own, and kills all of it, its head or a member."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stages import cli

PATIENCE_S = 300.0
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass
class Kills:
    """Starts w2l again and again, and kills it each time at another moment of its life."""

    seed: int
    log: Path
    """What the processes say."""
    life_s: float = 0.0
    """How long a whole run takes, in seconds."""
    how: list[str] = field(default_factory=list)
    """How each run ended: what was killed, or "ended" when it was too late."""

    def __post_init__(self) -> None:
        """Begins the draws."""
        self._rng = np.random.default_rng(self.seed)

    def whole(self, *arguments: object) -> int:
        """A run that nobody disturbs; gives its exit status."""
        began = time.monotonic()
        with self._start(arguments) as process:
            status = process.wait(PATIENCE_S)
        self.life_s = self.life_s or time.monotonic() - began
        return status

    def one_of(self, *choices: str) -> str:
        """Draws."""
        return choices[int(self._rng.integers(len(choices)))]

    def once(self, *arguments: object) -> None:
        """A run that is killed at a random moment; returns when none of its processes is left."""
        target = self.one_of("all", "head", "member")
        delay_s = float(self._rng.uniform(0.1, 1.0)) * self.life_s
        began = time.monotonic()
        with self._start(arguments) as process:
            try:
                process.wait(delay_s)
                self.how.append("ended")
                self.life_s = min(self.life_s, time.monotonic() - began)  # the first one was slower: files were cold
            except subprocess.TimeoutExpired:
                self.how.append(self._kill(process.pid, target))
                if self.how[-1] == "member":  # which is replaced: the run goes on, and is killed a little later
                    time.sleep(float(self._rng.uniform(0, 0.3)) * self.life_s)
                    self._kill(process.pid, "all")
            status = process.wait(PATIENCE_S)
        assert status in (0, 1, -signal.SIGKILL), self.log.read_text()
        self._until_all_have_ended(process.pid)
        with self.log.open("a") as log:
            log.write(f"--- {self.how[-1]} after {delay_s:.1f} s of {self.life_s:.1f} s\n")

    def enough(self, count: int) -> bool:
        """Whether there were so many runs, half of them cut short: on a busy machine a moment may come too late."""
        hits = sum(how != "ended" for how in self.how)
        assert len(self.how) < 3 * count + 10, f"only {hits} of {len(self.how)} runs were cut short"
        return len(self.how) >= count and hits >= 0.5 * count

    def check_log(self) -> None:
        """Nothing but a worker that lost its parent while it was born may show a traceback."""
        text = self.log.read_text()
        assert text.count("Traceback") == text.count("spawn_main"), text

    def _start(self, arguments: tuple[object, ...]) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "stages.cli", *map(str, arguments)]
        root = Path(cli.__file__).parents[1]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=root, env={**os.environ, **QUIET}, stdout=log, stderr=log, start_new_session=True
            )

    def _kill(self, head: int, target: str) -> str:
        """Kills; gives what was killed in the end, as there may be no member yet."""
        members = [pid for pid in group_of(head) if pid != head]
        if target == "member" and members:
            os.kill(self._rng.choice(members), signal.SIGKILL)
            return target
        if target == "head":
            os.kill(head, signal.SIGKILL)
            return target
        os.killpg(head, signal.SIGKILL)
        return "all"

    def _until_all_have_ended(self, head: int) -> None:
        deadline = time.monotonic() + 30
        while group_of(head):
            assert time.monotonic() < deadline, f"processes are left behind: {group_of(head)}"
            time.sleep(0.02)


def group_of(head: int) -> list[int]:
    """The living processes of the group that `head` leads or led."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has just ended
            continue
        if int(group) == head and state not in "ZX":
            found.append(int(stat.parent.name))
    return found
