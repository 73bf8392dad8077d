"""Rows into the history, and what the history and the log say of the past."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from . import frames
from .caller import Caller, Json, Moment, path_of
from .errors import BadAnswerError, ConflictError, InvalidRequestError
from .rows import ArrowTable, PandasFrame, PolarsFrame
from .training_sets import write_parquet
from .uploads import upload
from .values import encode, time_text
from .waiting import warn

if TYPE_CHECKING:
    import pandas

RowsFile = Union[str, "os.PathLike[str]", PandasFrame, PolarsFrame, ArrowTable]
"""The path of a Parquet, CSV or JSON lines file, a pandas or polars DataFrame, or a pyarrow Table."""


class History(Caller):
    """The methods of `Client` that load rows into sources, explain values, and read logged predictions."""

    def ingest(
        self,
        source: str,
        rows: RowsFile,
        *,
        key: Optional[Sequence[str]] = None,
        again: bool = False,
        timeout: float = 3600.0,
    ) -> Json:
        """Loads rows into the table of a source: all of them or none. The API key needs the scope `admin`.

        Use it for history, and `push` for events as they happen. The same rows are loaded only once: a second load is
        refused with `ALREADY_INGESTED`. DataFrames and Tables need pyarrow.

            client.ingest("payments", payments)             # a DataFrame
            client.ingest("payments", "payments.parquet")   # a file

        Args:
            source: The name of the source.
            rows: The path of a Parquet, CSV or JSON lines file, a pandas or polars DataFrame, or a pyarrow Table, with
                the columns of the source. The index of a DataFrame is not sent. NaN in pandas is null.
            key: Columns that identify a row. Rows whose values in them are in the table already are left out.
            again: Loads the rows even if they were loaded before. They then count twice.
            timeout: Seconds for the upload and the load.

        Returns:
            The `id` of the load, its `table`, and the numbers of `rows` and of rows `already` there.

        Raises:
            InvalidRequestError: A row or column does not fit the source. The message names both.
            ConflictError: `ALREADY_INGESTED`: the same rows were loaded before.
            ImportError: pyarrow is not installed.
        """
        deadline = self._deadline(timeout)
        name, data = _file_of(rows)
        asked = {
            "upload": upload(self._sender, name, data, deadline),
            "key": None if key is None else list(key),
            "again": again or None,
        }
        try:
            return self._change(path_of("sources", source, "files"), asked, deadline)
        except ConflictError as error:
            # the server names the options of the command line
            error.args = (error.args[0].replace("(--key)", "(key)").replace("use --again", "pass again=True"),)
            raise

    def undo_ingest(self, source: str, load: str, *, reason: Optional[str] = None, timeout: float = 600.0) -> Json:
        """Undoes a load: deletes its rows, and rebuilds the online states of their entities.

        Args:
            source: The name of the source.
            load: The `id` that `ingest` answered.
            reason: Why, for the audit log.
            timeout: Seconds.
        """
        asked = {"reason": reason}
        return self._change(path_of("sources", source, "files", load, "undo"), asked, self._deadline(timeout))

    def explain(
        self,
        entity: Mapping[str, Any],
        *,
        view: Optional[str] = None,
        service: Optional[str] = None,
        as_of: Optional[Moment] = None,
        candidates: int = 10,
        timeout: Optional[float] = None,
    ) -> Json:
        """Explains the features of one entity: which rows counted, and which did not yet.

        Args:
            entity: The key of the entity, such as `{"card": "c36"}`.
            view: A feature view: give this or `service`.
            service: A service: each view that it reads is explained.
            as_of: The moment. Default: now.
            candidates: The maximum number of rows of each kind, 1 to 100.
            timeout: Seconds, in place of the client's.

        Returns:
            The `views` with their rows and features; see docs/http.md#post-v1explain.
        """
        asked = {"view": view, "service": service, "entity": entity, "candidates": candidates, "asOf": _time(as_of)}
        return self._explain(asked, timeout)

    def explain_prediction(self, prediction: str, *, candidates: int = 10, timeout: Optional[float] = None) -> Json:
        """Explains the features that a logged prediction was made from, at its own moment.

        Args:
            prediction: One of the `prediction_ids` of an answer. The server must have logged it.
            candidates: The maximum number of rows of each kind, 1 to 100.
            timeout: Seconds, in place of the client's.

        Returns:
            As for `explain`, with `prediction`: the model, its outputs, and the features that it took.
        """
        return self._explain({"prediction": prediction, "candidates": candidates}, timeout)

    def logged_predictions(
        self,
        model: str,
        *,
        since: str = "24h",
        service: Optional[str] = None,
        outcome: Optional[str] = None,
        labelled: bool = False,
        as_of: Optional[Moment] = None,
        timeout: float = 600.0,
    ) -> pandas.DataFrame:
        """The logged predictions of a model as a DataFrame. The API key needs the scope `admin`.

        It has a row for each prediction, oldest first, with the keys, request values and features of the service, the
        outputs as `output__NAME`, and `_at`, `_prediction_id`, `_version`, `_as_of` and more. pandas and pyarrow must
        be installed. See docs/prediction-log.md.

        Args:
            model: The name of the model.
            since: How far back to look, such as `30m` or `7d`.
            service: The service of the predictions, as `name@version`. Default: the model's current one.
            outcome: Adds what came of each prediction, as `_outcome`, `_outcome_state`, `_outcome_at` and
                `_outcome_known_at`.
            labelled: With `outcome`: only the predictions with a value of it.
            as_of: With `outcome`: what was known then, of predictions before it. Default: now.
            timeout: Seconds.

        Warns:
            UserWarning: If other services, which the DataFrame lacks, made predictions in that time.
        """
        import pyarrow.parquet as pq

        asked = {"since": since, "service": service, "outcome": outcome, "asOf": _time(as_of)}
        path = path_of("predictions", "export", model=model, labelled="true" if labelled else None, **asked)
        reply, attempts = self._sender.send("GET", path, self._deadline(timeout), None, {"Accept": "*/*"})
        if reply.headers.get("etag") != f'"{hashlib.sha256(reply.body).hexdigest()}"':
            raise BadAnswerError(
                f'"{path}" arrived with another hash; try again.', code="BAD_ANSWER", attempts=attempts
            )
        for other in json.loads(reply.headers["x-lockstep-export"])["others"]:
            warn(f'{other["rows"]} more predictions of that time are of another service: pass service="{other["id"]}".')
        return frames.table_to_pandas(pq.read_table(io.BytesIO(reply.body)))

    def _explain(self, asked: Json, timeout: Optional[float]) -> Json:
        body = json.dumps({name: encode(value) for name, value in asked.items() if value is not None}).encode()
        return self._sender.json("/v1/explain", self._deadline(timeout), body)


def _time(moment: Optional[Moment]) -> Optional[str]:
    return None if moment is None else time_text(moment)


def _file_of(rows: RowsFile) -> tuple[str, bytes]:
    if isinstance(rows, (str, os.PathLike)):
        path = Path(rows)
        return path.name, path.read_bytes()
    if hasattr(rows, "iloc") or hasattr(rows, "iter_rows") or hasattr(rows, "column_names"):
        return "rows.parquet", write_parquet(rows, "The rows", "INVALID_ROW")
    raise InvalidRequestError(
        "Rows to ingest are the path of a file, a pandas or polars DataFrame, or a pyarrow Table, "
        f"not {type(rows).__name__}.",
        code="INVALID_REQUEST",
    )
