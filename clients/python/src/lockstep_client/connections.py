"""Connections to one server, kept between requests."""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional, Union, cast

_KEPT = 32
"""How many idle connections are kept."""


class Reply(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    """Their names are in lower case."""
    body: bytes


class BrokenConnectionError(Exception):
    """The connection ended before the answer did, or could not be made."""


class Connections:
    """A pool of connections to one server. Threads may share it, and a forked process starts with none."""

    def __init__(self, host: str, port: Optional[int], tls: Optional[ssl.SSLContext]) -> None:
        """Opens nothing yet. `tls` is None for plain HTTP."""
        self._host = host
        self._port = port
        self._tls = tls
        self._lock = threading.Lock()
        self._idle: list[_Connection] = []
        self._process = os.getpid()

    def exchange(
        self, method: str, path: str, body: Optional[bytes], headers: Mapping[str, str], until: float
    ) -> Reply:
        """Sends one request and reads its answer.

        A connection that the server closed while it was idle is replaced at once: the request must be safe to repeat.

        Args:
            method: The HTTP method.
            path: The path and query.
            body: The body, if any.
            headers: Further headers.
            until: The moment of `time.monotonic` at which to give up.

        Raises:
            TimeoutError: The moment came.
            BrokenConnectionError: The connection broke, or could not be made.
        """
        while True:
            connection = self._take()
            kept = connection is not None
            if connection is None:
                connection = self._open()
            try:
                reply = connection.exchange(method, path, body, headers, until)
            except (http.client.RemoteDisconnected, ConnectionError) as error:
                connection.close()
                if kept:
                    # the others are of the same age
                    self.close()
                    continue
                raise BrokenConnectionError(_reason(error)) from error
            except (socket.timeout, TimeoutError) as error:
                connection.close()
                raise TimeoutError from error
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                raise BrokenConnectionError(_reason(error)) from error
            except BaseException:
                # such as KeyboardInterrupt: the rest of an answer may still come
                connection.close()
                raise
            self._give(connection)
            return reply

    def __del__(self) -> None:
        # notebooks seldom close what they open
        self.close()

    def close(self) -> None:
        """Closes the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> Optional[_Connection]:
        with self._lock:
            if self._process != os.getpid():
                # the parent process uses them
                self._process, self._idle = os.getpid(), []
            return self._idle.pop() if self._idle else None

    def _give(self, connection: _Connection) -> None:
        with self._lock:
            if connection.is_open and len(self._idle) < _KEPT:
                self._idle.append(connection)
                return
        connection.close()

    def _open(self) -> _Connection:
        if self._tls is None:
            return _Connection(http.client.HTTPConnection(self._host, self._port))
        return _Connection(http.client.HTTPSConnection(self._host, self._port, context=self._tls))


class _Connection:
    """One connection, whose every read and write ends at the deadline, however slowly bytes come."""

    def __init__(self, http_connection: Union[http.client.HTTPConnection, http.client.HTTPSConnection]) -> None:
        self._http = http_connection

    @property
    def is_open(self) -> bool:
        # http.client drops the socket of an answer with `connection: close`
        return self._http.sock is not None

    def exchange(
        self, method: str, path: str, body: Optional[bytes], headers: Mapping[str, str], until: float
    ) -> Reply:
        if self._http.sock is None:
            self._http.timeout = _left(until)
            self._http.connect()
            self._http.sock = cast("socket.socket", _BoundedSocket(self._http.sock))
        cast("_BoundedSocket", self._http.sock).until = until
        try:
            self._http.request(method, path, body, dict(headers))
        except (BrokenPipeError, ConnectionResetError):
            # the server may have refused the request, and closed, before it had all of it
            response = self._http.response_class(self._http.sock, method=method)
            response.begin()
            reply = _read(response)
            self.close()
            return reply
        response = self._http.getresponse()
        return _read(response)

    def close(self) -> None:
        self._http.close()


class _BoundedSocket:
    """What http.client needs of a socket."""

    def __init__(self, inner: Any) -> None:
        self._inner: socket.socket = inner
        self.until = 0.0

    def sendall(self, data: bytes) -> None:
        self._inner.settimeout(_left(self.until))
        self._inner.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self, self._inner))

    def close(self) -> None:
        self._inner.close()


class _BoundedReader(io.RawIOBase):
    def __init__(self, bounded: _BoundedSocket, inner: socket.socket) -> None:
        self._bounded = bounded
        self._socket = inner
        # holds the socket open until the answer is read
        self._raw = inner.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Optional[int]:
        self._socket.settimeout(_left(self._bounded.until))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _read(response: http.client.HTTPResponse) -> Reply:
    return Reply(response.status, {name.lower(): value for name, value in response.headers.items()}, response.read())


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); pass an ssl_context that trusts its issuer"
    if isinstance(error, ssl.SSLError):
        return f"it does not answer with TLS ({error.reason}); if it has no TLS, use http:// in its URL"
    if isinstance(error, http.client.IncompleteRead):
        return "it closed the connection in the middle of an answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
