"""Columns as pandas and pyarrow have them. Both are imported where they are used, as they are optional."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    import pandas
    import pyarrow

Columns = Mapping[str, Sequence[Any]]

_PANDAS_TYPES = {
    "int32": "Int32",
    "int64": "Int64",
    "float32": "float32",
    "float64": "float64",
    "bool": "boolean",
    "string": "string",
    "timestamp": "datetime64[us, UTC]",
}
_ARROW_TYPES = {
    "float32": "float32",
    "float64": "float64",
    "int32": "int32",
    "int64": "int64",
    "bool": "bool_",
    "string": "string",
}


def to_pandas(
    types: Mapping[str, str], columns: Columns, statuses: Optional[Columns], times: Optional[Columns], index: Any
) -> pandas.DataFrame:
    """A DataFrame of the columns, with statuses and event times beside each where they are given."""
    import pandas as pd

    def series(kind: str, values: Sequence[Any]) -> Any:
        return pd.Series(list(values), index=index, dtype=_PANDAS_TYPES.get(kind, "object"))

    return pd.DataFrame(
        {name: series(kind, values) for name, kind, values in _beside(types, columns, statuses, times)}, index=index
    )


def to_arrow(
    types: Mapping[str, str], columns: Columns, statuses: Optional[Columns], times: Optional[Columns]
) -> pyarrow.Table:
    """A Table of the columns, with statuses and event times beside each where they are given."""
    import pyarrow as pa

    def array(kind: str, values: Sequence[Any]) -> Any:
        given = (
            [list(each.items()) if isinstance(each, dict) else each for each in values] if kind == "counts" else values
        )
        return pa.array(given, type=arrow_type(kind))

    return pa.table({name: array(kind, values) for name, kind, values in _beside(types, columns, statuses, times)})


def arrow_type(kind: str) -> Any:
    """The Arrow type of a type of the server, such as `vector(3)`."""
    import pyarrow as pa

    if kind == "timestamp":
        return pa.timestamp("us", tz="UTC")
    if kind == "counts":
        return pa.map_(pa.string(), pa.int64())
    vector = re.match(r"^vector\((\d+)\)$", kind)
    if vector is not None:
        return pa.list_(pa.float32(), int(vector[1]))
    found = re.match(r"^list\((\w+)( or null)?\)$", kind)
    if found is not None:
        return pa.list_(arrow_type(found[1]))
    return getattr(pa, _ARROW_TYPES[kind])() if kind in _ARROW_TYPES else None


def table_to_pandas(table: pyarrow.Table) -> pandas.DataFrame:
    """A Table of a training set as a DataFrame, with the same types as `to_pandas`, whatever the values."""
    import pandas as pd
    import pyarrow as pa

    nullable = {
        pa.int8(): pd.Int8Dtype(),
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
        pa.string(): pd.StringDtype(),
    }
    # pyarrow makes an array of each list: one missing integer makes floats of all, and rounds them
    lists = [field.name for field in table.schema if pa.types.is_list(field.type) or pa.types.is_map(field.type)]
    frame = table.drop_columns(lists).to_pandas(types_mapper=nullable.get)
    for name in lists:
        values: list[Any] = table[name].to_pylist()
        if pa.types.is_map(table[name].type):
            values = [None if each is None else dict(each) for each in values]
        frame[name] = pd.Series(values, index=frame.index, dtype="object")
    return frame[table.column_names]


def _beside(
    types: Mapping[str, str], columns: Columns, statuses: Optional[Columns], times: Optional[Columns]
) -> list[tuple[str, str, Sequence[Any]]]:
    """Name, type and values of each column to be."""
    found: list[tuple[str, str, Sequence[Any]]] = []
    for name, values in columns.items():
        found.append((name, types[name], values))
        if statuses is not None:
            found.append((f"{name}__status", "string", statuses[name]))
        if times is not None:
            found.append((f"{name}__event_time", "timestamp", times[name]))
    return found
