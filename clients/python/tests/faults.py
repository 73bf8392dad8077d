"""A server that breaks HTTP in given ways, and otherwise passes requests on to a real server."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Callable, Optional, Union
from urllib.parse import urlsplit

Fault = Union[str, bytes]
_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")


def refusal(status: int, code: str, *headers: str) -> bytes:
    """An error as servers answer it."""
    body = json.dumps({"error": {"code": code, "message": "not now", "details": {"a": 1}, "requestId": "r1"}}).encode()
    lines = [f"HTTP/1.1 {status} Refused", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


class FaultServer:
    """Meets each request with the next of `faults`; when there is none left, the real server answers.

    A fault is bytes to answer, or `cut` (closes when it has the request), `half` (closes in the middle of an answer),
    `lost` (the real server gets the request, but its answer is lost), `silent` (never answers), `trickle` (answers a
    byte now and then), or `close` (closes the connection after a good answer, as a server does with an idle one).
    """

    def __init__(self, upstream: str, *faults: Fault, certificate: Optional[Path] = None) -> None:
        parts = urlsplit(upstream)
        self._upstream = (str(parts.hostname), parts.port)
        self._faults = list(faults)
        self.requests: list[dict[str, str]] = []
        """The headers of each request, in lower case."""
        self.bodies: list[Any] = []
        self.connections = 0
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        scheme = "http"
        if certificate is not None:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
            self._listener = context.wrap_socket(self._listener, server_side=True, do_handshake_on_connect=False)
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> FaultServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # the client may go at any moment
        with suppress(OSError), connection, connection.makefile("rb") as reader:
            while True:
                line = reader.readline().decode("latin-1")
                if line == "":
                    return
                headers = {}
                while (header := reader.readline().decode("latin-1").strip()) != "":
                    name, _, value = header.partition(": ")
                    headers[name.lower()] = value
                body = reader.read(int(headers.get("content-length", 0)))
                self.requests.append(headers)
                self.bodies.append(json.loads(body) if body.startswith(b"{") else body)
                method, path, _ = line.split(" ", 2)
                fault = self._faults.pop(0) if self._faults else "none"
                if not self._answer(connection, fault, partial(self._real, method, path, headers, body)):
                    return

    def _answer(self, connection: socket.socket, fault: Fault, real: Callable[[], bytes]) -> bool:
        """Answers whether the connection goes on."""
        if isinstance(fault, bytes):
            connection.sendall(fault)
            return True
        if fault == "silent":
            self._ended.wait(60)
            return False
        if fault == "cut":
            return False
        answer = real()
        if fault == "trickle":
            for byte in answer:
                if self._ended.is_set():
                    return False
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        elif fault == "half":
            connection.sendall(answer[: len(answer) - 20])
        elif fault != "lost":
            connection.sendall(answer)
        return fault == "none"

    def _real(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
        connection = http.client.HTTPConnection(*self._upstream)
        passed = {name: value for name, value in headers.items() if name not in ("host", "content-length")}
        connection.request(method, path, body or None, passed)
        response = connection.getresponse()
        read = response.read()
        connection.close()
        kept = [(name, value) for name, value in response.headers.items() if name.lower() not in _HOP_BY_HOP]
        lines = [
            f"HTTP/1.1 {response.status} OK",
            f"content-length: {len(read)}",
            *(f"{name}: {value}" for name, value in kept),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + read
