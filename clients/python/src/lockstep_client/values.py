"""Values of Python as JSON, and back."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, Callable, Optional
from uuid import UUID

from .errors import InvalidRequestError

Decode = Callable[[Any], Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MOST_DIGITS = 40
"""Of an integer that is a Decimal. Those of an int64 are 19."""
_LIST = re.compile(r"^list\((\w+)( or null)?\)$")


def encode(value: Any) -> Any:
    """A value of Python, numpy or pandas as the server takes it in JSON.

    None, NaN, NaT and pandas.NA are null. A time without a zone is UTC. An int stays exact, and so does a Decimal.

    Raises:
        TypeError: There is no JSON for it.
        ValueError: It is a Decimal with more digits than a number has here.
    """
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, datetime):
        return _rfc3339(value)
    if isinstance(value, Enum):
        return encode(value.value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, Mapping):
        return {str(name): encode(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(each) for each in value]
    module = kind.__module__.split(".", 1)[0]
    if kind.__name__ == "NAType":
        return None
    if kind.__name__ == "datetime64":
        text = str(value.astype("datetime64[us]"))
        return None if text == "NaT" else f"{text}Z"
    if kind.__name__ == "ndarray" and value.dtype.kind == "M":
        # `tolist` makes ints of times in nanoseconds
        return [encode(each) for each in value] if value.ndim > 0 else encode(value[()])
    # a duration of nanoseconds would become an int, and a longdouble stays what it is
    if module == "numpy" and hasattr(value, "tolist") and value.dtype.kind != "m" and value.dtype.char not in "gG":
        # a scalar becomes one of Python, an array a list of them
        return encode(value.tolist())
    if module == "pyarrow" and hasattr(value, "as_py"):
        return encode(value.as_py())
    if module == "array":
        return [encode(each) for each in value.tolist()]
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    raise TypeError(f"a value of the type {module}{kind.__qualname__}")


_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def write_row(row: Mapping[str, Any], what: str, index: int) -> bytes:
    """One entity or event as JSON.

    Raises:
        InvalidRequestError: `INVALID_ENTITY` or `INVALID_EVENT`, which name the row and the field.
    """
    written = {}
    for name, value in row.items():
        if not isinstance(name, str):
            raise _refused(what, index, name, "its name is not a text; rename the column")
        try:
            written[name] = encode(value)
        except TypeError as error:
            raise _refused(
                what, index, name, f"{error} has no JSON; convert it to a str, int, float or datetime"
            ) from error
        except ValueError as error:
            raise _refused(what, index, name, str(error)) from error
    try:
        return _JSON.encode(written).encode()
    except UnicodeEncodeError as error:
        broken = str(error.object[error.start : error.end])
        name = next(name for name, value in written.items() if broken in name or broken in str(value))
        raise _refused(what, index, name, "its text has half of a surrogate pair, which UTF-8 cannot hold") from error


def _refused(what: str, index: int, name: Any, why: str) -> InvalidRequestError:
    return InvalidRequestError(
        f'The field "{name}" of {what} {index} cannot be sent: {why}.',
        code=f"INVALID_{what.upper()}",
        details={what: index, "field": str(name)},
    )


def _number(value: Decimal) -> Any:
    """The int or float that is written with the same digits."""
    if not value.is_finite():
        return None if value.is_nan() else encode(float(value))
    if value.adjusted() < _MOST_DIGITS and value == value.to_integral_value():
        return int(value)
    number = float(value)
    if Decimal(repr(number)) == value:
        return number
    raise ValueError(f"the Decimal {value} has more digits than a float64 holds; round it, or convert it to a float")


def _rfc3339(value: datetime) -> Optional[str]:
    if value != value:
        return None
    if value.tzinfo is None:
        return f"{value.isoformat()}Z"
    # not the zone itself: some have offsets with seconds
    return f"{value.astimezone(timezone.utc).isoformat()[:-6]}Z"


def parse_time(text: str) -> datetime:
    """RFC 3339 in UTC as servers write it, exact to the microsecond."""
    moment = datetime.fromisoformat(text[:19]).replace(tzinfo=timezone.utc)
    fraction = text[20:-1]
    return moment if fraction == "" else moment.replace(microsecond=int(fraction.ljust(6, "0")))


def time_text(moment: Any) -> Any:
    """A moment as RFC 3339: microseconds since 1970, or anything that `encode` takes for a time."""
    if isinstance(moment, int):
        return _rfc3339(_EPOCH + timedelta(microseconds=moment))
    return encode(moment)


def decoder(kind: str) -> Optional[Decode]:
    """What reads values of a type from JSON, by the server's name of the type (`int64`, `vector(3)`, `list(string)`).

    Answers None where JSON has the value already.
    """
    if kind in ("float32", "float64"):
        return float
    if kind == "timestamp":
        return parse_time
    if kind.startswith("vector("):
        return _floats
    found = _LIST.match(kind)
    if found is not None:
        element = decoder(found[1])
        if element is None:
            return None
        # without "or null", a missing float is one that JSON lacks
        if element is float and found[2] is None:
            return _floats
        return lambda values: [None if each is None else element(each) for each in values]
    return None


def _floats(values: Iterable[Any]) -> list[float]:
    return [math.nan if each is None else float(each) for each in values]


def decode_column(kind: str, values: list[Any], statuses: list[str]) -> list[Any]:
    """Values of one type from JSON. A float that JSON cannot hold (`INVALID`) is NaN."""
    decode = decoder(kind)
    if decode is not None:
        values = [None if each is None else decode(each) for each in values]
    if decode is float and "INVALID" in statuses:
        return [math.nan if status == "INVALID" else each for each, status in zip(values, statuses)]
    return values
