"""What a server answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Optional, overload

from . import frames

if TYPE_CHECKING:
    import pandas
    import pyarrow

Row = dict[str, Any]


@dataclass(frozen=True, repr=False)
class Table(Sequence[Row]):
    """Values by row and by column, in the order of the entities.

    `table[0]` is the first row as a dict, and `table.columns["paid1h"]` the values of one column.

    Attributes:
        types: The type of each column, by the server's name of it: `int64`, `float32`, `timestamp`, `vector(3)`, …
        columns: The values of each column. int64 is exact, a timestamp is a datetime in UTC, a vector or list a list,
            counts a dict. None: there is no value. A float that JSON cannot hold is NaN, with the status `INVALID`.
        statuses: The status of each value, by column: `PRESENT`, `NULL_VALUE`, `NOT_FOUND`, `OUTSIDE_MAX_AGE`,
            `INVALID` or `UNAVAILABLE`.
        event_times: For each feature, the event time of the newest visible row of its view. None unless asked for.
        frame_index: The index of the DataFrame that was sent; None for other rows.
    """

    types: Mapping[str, str]
    columns: Mapping[str, Sequence[Any]]
    statuses: Mapping[str, Sequence[str]]
    event_times: Optional[Mapping[str, Sequence[Optional[datetime]]]]
    frame_index: Any
    length: int

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, key: int) -> Row: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[Row]: ...
    def __getitem__(self, key: int | slice) -> Row | Sequence[Row]:
        if isinstance(key, slice):
            return [self[i] for i in range(*key.indices(self.length))]
        if not -self.length <= key < self.length:
            raise IndexError(f"There are {self.length} rows, so none at {key}.")
        return {name: values[key] for name, values in self.columns.items()}

    def __iter__(self) -> Iterator[Row]:
        names = list(self.columns)
        return (dict(zip(names, values)) for values in zip(*self.columns.values()))

    def to_pandas(self, *, statuses: bool = False, event_times: bool = False) -> pandas.DataFrame:
        """A DataFrame with the index of the DataFrame that was sent, so that `entities.join(…)` joins both.

        Types do not depend on the values: int64 is `Int64`, int32 is `Int32`, bool is `boolean`, a string `string`, a
        timestamp `datetime64[us, UTC]`, floats are as they are with NaN for no value. Others are objects.

        Args:
            statuses: Whether to add a column `NAME__status` for each.
            event_times: Whether to add a column `NAME__event_time` for each. The features must be read with
                `event_times=True`.

        Raises:
            ImportError: pandas is not installed.
        """
        times = self._times(event_times)
        return frames.to_pandas(self.types, self.columns, self.statuses if statuses else None, times, self.frame_index)

    def to_arrow(self, *, statuses: bool = False, event_times: bool = False) -> pyarrow.Table:
        """A pyarrow Table.

        int32, int64, float32, float64, bool and string are the types of the same name, a timestamp is
        `timestamp[us, UTC]`, `vector(n)` a fixed-size list of n float32, a list a list, counts a map of texts to int64.

        Args:
            statuses: As for `to_pandas`.
            event_times: As for `to_pandas`.

        Raises:
            ImportError: pyarrow is not installed.
        """
        times = self._times(event_times)
        return frames.to_arrow(self.types, self.columns, self.statuses if statuses else None, times)

    def _times(self, wanted: bool) -> Optional[Mapping[str, Sequence[Optional[datetime]]]]:
        if wanted and self.event_times is None:
            raise ValueError(
                "The event times were not read; pass event_times=True to the call that reads the features."
            )
        return self.event_times if wanted else None

    def _size(self) -> str:
        return f"{self.length} {'row' if self.length == 1 else 'rows'} of {', '.join(self.columns)}"

    def _repr_html_(self) -> Optional[str]:
        # for notebooks
        try:
            frame = self.to_pandas()
        except ImportError:
            return None
        html: str = frame._repr_html_()
        return html


@dataclass(frozen=True, repr=False)
class Answer(Table):
    """A table and how it came about.

    Attributes:
        service: The name of the feature service.
        service_version: Its version.
        as_of: The moment of all values, in UTC.
        request_ids: Identify the requests in the server's log. Many rows take several requests.
        degraded: Whether the online store was down, so that values are remembered ones or defaults.
        stale_ms: How long ago the oldest remembered state was read, milliseconds; None where none was used.
        late: Scheduled views whose run is overdue: their values lack what that run should have added by now.
    """

    service: str
    service_version: int
    as_of: datetime
    request_ids: Sequence[str]
    degraded: bool
    stale_ms: Optional[int]
    late: Sequence[str]

    @property
    def request_id(self) -> str:
        """The id of the first request."""
        return self.request_ids[0]


@dataclass(frozen=True, repr=False)
class Features(Answer):
    """The features of a service for each entity.

    Attributes:
        fingerprint: A hash of all that decides the values.
    """

    fingerprint: str

    def __repr__(self) -> str:
        return f"<Features of {self.service}@{self.service_version} as of {self.as_of.isoformat()}: {self._size()}>"


@dataclass(frozen=True, repr=False)
class Predictions(Answer):
    """The outputs of a model for each entity. Outputs have the status `PRESENT` or `INVALID`.

    Attributes:
        model: The name of the model.
        version: The number of the version that answered; None if several did, because a rollout assigns rows.
        versions: By row: the number of the version.
        roles: By row: why that version answered: `champion`, `canary`, `arm` or `requested`.
        experiments: By row: the experiment that chose the version; None: none did.
        variants: By row: the variant of that experiment; None: there is none.
        bypassed: By row: the version in whose place this one answered, because that one failed; None: none.
        prediction_ids: The ids of the predictions, as in the prediction log.
        features: What the predictions were made from; None unless asked for.
    """

    model: str
    version: Optional[int]
    versions: Sequence[int]
    roles: Sequence[str]
    experiments: Sequence[Optional[str]]
    variants: Sequence[Optional[str]]
    bypassed: Sequence[Optional[int]]
    prediction_ids: Sequence[str]
    features: Optional[Table] = field(default=None)

    def __repr__(self) -> str:
        versions = ", ".join(str(version) for version in sorted(set(self.versions)))
        return f"<Predictions of {self.model} version {versions} as of {self.as_of.isoformat()}: {self._size()}>"


@dataclass(frozen=True)
class BatchRow:
    """The batch that a prediction comes from.

    Attributes:
        id: The id of the batch.
        as_of: The time of the row in the batch.
    """

    id: str
    as_of: datetime


@dataclass(frozen=True, repr=False)
class BatchPredictions(Answer):
    """The outputs of a model for each entity, of its newest batch where that has a fresh prediction.

    Attributes:
        model: The name of the model.
        version: The number of the version that answered; None if several did, because a rollout assigns rows.
        prediction_ids: The ids of the predictions, as in the prediction log; None: the prediction is of a batch.
        from_batch: By row: the batch; None: there was no fresh prediction, so the model answered.
    """

    model: str
    version: Optional[int]
    prediction_ids: Sequence[Optional[str]]
    from_batch: Sequence[Optional[BatchRow]]

    def __repr__(self) -> str:
        fresh = sum(each is not None for each in self.from_batch)
        return f"<Predictions of {self.model}: {self._size()}, {fresh} of a batch>"


@dataclass(frozen=True)
class Pushed:
    """What became of a push.

    Attributes:
        accepted: How many events were written.
        duplicates: How many were stored before, under the same ids.
        online: Whether the online views include the events; None where they were not to be updated.
        tokens: For `after`, which also takes this object: the read then includes these events.
        request_ids: Identify the requests in the server's log.
    """

    accepted: int
    duplicates: int
    online: Optional[bool]
    tokens: Sequence[str]
    request_ids: Sequence[str]


@dataclass(frozen=True)
class Outcomes:
    """What became of outcomes that were sent.

    Attributes:
        accepted: How many were written.
        duplicates: How many were stored before, under the same ids.
        late: How many happened after `within`, so that figures leave them out; None: they are matched by entity.
        unknown: How many predictions are not in the log, also those of the last second; None: it cannot be known.
        log_share: The share of predictions that the server logs, 0 to 1.
        request_ids: Identify the requests in the server's log.
    """

    accepted: int
    duplicates: int
    late: Optional[int]
    unknown: Optional[int]
    log_share: float
    request_ids: Sequence[str]
