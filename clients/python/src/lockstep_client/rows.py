"""What callers pass as rows, and how many of them go into one request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, Union

from .errors import InvalidRequestError, LockstepError
from .values import write_row

# Packages that are not installed, or have no types, would make the types of all methods unknown.


class PandasFrame(Protocol):
    """What the client uses of a pandas DataFrame."""

    @property
    def iloc(self) -> Any:
        """Rows by position."""

    @property
    def columns(self) -> Any:
        """The names of the columns."""

    @property
    def index(self) -> Any:
        """The labels of the rows."""


class PolarsFrame(Protocol):
    """What the client uses of a polars DataFrame."""

    def iter_rows(self, *, named: Literal[True]) -> Iterator[dict[str, Any]]:
        """The rows as dicts."""
        ...


class ArrowTable(Protocol):
    """What the client uses of a pyarrow Table."""

    @property
    def column_names(self) -> list[str]:
        """The names of the columns."""
        ...

    def to_pylist(self) -> list[dict[str, Any]]:
        """The rows as dicts."""
        ...


Rows = Union[Sequence[Mapping[str, Any]], PandasFrame, PolarsFrame, ArrowTable]
"""A list of dicts, a pandas or polars DataFrame, or a pyarrow Table."""

_MOST_ROWS = 10_000
"""The most rows that a server takes in one request."""
_MOST_BYTES = 1_000_000
"""Below the default of LOCKSTEP_BODY_LIMIT_BYTES, with room for the rest of a request."""

Answer = TypeVar("Answer")


class Written(NamedTuple):
    """Rows as JSON, and the index of the DataFrame that they come from, if any."""

    texts: Sequence[bytes]
    index: Any


def write_rows(rows: Rows, what: str, extra: Callable[[int], Mapping[str, Any]] = lambda _: {}) -> Written:
    """Rows as JSON texts.

    Args:
        rows: What the caller passed.
        what: `entity` or `event`, for errors.
        extra: Further fields of a row by its position; those of the row win.

    Raises:
        InvalidRequestError: A row or a value cannot be sent.
    """
    records, index = _records(rows, what)
    return Written([write_row({**extra(i), **record}, what, i) for i, record in enumerate(records)], index)


def _records(rows: Any, what: str) -> tuple[Iterable[Mapping[str, Any]], Any]:
    if hasattr(rows, "to_pydict") and hasattr(rows, "column_names"):
        return rows.to_pylist(), None
    if hasattr(rows, "iter_rows"):
        return rows.iter_rows(named=True), None
    if hasattr(rows, "iloc") and hasattr(rows, "columns"):
        names = list(rows.columns)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidRequestError(f'The DataFrame has two columns "{twice}"; drop one.', code="INVALID_REQUEST")
        columns = [rows[name].tolist() for name in names]
        return (dict(zip(names, values)) for values in zip(*columns)), rows.index
    if isinstance(rows, (Mapping, str, bytes)) or not isinstance(rows, Iterable):
        raise InvalidRequestError(
            f"Rows are a list of dicts, a pandas or polars DataFrame, or a pyarrow Table, not {type(rows).__name__}; "
            "put a single row into a list.",
            code="INVALID_REQUEST",
        )
    records = list(rows)
    for i, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise InvalidRequestError(
                f"The {what} {i} is of the type {type(record).__name__}; write it as a dict of its fields.",
                code=f"INVALID_{what.upper()}",
                details={what: i},
            )
    return records, None


def send_in_parts(texts: Sequence[bytes], send: Callable[[bytes, int, int], Answer]) -> list[Answer]:
    """Sends rows in as few requests as the limits of servers allow, one after the other.

    Where a server takes less than it does by default, it refuses a part, which is then halved.

    Args:
        texts: The rows as JSON.
        send: Sends a JSON array of rows, from the first position to before the second.

    Returns:
        The answers, in the order of the rows.
    """
    waiting = list(reversed(_parts(texts)))
    answers: list[Answer] = []
    while waiting:
        start, end = waiting.pop()
        try:
            answers.append(send(b"[" + b",".join(texts[start:end]) + b"]", start, end))
        except LockstepError as error:
            if error.code != "BODY_TOO_LARGE" or end - start < 2:
                raise _of_all_rows(error, start) from error.__cause__
            middle = (start + end) // 2
            waiting += [(middle, end), (start, middle)]
    return answers


def _of_all_rows(error: LockstepError, start: int) -> LockstepError:
    """The server counts the rows of its request."""
    for what in ("entity", "event"):
        row = error.details.get(what)
        if start > 0 and isinstance(row, int):
            error.details = {**error.details, what: row + start}
            error.args = (f"{error.args[0]} The rows were sent in parts: of all, this is row {row + start}.",)
    return error


def _parts(texts: Sequence[bytes]) -> list[tuple[int, int]]:
    parts: list[tuple[int, int]] = []
    start = size = 0
    for i, text in enumerate(texts):
        if i > start and (i - start == _MOST_ROWS or size + len(text) + 1 > _MOST_BYTES):
            parts.append((start, i))
            start, size = i, 0
        size += len(text) + 1
    # of no rows too: the server says what it thinks of that
    return [*parts, (start, len(texts))]
