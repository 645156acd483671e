"""A stand-in for the process of a job: it holds the lock until a file says how to end."""

import os
import sys
import time
from pathlib import Path

from w2l.core.locks import claim
from w2l.queue.store import JobProgress, QueuedJob

if __name__ == "__main__":
    job = QueuedJob(Path(sys.argv[2]))
    with claim(job.lock) as is_mine:
        assert is_mine
        with (job.folder / "starts").open("a") as file:
            file.write("x")
        job.report(JobProgress("sync", 3, 10, 1.5))
        while True:
            if (job.folder / "finish").exists():
                job.end("done", result={"frames": 10})
                break
            if (job.folder / "die").exists():
                os._exit(9)
            time.sleep(0.02)
