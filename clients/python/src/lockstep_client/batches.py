"""Batches: predictions of all rows of a spine, in files or in a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, Optional, Union

from .caller import Caller, Json, Moment, path_of
from .errors import InvalidRequestError
from .values import time_text
from .waiting import Awaited, wait_until_done

_START_SECONDS = 60.0


class Batches(Caller):
    """The methods of `Client` that start, show and cancel batches (docs/batch.md).

    They answer JSON as docs/http.md#batches has it. `start_batch` and `cancel_batch` need a key with the scope `admin`.
    """

    def start_batch(
        self,
        batch: str,
        model: str,
        *,
        spine: str,
        out: str,
        version: Optional[Union[int, str]] = None,
        time: Optional[str] = None,
        as_of: Optional[Literal["at", "before"]] = None,
        known_before: Optional[Moment] = None,
        columns: Optional[Sequence[str]] = None,
        format: Optional[Literal["parquet", "csv", "jsonl"]] = None,  # noqa: A002
        mode: Optional[Literal["replace", "append", "upsert"]] = None,
        key: Optional[Sequence[str]] = None,
        online: Optional[str] = None,
        rows_per_part: Optional[int] = None,
        max_refused: Optional[Union[int, str]] = None,
        min_rows: Optional[int] = None,
        overwrite: bool = False,
        reason: Optional[str] = None,
        timeout: float = _START_SECONDS,
    ) -> Json:
        """Starts a batch, which predicts every row of a spine. Workers do it, or with the embedded database the server.

            client.start_batch(
                "scores/2026-03-01", "fraud", spine="s3://ml-data/labels.parquet", out="s3://ml-data/scores/2026-03-01"
            )
            rows = client.wait_for_batch("scores/2026-03-01")["result"]["rows"]

        The same call again joins the batch that runs, or answers with the one that is done. A batch that failed or was
        cancelled starts again.

        Args:
            batch: An id of your choice, such as `scores/2026-03-01`.
            model: The name of the model.
            spine: The rows: the URL of a Parquet, CSV or JSON lines file in object storage (`s3://`, `gs://`), or a
                query.
            out: The URL of a folder in object storage, or a table of the database: `postgres:SCHEMA.TABLE`.
            version: The number of a version, or an alias. Default: the champion.
            time: The column of the time, if the spine has several.
            as_of: Whether rows count that become visible `at` a row's very time (the default), or only `before`.
            known_before: Ignores rows that were known at this moment or later.
            columns: The columns of the spine to copy. Default: all.
            format: The format of files. Default: `parquet`.
            mode: What becomes of the other rows of a table. Default: `replace`.
            key: The columns that are the key of a table with the mode `upsert`. Default: the entity keys.
            online: How long the predictions answer `predict_from_batch`, such as `26h`. Default: not.
            rows_per_part: The maximum number of rows of a file. Default: 100,000.
            max_refused: Fails the batch if more rows have no prediction: a number, or a share such as `"1%"`.
            min_rows: Fails the batch if the spine has fewer rows. Default: it may have none.
            overwrite: Replaces a batch that is in the folder or table.
            reason: Why, for the audit log.
            timeout: Seconds.

        Returns:
            The batch as `batch` does, and whether it was `joined`.

        Raises:
            ConflictError: `BATCH_CONFLICT`: the id is that of another batch, or another batch has the folder.
        """
        asked: dict[str, Any] = {
            "model": model,
            "spine": {"file": spine} if re.match(r"(s3|gs)://", spine) else {"sql": spine},
            "out": out,
            "version": version,
            "time": time,
            "asOf": as_of,
            "knownBefore": None if known_before is None else time_text(known_before),
            "columns": columns,
            "format": format,
            "mode": mode,
            "key": key,
            "online": online,
            "rowsPerPart": rows_per_part,
            "maxRefused": None if max_refused is None else _max_refused(max_refused),
            "minRows": min_rows,
            "overwrite": overwrite or None,
            "reason": reason,
        }
        return self._change(path_of("batches", batch), asked, self._deadline(timeout), "PUT")

    def batches(
        self,
        *,
        model: Optional[str] = None,
        state: Optional[Literal["running", "done", "failed", "cancelled"]] = None,
        limit: int = 100,
    ) -> list[Json]:
        """The batches, running ones first, those of schedules too. `model` and `state` choose some of them."""
        found: list[Json] = self._get(path_of("batches", model=model, state=state, limit=limit))["batches"]
        return found

    def batch(self, batch: str) -> Json:
        """A batch by its id: its `state` and progress, and its `result` when it is done."""
        return self._get(path_of("batches", batch))

    def wait_for_batch(self, batch: str, *, timeout: float = 86_400.0) -> Json:
        """Waits until a batch is done, and answers as `batch` does. The wait goes on while the server restarts.

        Raises:
            InvalidRequestError: The batch failed or was cancelled, with the code of its error.
            DeadlineExceededError: It runs on beyond `timeout`.
        """
        again = f"wait_for_batch({batch!r})"
        awaited = Awaited(f'The batch "{batch}"', path_of("batches", batch), again, {"id": batch})
        return wait_until_done(self._sender, awaited, self._deadline(timeout))

    def cancel_batch(self, batch: str, *, reason: Optional[str] = None) -> Json:
        """Cancels a running batch. A worker removes its files."""
        return self._remove(path_of("batches", batch, reason=reason), self._deadline(None))


def _max_refused(limit: Union[int, str]) -> dict[str, Union[int, float]]:
    percent = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", limit) if isinstance(limit, str) else None
    if percent is not None and float(percent[1]) <= 100:
        return {"share": float(percent[1]) / 100}
    if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0:
        return {"rows": limit}
    raise InvalidRequestError(
        f'max_refused is {limit!r}; pass a number of rows, or a share such as "1%".', code="INVALID_REQUEST"
    )
