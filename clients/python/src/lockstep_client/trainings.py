"""Trainings: pipelines that write a training set, run a trainer, and register a version."""

from __future__ import annotations

from typing import Optional

from .caller import Caller, Json, Moment, path_of
from .values import time_text


class Trainings(Caller):
    """The methods of `Client` that show trainings and begin runs of them (docs/training.md).

    They answer JSON as docs/http.md#trainings has it. `run_training` needs a key with the scope `admin`.
    """

    def trainings(self) -> list[Json]:
        """All trainings by name, each with its `last` run."""
        found: list[Json] = self._get(path_of("trainings"))["trainings"]
        return found

    def training(self, name: str, *, limit: int = 10) -> Json:
        """A training: its `definition`, its `next` instant, and its newest `runs`."""
        return self._get(path_of("trainings", name, limit=limit))

    def run_training(self, name: str, *, at: Optional[Moment] = None, reason: Optional[str] = None) -> Json:
        """Begins a run of a training. A worker does it that has the trainer.

            run = client.run_training("fraud_weekly")
            client.wait_for_job(run["job"])
            client.training("fraud_weekly")["runs"][0]["outcome"]

        The same `at` again joins the run that is under way or done. One that failed or was cancelled is retried.

        Args:
            name: The training.
            at: The instant of the run, from which its rows are counted back. Default: now, or that of the run under
                way.
            reason: Why, for the audit log.

        Returns:
            The run, and whether it was `joined`.

        Raises:
            ConflictError: `IN_USE`: a run of another instant is under way.
        """
        asked = {"at": None if at is None else time_text(at), "reason": reason}
        return self._change(path_of("trainings", name, "runs"), asked, self._deadline(None))
