"""Which version of a model answers: champion, pins, rollouts and shadows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat
from typing import Any, Literal, Optional, Union

from .caller import Caller, Json, path_of
from .errors import InvalidRequestError, NotFoundError
from .waiting import Awaited, wait_for

Version = Union[int, str]
"""The number of a version, or an alias."""
_CHANGE_SECONDS = 60.0
"""All servers get up to 30 s to load a version before the server answers."""


class ModelChanges(Caller):
    """The methods of `Client` that change which version answers, and show what comes of it.

    They answer JSON as docs/http.md#models has it. Changes need a key with the scope `admin`, and take a `reason` for
    the audit log.
    """

    def promote(
        self, model: str, version: Version, *, reason: Optional[str] = None, timeout: float = _CHANGE_SECONDS
    ) -> Json:
        """Makes a version the champion, which answers requests that name no version. The key needs the scope `admin`.

        Args:
            model: The name of the model.
            version: The number of the version, or an alias.
            reason: Why, for the audit log.
            timeout: Seconds. All servers get up to 30 s to load the version before it answers.

        Returns:
            The change: `from`, `to`, and whether it is `inForce` on the server that was asked (docs/http.md#models).
        """
        return self._change(
            path_of("models", model, "promote"), {"version": version, "reason": reason}, self._deadline(timeout)
        )

    def rollback(self, model: str, *, reason: Optional[str] = None) -> Json:
        """Makes the previous champion the champion again."""
        return self._act(model, "rollback", reason=reason)

    def pin(self, model: str, version: Version, *, reason: Optional[str] = None) -> Json:
        """Makes a version answer all requests that name none, whatever is promoted, until `unpin`."""
        asked = {"version": version, "reason": reason}
        return self._change(path_of("models", model, "pin"), asked, self._deadline(_CHANGE_SECONDS), "PUT")

    def unpin(self, model: str, *, reason: Optional[str] = None) -> Json:
        """Ends a pin."""
        return self._remove(path_of("models", model, "pin", reason=reason), self._deadline(_CHANGE_SECONDS))

    def set_alias(self, model: str, alias: str, version: Version, *, reason: Optional[str] = None) -> Json:
        """Points an alias at a version."""
        asked = {"version": version, "reason": reason}
        path = path_of("models", model, "aliases", alias)
        return self._change(path, asked, self._deadline(_CHANGE_SECONDS), "PUT")

    def remove_alias(self, model: str, alias: str, *, reason: Optional[str] = None) -> Json:
        """Removes an alias."""
        return self._remove(path_of("models", model, "aliases", alias, reason=reason), self._deadline(_CHANGE_SECONDS))

    def start_rollout(
        self,
        model: str,
        version: Version,
        *,
        share: Optional[float] = None,
        plan: Union[Literal["default", "blue-green"], Mapping[str, Any], None] = None,
        unit: Optional[str] = None,
        dataset_mismatch: bool = False,
        reason: Optional[str] = None,
    ) -> Json:
        """Gives a version a share of the requests that name none. Pass either `share` or `plan`.

        Args:
            model: The name of the model.
            version: The candidate.
            share: From 0 to 1. You change it with `set_rollout_share`.
            plan: The steps and gates by which a controller changes the share: a name, or a plan as
                docs/rollouts.md#plans has it.
            unit: The field of the entities that decides which version a row gets. Default: the first key column.
            dataset_mismatch: Allows a version that was trained on other features than it is served with.
            reason: Why, for the audit log.
        """
        if (share is None) == (plan is None):
            raise InvalidRequestError(
                "A rollout has either a share or a plan; pass one of them.", code="INVALID_REQUEST"
            )
        asked = {"version": version, "share": share, "plan": plan, "unit": unit}
        return self._act(model, "rollout", **asked, datasetMismatch=dataset_mismatch or None, reason=reason)

    def rollout(self, model: str) -> Json:
        """The running rollout of a model, or its last one, or None, under `rollout`, with its `decisions`."""
        return self._get(path_of("models", model, "rollout"))

    def wait_for_rollout(self, model: str, *, timeout: float = 86_400.0, poll: float = 10.0) -> Json:
        """Waits until the rollout of a model has ended, and answers as `rollout` does.

        The wait goes on while the server restarts.

            if client.wait_for_rollout("fraud")["rollout"]["state"] != "promoted": ...

        Args:
            model: The name of the model.
            timeout: Seconds.
            poll: Seconds between two requests.

        Raises:
            NotFoundError: The model has had no rollout.
            DeadlineExceededError: It runs on beyond `timeout`.
        """

        def has_ended(found: Json) -> bool:
            if found["rollout"] is None:
                raise NotFoundError(f'The model "{model}" has had no rollout; start one.', code="NOT_FOUND")
            ended: Optional[str] = found["rollout"]["endedAt"]
            return ended is not None

        awaited = Awaited(
            f'The rollout of "{model}"',
            path_of("models", model, "rollout"),
            f"wait_for_rollout({model!r})",
            {"model": model},
        )
        return wait_for(self._sender, awaited, self._deadline(timeout), has_ended, repeat(poll))

    def set_rollout_share(self, model: str, share: float, *, reason: Optional[str] = None) -> Json:
        """Changes the share of the running rollout. Pause a rollout with a plan first."""
        asked = {"share": share, "reason": reason}
        path = path_of("models", model, "rollout", "share")
        return self._change(path, asked, self._deadline(_CHANGE_SECONDS), "PUT")

    def pause_rollout(self, model: str, *, reason: Optional[str] = None) -> Json:
        """Pauses the plan of the running rollout. Its share stays."""
        return self._act(model, "rollout", "pause", reason=reason)

    def resume_rollout(self, model: str, *, reason: Optional[str] = None) -> Json:
        """Resumes the plan of the running rollout. The step begins again, with new evidence."""
        return self._act(model, "rollout", "resume", reason=reason)

    def abort_rollout(self, model: str, *, reason: Optional[str] = None) -> Json:
        """Ends the running rollout. The champion has all requests again."""
        return self._act(model, "rollout", "abort", reason=reason)

    def promote_rollout(self, model: str, *, reason: Optional[str] = None) -> Json:
        """Makes the candidate of the running rollout the champion, and ends the rollout."""
        return self._act(model, "rollout", "promote", reason=reason)

    def start_shadow(
        self,
        model: str,
        version: Version,
        *,
        share: float,
        unit: Optional[str] = None,
        tolerance: Optional[float] = None,
        reason: Optional[str] = None,
    ) -> Json:
        """Runs a version beside the one that answers, for a share of the units, and compares them (docs/shadow.md)."""
        asked = {"version": version, "share": share, "unit": unit, "tolerance": tolerance, "reason": reason}
        return self._act(model, "shadow", **asked)

    def shadow(self, model: str) -> Json:
        """The running shadow of a model, or its last one, or None, and its `comparison` with what answered."""
        return self._get(path_of("models", model, "shadow"))

    def stop_shadow(self, model: str, *, reason: Optional[str] = None) -> Json:
        """Stops the running shadow."""
        return self._act(model, "shadow", "stop", reason=reason)

    def _act(self, model: str, *action: str, **asked: Any) -> Json:
        return self._change(path_of("models", model, *action), asked, self._deadline(_CHANGE_SECONDS))
