"""Requests with a deadline and retries."""

from __future__ import annotations

import json
import random
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Optional
from urllib.parse import urlsplit

from ._version import __version__
from .connections import BrokenConnectionError, Connections, Reply
from .errors import BadAnswerError, DeadlineExceededError, InvalidRequestError, LockstepError, NetworkError, error_class

_AGAIN = frozenset({429, 502, 503})
"""Statuses after which sending again may succeed: the server was busy, not ready, or a proxy did not reach it (502)."""
_BUSY = "IDEMPOTENCY_KEY_BUSY"
"""An earlier attempt, whose connection broke, is still at work."""
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 5.0
_LONGEST_HEADER_MS = 3_600_000
"""The greatest `x-request-timeout-ms` that a server takes."""


class Deadline:
    """The moment by which a call must be answered, with all its requests and attempts."""

    def __init__(self, timeout: float) -> None:
        """Starts now. `timeout` is in seconds."""
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
            raise InvalidRequestError(
                f"The timeout is {timeout!r}; it must be a number of seconds above 0.", code="INVALID_REQUEST"
            )
        self.timeout = timeout
        self.until = time.monotonic() + timeout

    def left(self) -> float:
        """Seconds, 0 or less when the moment has passed."""
        return self.until - time.monotonic()


class Sender:
    """Sends requests that are safe to repeat.

    After 429, 502, 503 or a broken connection it tries again while there is time. It waits for the time in
    `retry-after`, or for a random time that grows, whichever is longer.
    """

    def __init__(self, url: str, api_key: Optional[str], retries: int, ssl_context: Optional[ssl.SSLContext]) -> None:
        """Raises InvalidRequestError with `CONFIG_INVALID` where `url` is not the URL of a server."""
        parts = urlsplit(url)
        try:
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            valid = False
        if not valid or parts.query or parts.fragment or parts.username is not None:
            meant = "" if "://" in url or not url else f' Did you mean "http://{url}"?'
            raise InvalidRequestError(
                f'The url "{url}" is not a server URL; write it with its scheme, such as '
                f"https://features.example.com.{meant}",
                code="CONFIG_INVALID",
            )
        self.url = url.rstrip("/")
        self._path = parts.path.rstrip("/")
        if self._path == "/v1":
            raise InvalidRequestError(
                f'The url "{url}" has the path "/v1", which the client adds. Leave it out: "{self.url[:-3]}". '
                'A proxy needs another path, such as "/lockstep/v1".',
                code="CONFIG_INVALID",
            )
        self.retries = retries
        tls = (ssl_context or ssl.create_default_context()) if parts.scheme == "https" else None
        self._connections = Connections(str(parts.hostname), parts.port, tls)
        self._headers = {"User-Agent": f"lockstep-client/{__version__}", "Accept": "application/json"}
        if api_key is not None:
            if not (api_key.isascii() and api_key.isprintable()):
                raise InvalidRequestError(
                    "The api_key holds a line break or another character that no key has; pass the key alone.",
                    code="CONFIG_INVALID",
                )
            self._headers["Authorization"] = f"Bearer {api_key}"

    def close(self) -> None:
        """Closes the idle connections. The next request opens a new one."""
        self._connections.close()

    def json(
        self,
        path: str,
        deadline: Deadline,
        body: Optional[bytes] = None,
        headers: Optional[Mapping[str, str]] = None,
        method: Optional[str] = None,
    ) -> dict[str, Any]:
        """Sends JSON (if any) and answers the JSON object of the answer."""
        sent = {"Content-Type": "application/json", **(headers or {})} if body is not None else headers
        reply, attempts = self.send(method or ("GET" if body is None else "POST"), path, deadline, body, sent)
        answer = _parsed(reply.body)
        if answer is None or "requestId" not in answer:  # every answer of Lockstep has one
            raise _bad_answer(self.url + path, reply, attempts)
        return answer

    def send(
        self,
        method: str,
        path: str,
        deadline: Deadline,
        body: Optional[bytes] = None,
        headers: Optional[Mapping[str, str]] = None,
        retries: Optional[int] = None,
    ) -> tuple[Reply, int]:
        """Sends a request until it succeeds. Answers the reply, and how many attempts were made."""
        most = self.retries if retries is None else retries
        attempts = busy = 0
        while True:
            left_ms = min(int(deadline.left() * 1000), _LONGEST_HEADER_MS)
            if left_ms < 1:
                raise _too_late(deadline, attempts)
            attempts += 1
            wait = random.random() * min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempts)
            sent = {**self._headers, "X-Request-Timeout-Ms": str(left_ms), **(headers or {})}
            cause: Optional[BaseException] = None
            try:
                reply = self._connections.exchange(method, self._path + path, body, sent, deadline.until)
            except TimeoutError as error:
                raise _too_late(deadline, attempts) from error
            except BrokenConnectionError as error:
                cause = error
                failure: LockstepError = NetworkError(
                    f'The server at "{self.url}" cannot be reached: {error}.', code="NETWORK", attempts=attempts
                )
            else:
                if 200 <= reply.status < 300:
                    return reply, attempts
                failure = _refusal(self.url + path, reply, attempts)
                if failure.code == _BUSY:
                    busy += 1  # its answer will come
                elif reply.status not in _AGAIN:
                    raise failure
                wait = max(wait, _retry_after(reply.headers.get("retry-after")))
            if attempts - busy > most or wait >= deadline.left():
                raise failure from cause
            time.sleep(wait)


def _parsed(body: bytes) -> Optional[dict[str, Any]]:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _refusal(url: str, reply: Reply, attempts: int) -> LockstepError:
    error = (_parsed(reply.body) or {}).get("error")
    if not isinstance(error, dict):
        return _bad_answer(url, reply, attempts)
    details = error.get("details")
    return error_class(reply.status)(
        str(error.get("message")),
        code=str(error.get("code")),
        status=reply.status,
        request_id=error.get("requestId"),
        details=details if isinstance(details, dict) else {},
        attempts=attempts,
    )


def _bad_answer(url: str, reply: Reply, attempts: int) -> BadAnswerError:
    return BadAnswerError(
        f'"{url}" answered {reply.status} with something that is not from Lockstep; check the URL.',
        code="BAD_ANSWER",
        status=reply.status,
        request_id=reply.headers.get("x-request-id"),
        attempts=attempts,
    )


def _too_late(deadline: Deadline, attempts: int) -> DeadlineExceededError:
    return DeadlineExceededError(
        f"There was no answer within {deadline.timeout:g} s; send fewer rows, or raise timeout.",
        code="DEADLINE_EXCEEDED",
        details={"timeout": deadline.timeout},
        attempts=attempts,
    )


def _retry_after(header: Optional[str]) -> float:
    """In seconds; the header has seconds or a date."""
    if header is None:
        return 0.0
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0
