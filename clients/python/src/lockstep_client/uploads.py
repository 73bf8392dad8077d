"""Files on their way to a server, as in tus 1.0 (https://tus.io/protocols/resumable-upload)."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from .errors import ConflictError, NetworkError, UnavailableError
from .sender import Deadline, Sender

_PART_BYTES = 8 << 20


def upload(sender: Sender, name: str, data: bytes, deadline: Deadline) -> str:
    """Sends a file in parts, and goes on from the last byte that arrived if a connection breaks.

    Args:
        sender: Sends requests.
        name: The name of the file; its extension says the format.
        data: The file.
        deadline: When to give up.

    Returns:
        The id of the upload.
    """
    digest = hashlib.sha256(data).hexdigest()
    announced = sender.json(
        f"/v1/uploads?name={quote(name, safe='')}&sha256={digest}", deadline, b"", {"Upload-Length": str(len(data))}
    )
    path = f"/v1/uploads/{announced['id']}"
    offset = failures = 0
    while offset < len(data):
        headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        part = data[offset : offset + _PART_BYTES]
        try:
            reply, _ = sender.send("PATCH", path, deadline, part, headers, retries=0)
            arrived = int(reply.headers["upload-offset"])
        except (NetworkError, UnavailableError, ConflictError) as error:
            arrived = _arrived(sender, path, deadline)
            failures = 0 if arrived > offset else failures + 1
            if failures > sender.retries:
                raise error from None
        offset = arrived
    return str(announced["id"])


def _arrived(sender: Sender, path: str, deadline: Deadline) -> int:
    return int(sender.json(path, deadline)["offset"])
