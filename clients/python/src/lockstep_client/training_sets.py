"""Training sets that a server makes of a spine."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

from . import frames
from .errors import BadAnswerError, InvalidRequestError
from .sender import Deadline, Sender

if TYPE_CHECKING:
    import pandas

_PART_BYTES = 8 << 20


def write_spine(spine: pandas.DataFrame) -> bytes:
    """A spine as a Parquet file, with times to the microsecond.

    Raises:
        InvalidRequestError: `SPINE_INVALID`: it is no DataFrame, or Arrow has no type for a column.
        ImportError: pyarrow is not installed.
    """
    if not hasattr(spine, "iloc"):
        kind = type(spine)
        advice = "; pass its to_pandas()" if hasattr(spine, "to_pandas") else ""
        raise InvalidRequestError(
            f"A spine is a DataFrame of pandas, not a {kind.__name__} of {kind.__module__.split('.')[0]}{advice}.",
            code="SPINE_INVALID",
        )
    return write_parquet(spine, "The spine", "SPINE_INVALID")


def write_parquet(frame: Any, what: str, code: str) -> bytes:
    """A pandas or polars DataFrame or a pyarrow Table as a Parquet file, with times to the microsecond.

    Raises:
        InvalidRequestError: Arrow has no type for a column. `what` begins the sentence, and `code` is its code.
        ImportError: pyarrow is not installed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if hasattr(frame, "iloc"):
            table = pa.Table.from_pandas(frame, preserve_index=False)
        else:
            table = frame.to_arrow() if hasattr(frame, "to_arrow") else frame
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InvalidRequestError(
            f"{what} cannot be sent: {' '.join(map(str, error.args))}. Give the column one type, or drop it.",
            code=code,
        ) from error
    buffer = io.BytesIO()
    # the server's times have microseconds; it cuts what is below them
    pq.write_table(table, buffer, coerce_timestamps="us", allow_truncated_timestamps=True)
    return buffer.getvalue()


def join_features(
    spine: pandas.DataFrame, manifest: Mapping[str, Any], files: Sequence[bytes], dataset: str
) -> pandas.DataFrame:
    """The spine with the features of a training set, whose rows are in the same order."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [column["name"] for column in manifest["columns"] if column["from"] == "feature"]
    table = pa.concat_tables([pq.read_table(io.BytesIO(file), columns=names) for file in files])
    features = frames.table_to_pandas(table).set_axis(spine.index)
    joined = pd.concat([spine, features], axis="columns")
    joined.attrs["dataset"] = dataset
    return joined


def download(sender: Sender, file: Mapping[str, Any], deadline: Deadline, part_bytes: Optional[int] = None) -> bytes:
    """A file of a training set or a model, in parts, so that a broken connection costs one of them.

    Raises:
        BadAnswerError: `BAD_ANSWER`: its hash is another one.
    """
    data = bytearray()
    size = int(file["bytes"])
    part = part_bytes or _PART_BYTES
    while len(data) < size:
        last = min(size, len(data) + part) - 1
        headers = {"Range": f"bytes={len(data)}-{last}", "Accept": "*/*"}
        reply, _ = sender.send("GET", file["url"], deadline, None, headers)
        data += reply.body if reply.status == 206 or not data else reply.body[len(data) :]
    if hashlib.sha256(data).hexdigest() != file["sha256"]:
        raise BadAnswerError(f'The file "{file["url"]}" arrived with another hash; try again.', code="BAD_ANSWER")
    return bytes(data)
