"""What all methods of a client use: its connections, its timeout."""

from __future__ import annotations

import json
import secrets
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, Union
from urllib.parse import quote, urlencode

from .sender import Deadline, Sender
from .values import encode

if TYPE_CHECKING:
    import ssl
    from datetime import datetime

    from typing_extensions import Self

Json = dict[str, Any]
Moment = Union["datetime", str, int]
"""A time: a datetime (also of pandas or numpy), RFC 3339, or microseconds since 1970. Without a zone it is UTC."""


class Caller:
    """A connection to a server."""

    def __init__(
        self,
        url: str,
        api_key: Optional[str] = None,
        *,
        timeout: float = 10.0,
        retries: int = 3,
        ssl_context: Optional[ssl.SSLContext] = None,
    ) -> None:
        """Makes a client. It connects with the first request.

        Args:
            url: The URL of the server, such as `https://features.example.com`.
            api_key: A key that `lockstep keys create` has made.
            timeout: How many seconds a call may take, with all its requests and attempts, unless it says otherwise. The
                server gets the rest of that time with each request, and drops requests that nobody waits for.
            retries: How often a request is tried again after a temporary failure.
            ssl_context: What to trust. By default the certificates of the system.

        Raises:
            InvalidRequestError: `CONFIG_INVALID`: `url` is not the URL of a server.
        """
        self._timeout = timeout
        self._sender = Sender(url, api_key, retries, ssl_context)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._sender.url!r})"

    def close(self) -> None:
        """Closes the connections."""
        self._sender.close()

    def _deadline(self, timeout: Optional[float]) -> Deadline:
        return Deadline(self._timeout if timeout is None else timeout)

    def _get(self, path: str, timeout: Optional[float] = None) -> Json:
        return self._sender.json(path, self._deadline(timeout))

    def _change(self, path: str, asked: Json, deadline: Deadline, method: str = "POST") -> Json:
        """Sends a change that counts once, without the members that are None."""
        body = json.dumps({name: encode(value) for name, value in asked.items() if value is not None}).encode()
        return self._sender.json(path, deadline, body, {"Idempotency-Key": secrets.token_hex(16)}, method)

    def _remove(self, path: str, deadline: Deadline) -> Json:
        """Sends a DELETE that counts once: if its answer is lost, the next attempt gets the same answer."""
        return self._sender.json(path, deadline, None, {"Idempotency-Key": secrets.token_hex(16)}, "DELETE")


def path_of(*parts: Union[str, int], **query: Any) -> str:
    """A path of the server from its parts, with the parameters that are not None."""
    path = "/v1/" + "/".join(quote(str(part), safe="") for part in parts)
    asked = {name: encode(value) for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(asked)}" if asked else path
