"""Quality and drift of models, experiments, alerts, and the jobs of workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Optional, Union

from .caller import Caller, Json, Moment, path_of
from .values import time_text
from .waiting import wait_for_job

_FIGURES_SECONDS = 60.0
"""The server computes some figures while the request waits."""
_CHANGE_SECONDS = 60.0


class Watching(Caller):
    """The methods of `Client` that show how models do, and those about experiments, alerts and jobs.

    They answer JSON as docs/http.md has it. A duration such as `since` is text: `30m`, `24h`, `7d`. Methods that change
    something need a key with the scope `admin`.
    """

    def quality(
        self,
        model: str,
        *,
        outcome: Optional[str] = None,
        since: Optional[str] = None,
        by: Optional[Sequence[str]] = None,
        as_of: Optional[Moment] = None,
        timeout: float = _FIGURES_SECONDS,
    ) -> Json:
        """The quality of a model: logged predictions compared with their outcomes (docs/quality.md).

        Args:
            model: The name of the model.
            outcome: The name of the outcome, if the model has several.
            since: The length of the window. Default: `7d`.
            by: What to group by, such as `["version"]`.
            as_of: The end of the window. Default: now.
            timeout: Seconds.
        """
        asked = {"outcome": outcome, "since": since, "by": None if by is None else ",".join(by)}
        path = path_of("models", model, "quality", **asked, asOf=_time(as_of))
        return self._get(path, timeout)

    def drift(
        self,
        model: str,
        *,
        version: Optional[Union[int, str]] = None,
        since: Optional[str] = None,
        baseline: Optional[str] = None,
        timeout: float = _FIGURES_SECONDS,
    ) -> Json:
        """How served features and outputs differ from a baseline (docs/drift.md).

        Args:
            model: The name of the model.
            version: A version or an alias. Default: the champion.
            since: The length of the window. Default: `24h`.
            baseline: `training` (the default), `previous:7d`, `same-hour-yesterday`, `same-hour-last-week` or
                `dataset:ID`.
            timeout: Seconds.
        """
        asked = {"version": version, "since": since, "baseline": baseline}
        return self._get(path_of("models", model, "drift", **asked), timeout)

    def model_statistics(
        self,
        model: str,
        *,
        since: Optional[str] = None,
        step: Optional[Literal["minute", "hour", "day"]] = None,
        timeout: float = _FIGURES_SECONDS,
    ) -> Json:
        """Requests, errors, times and values of a model, by version and role; with `step`, as a series."""
        return self._get(path_of("models", model, "statistics", since=since, step=step), timeout)

    def experiments(self) -> list[Json]:
        """All experiments with their states."""
        found: list[Json] = self._get("/v1/experiments")["experiments"]
        return found

    def start_experiment(self, name: str, *, dataset_mismatch: bool = False, reason: Optional[str] = None) -> Json:
        """Starts an experiment."""
        return self._experiment(name, "start", datasetMismatch=dataset_mismatch or None, reason=reason)

    def stop_experiment(self, name: str, *, reason: Optional[str] = None) -> Json:
        """Stops an experiment."""
        return self._experiment(name, "stop", reason=reason)

    def experiment_results(self, name: str) -> Json:
        """The newest analysis of the running run of an experiment, or of its last one (docs/experiment-results.md)."""
        return self._get(path_of("experiments", name, "results"))

    def plan_experiment(
        self,
        name: str,
        *,
        effect: Optional[float] = None,
        power: Optional[float] = None,
        since: Optional[str] = None,
        timeout: float = _FIGURES_SECONDS,
    ) -> Json:
        """Which effects an experiment can find, and how many units and days that takes, by the prediction log.

        Args:
            name: The name of the experiment.
            effect: The effect to find, as a share of the metric: 0.02 is 2 %.
            power: The chance to find it. Default: 0.8.
            since: How far back to look. Default: `28d`.
            timeout: Seconds.
        """
        asked = {"effect": effect, "power": power, "since": since}
        return self._get(path_of("experiments", name, "plan", **asked), timeout)

    def decide_experiment(self, name: str, variant: str, *, reason: str) -> Json:
        """Decides an experiment for a variant."""
        return self._experiment(name, "decide", variant=variant, reason=reason)

    def monitors(self) -> list[Json]:
        """All monitors, with the newest results of their checks."""
        found: list[Json] = self._get("/v1/monitors")["monitors"]
        return found

    def alerts(
        self,
        *,
        state: Optional[Literal["firing", "resolved"]] = None,
        monitor: Optional[str] = None,
        severity: Optional[Literal["page", "ticket"]] = None,
        limit: int = 100,
    ) -> list[Json]:
        """The alerts, firing ones first. `state`, `monitor` and `severity` choose some of them."""
        path = path_of("alerts", state=state, monitor=monitor, severity=severity, limit=limit)
        found: list[Json] = self._get(path)["alerts"]
        return found

    def alert(self, alert: int) -> Json:
        """An alert with its evidence and its notifications, by its id."""
        return self._get(path_of("alerts", alert))

    def silence_alert(self, alert: int, duration: str, *, reason: Optional[str] = None) -> Json:
        """Sends no notifications of an alert for a while, such as `2h`; at most `30d`."""
        asked = {"for": duration, "reason": reason}
        return self._change(path_of("alerts", alert, "silence"), asked, self._deadline(None))

    def unsilence_alert(self, alert: int, *, reason: Optional[str] = None) -> Json:
        """Ends the silence of an alert."""
        return self._change(path_of("alerts", alert, "unsilence"), {"reason": reason}, self._deadline(None))

    def jobs(
        self,
        *,
        kind: Optional[str] = None,
        state: Optional[Literal["running", "done", "failed", "cancelled"]] = None,
        subject: Optional[str] = None,
        limit: int = 100,
    ) -> list[Json]:
        """The jobs, running ones first. `kind`, `state` and `subject` choose some of them."""
        path = path_of("jobs", kind=kind, state=state, subject=subject, limit=limit)
        found: list[Json] = self._get(path)["jobs"]
        return found

    def job(self, job: int) -> Json:
        """A job with its steps, by its id."""
        return self._get(path_of("jobs", job))

    def wait_for_job(self, job: int, *, timeout: float = 86_400.0) -> Json:
        """Waits until a job is done, and answers as `job` does. The wait goes on while the server restarts.

        Raises:
            InvalidRequestError: The job failed or was cancelled, with the code of its error.
            DeadlineExceededError: It runs on beyond `timeout`.
        """
        return wait_for_job(self._sender, job, self._deadline(timeout))

    def cancel_job(self, job: int, *, reason: Optional[str] = None) -> Json:
        """Cancels a running job."""
        return self._change(path_of("jobs", job, "cancel"), {"reason": reason}, self._deadline(None))

    def retry_job(self, job: int, *, reason: Optional[str] = None) -> Json:
        """Starts a failed or cancelled job again."""
        return self._change(path_of("jobs", job, "retry"), {"reason": reason}, self._deadline(None))

    def start_backfill(
        self,
        view: str,
        *,
        start: Optional[Moment] = None,
        end: Optional[Moment] = None,
        reason: Optional[str] = None,
    ) -> Json:
        """Starts a job that rebuilds the stored states of a view, of all rows or of a range.

        `wait_for_job` takes the `id` of the answer.
        """
        asked = {"view": view, "from": _time(start), "to": _time(end), "reason": reason}
        return self._change("/v1/backfills", asked, self._deadline(None))

    def _experiment(self, name: str, action: str, **asked: Any) -> Json:
        return self._change(path_of("experiments", name, action), asked, self._deadline(_CHANGE_SECONDS))


def _time(moment: Optional[Moment]) -> Optional[str]:
    return None if moment is None else time_text(moment)
