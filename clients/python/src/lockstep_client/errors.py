"""Why a call failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional


class LockstepError(Exception):
    """The base of all errors of this package.

    Programs should check `code`, not the message.

    Attributes:
        code: A code of the server (docs/http.md#errors), or `NETWORK`, `BAD_ANSWER` or `CONFIG_INVALID` of this client.
        status: The HTTP status of the answer; None where there was none.
        request_id: Identifies the request in the server's log; None where there was no answer.
        details: What the error is about, such as `{"entity": 0, "field": "amount"}`.
        attempts: How many times the request was sent.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "INTERNAL",
        status: Optional[int] = None,
        request_id: Optional[str] = None,
        details: Optional[Mapping[str, Any]] = None,
        attempts: int = 0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.request_id = request_id
        self.details: Mapping[str, Any] = details or {}
        self.attempts = attempts

    def __str__(self) -> str:
        request = "" if self.request_id is None else f" (request {self.request_id})"
        return f"{self.code}: {self.args[0]}{request}"


class InvalidRequestError(LockstepError, ValueError):
    """The request is wrong: 400, 413, 415 and 422, or a value that this client cannot send."""


class UnauthenticatedError(LockstepError):
    """The server does not know the API key (401)."""


class ForbiddenError(LockstepError):
    """The API key lacks a scope (403)."""


class NotFoundError(LockstepError, LookupError):
    """There is no such service, model, version, source, data set or route (404)."""


class ConflictError(LockstepError):
    """The request does not fit what the server holds (409)."""


class UnavailableError(LockstepError):
    """The server was busy or not ready (429, 503) at the last attempt."""


class DeadlineExceededError(LockstepError, TimeoutError):
    """No answer came within the timeout, or the server ran out of time (504)."""


class NetworkError(LockstepError, ConnectionError):
    """The server cannot be reached, or the connection broke (`NETWORK`)."""


class BadAnswerError(LockstepError):
    """What answers is not Lockstep (`BAD_ANSWER`)."""


class ServerError(LockstepError):
    """The server failed (500 and all others)."""


_BY_STATUS: Mapping[int, type[LockstepError]] = {
    400: InvalidRequestError,
    401: UnauthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    413: InvalidRequestError,
    415: InvalidRequestError,
    422: InvalidRequestError,
    429: UnavailableError,
    503: UnavailableError,
    504: DeadlineExceededError,
}


def error_class(status: int) -> type[LockstepError]:
    """The class of errors of an HTTP status."""
    return _BY_STATUS.get(status, ServerError)
