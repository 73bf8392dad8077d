"""Waits that outlast a restart of the server."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, Callable, NamedTuple, Union

from .errors import DeadlineExceededError, InvalidRequestError, LockstepError, NetworkError
from .sender import Deadline, Sender

_REQUEST_SECONDS = 30.0
"""How long one request of a wait may take, so that a silent server does not use up the wait."""
_TEMPORARY = frozenset({429, 502, 503, 504})
_WARN_SILENT_AFTER = 60.0
_WARN_WITHOUT_WORKER_AFTER = 20.0
"""A worker takes a job within seconds."""
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0


class Awaited(NamedTuple):
    """What a wait is for."""

    name: str
    """As a sentence begins with it: `The job 7`."""
    path: str
    """What the server is asked for."""
    again: str
    """The call that waits again: `wait_for_job(7)`."""
    details: dict[str, Union[str, int]]
    """Those of errors."""


def wait_for(
    sender: Sender,
    awaited: Awaited,
    deadline: Deadline,
    is_over: Callable[[dict[str, Any]], bool],
    pauses: Iterable[float],
) -> dict[str, Any]:
    """Asks the server until `is_over` its answer, and returns that answer.

    If the server cannot be reached, is busy or not ready (429, 502, 503, 504), it is asked again. Other errors are
    raised.

    Args:
        sender: Sends requests.
        awaited: What the wait is for.
        deadline: When to give up.
        is_over: Whether an answer is the last one.
        pauses: Seconds between two requests.

    Raises:
        DeadlineExceededError: The next request would come after the deadline.
    """
    answered_at = time.monotonic()
    warned = False
    for pause in pauses:
        failure = None
        try:
            found = sender.json(awaited.path, Deadline(max(0.001, min(_REQUEST_SECONDS, deadline.left()))))
        except LockstepError as error:
            if not _is_temporary(error):
                raise
            failure = error
            if not warned and time.monotonic() - answered_at > _WARN_SILENT_AFTER:
                warned = True
                warn(f"The wait goes on, but the server does not answer: {error}")
        else:
            answered_at = time.monotonic()
            if is_over(found):
                return found
        if pause >= deadline.left():
            break
        time.sleep(pause)
    said, why = ("still runs", "") if failure is None else ("may still run", f" The last request failed: {failure}")
    raise DeadlineExceededError(
        f"{awaited.name} {said} after {deadline.timeout:g} s; raise timeout, or wait again: {awaited.again}.{why}",
        code="DEADLINE_EXCEEDED",
        details=awaited.details,
    ) from failure


def wait_until_done(sender: Sender, awaited: Awaited, deadline: Deadline) -> dict[str, Any]:
    """Waits until a job or a batch is done, and returns the last answer about it.

    Raises:
        InvalidRequestError: It failed or was cancelled, with the code of its error.
        DeadlineExceededError: It goes on beyond the deadline.
    """
    began = time.monotonic()
    taken = False

    def is_done(found: dict[str, Any]) -> bool:
        nonlocal taken
        if found["state"] == "done":
            return True
        if found["state"] != "running":
            stopped = {"code": "STOPPED", "message": f"{awaited.name} was {found['state']}."}
            error = found.get("error") or stopped
            raise InvalidRequestError(str(error["message"]), code=str(error["code"]), details=awaited.details)
        taken = taken or bool(found.get("workers"))
        if not taken and time.monotonic() - began > _WARN_WITHOUT_WORKER_AFTER:
            taken = True  # once is enough
            warn(f"{awaited.name} waits: no worker has taken it yet. Check that a lockstep worker runs.")
        return False

    return wait_for(sender, awaited, deadline, is_done, _pauses())


def wait_for_job(sender: Sender, job: int, deadline: Deadline) -> dict[str, Any]:
    """Waits as `wait_until_done` does."""
    awaited = Awaited(f"The job {job}", f"/v1/jobs/{job}", f"wait_for_job({job})", {"job": job})
    return wait_until_done(sender, awaited, deadline)


def _is_temporary(error: LockstepError) -> bool:
    return isinstance(error, (NetworkError, DeadlineExceededError)) or error.status in _TEMPORARY


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(_LONGEST_PAUSE, pause * 2)


def warn(text: str) -> None:
    """Warns at the line that called this package."""
    level = 1
    while sys._getframe(level).f_globals.get("__package__") == __package__:
        level += 1
    warnings.warn(text, stacklevel=level + 1)
