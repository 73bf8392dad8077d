"""What the runs of an orchestrator have to show: the files of a day, and a process that is ended in between."""

import os
import signal
import threading
import time
from pathlib import Path

day, busy_day, empty_day = "2026-02-11", "2026-02-20", "2026-03-05"
busy_rows = 20_000


def folder_of(day):
    return Path(os.environ["SCORES"]) / f"day={day}"


def parts_of(day):
    """The parts of a day, with the times at which they were written."""
    return {part.name: part.stat().st_mtime_ns for part in folder_of(day).glob("part-*.parquet")}


class Ended(threading.Thread):
    """Ends Lockstep with SIGTERM, as orchestrators do, once it has written some parts of a day."""

    def __init__(self, day):
        super().__init__(daemon=True)
        self.day, self.parts = day, None
        self.start()

    def run(self):
        while len(parts_of(self.day)) < 3:
            time.sleep(0.005)
        os.kill(int(Path(os.environ["SCORES_PID"]).read_text()), signal.SIGTERM)
        self.parts = parts_of(self.day)

    def check(self):
        """The next try has kept what the first one wrote, and completed the batch."""
        after = parts_of(self.day)
        assert self.parts is not None and 3 <= len(self.parts) < len(after), (self.parts, after)
        assert {name: after[name] for name in self.parts} == self.parts, "A part was written again."
        assert (folder_of(self.day) / "_SUCCESS").exists()
