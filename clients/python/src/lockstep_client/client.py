"""The client of a Lockstep server."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import Any, Callable, Literal, Optional, Union
from urllib.parse import quote

from .answers import BatchPredictions, BatchRow, Features, Outcomes, Predictions, Pushed, Table
from .batches import Batches
from .caller import Json, Moment
from .catalog import Catalog
from .errors import InvalidRequestError
from .history import History
from .model_changes import ModelChanges
from .rows import Rows, Written, send_in_parts, write_rows
from .sender import Deadline
from .training import Training
from .trainings import Trainings
from .values import decode_column, encode, parse_time
from .watching import Watching

After = Union[str, Sequence[str], Pushed]
"""What a read must include: tokens of pushes, or what `push` answered."""
OnUnavailable = Literal["error", "stale", "defaults"]


class Client(Catalog, History, Training, Trainings, ModelChanges, Batches, Watching):
    """Reads features and predictions from a Lockstep server, and pushes events to it.

    Threads may share a client. It keeps connections open between requests, and closes them with `close()` or at the end
    of a `with` block.

        from lockstep_client import Client

        client = Client("http://localhost:8080")
        features = client.features("flight_features", [{"airport": "ATL", "distance": 594}])
        features[0]["landed1h"]     # of the first entity
        features.to_pandas()        # of all

    All methods raise `LockstepError`. After 429, 502, 503 or a broken connection they try again, and so do they for
    pushes, as each event has an id and counts once.
    """

    def features(
        self,
        service: str,
        entities: Rows,
        *,
        as_of: Optional[Moment] = None,
        after: Optional[After] = None,
        on_unavailable: Optional[OnUnavailable] = None,
        event_times: bool = False,
        timeout: Optional[float] = None,
    ) -> Features:
        """Reads the features of a service for each entity.

        Many entities take several requests. All of them use the version and the moment of the first.

        Args:
            service: `name@version`, or a name for its newest version that is ready.
            entities: A list of dicts, a pandas or polars DataFrame, or a pyarrow Table, with exactly the keys and
                request values of the service. None, NaN, NaT and pandas.NA are null, which the server refuses. At least
                one row: no rows are refused.
            as_of: The moment of all values. Default: now.
            after: Pushes that the answer must include.
            on_unavailable: What to answer while the online store is down. Default: the server's setting.
            event_times: Whether to read the event times of the features as well.
            timeout: Seconds, in place of the client's.

        Raises:
            LockstepError: See docs/http.md#errors.
        """
        include = ["types", *(["eventTimes"] if event_times else [])]
        body = {"service": service, "format": "columns", "include": include, **_reading(as_of, after, on_unavailable)}
        rows = write_rows(entities, "entity")

        def pin(answer: Json) -> Json:
            return {"service": f"{answer['service']}@{answer['version']}", "asOf": answer["asOf"]}

        answers = self._read("/v1/features", body, rows.texts, pin, self._deadline(timeout))
        table = _table(answers, "types", "features", "statuses", rows)
        return Features(**table, **_moment(answers), fingerprint=answers[0]["fingerprint"])

    def predict(
        self,
        model: str,
        entities: Rows,
        *,
        version: Optional[Union[int, str]] = None,
        features: bool = False,
        as_of: Optional[Moment] = None,
        after: Optional[After] = None,
        on_unavailable: Optional[OnUnavailable] = None,
        timeout: Optional[float] = None,
    ) -> Predictions:
        """Reads the features of a model's service for each entity, and runs the model.

        Many entities take several requests. All of them use the moment of the first.

        Args:
            model: The name of the model.
            entities: As for `features`.
            version: The number of a version, or an alias. Default: the champion.
            features: Whether to answer what the predictions are made from as well. The key then needs the scope `read`.
            as_of: The moment of all features. Default: now.
            after: Pushes that the features must include.
            on_unavailable: What to answer while the online store is down. Default: the server's setting.
            timeout: Seconds, in place of the client's.

        Raises:
            LockstepError: See docs/http.md#errors.
        """
        include = ["types", *(["features"] if features else [])]
        body: Json = {"model": model, "format": "columns", "include": include}
        body.update(_reading(as_of, after, on_unavailable))
        if version is not None:
            body["version"] = encode(version)
        rows = write_rows(entities, "entity")

        def pin(answer: Json) -> Json:
            # not the version: a rollout assigns each row
            return {"asOf": answer["asOf"]}

        answers = self._read("/v1/predict", body, rows.texts, pin, self._deadline(timeout))
        return Predictions(
            **_table(answers, "outputTypes", "predictions", "outputStatuses", rows),
            **_moment(answers),
            model=answers[0]["model"],
            **_served(answers),
            prediction_ids=[each for answer in answers for each in answer["predictionIds"]],
            features=Table(**_table(answers, "types", "features", "statuses", rows)) if features else None,
        )

    def predict_from_batch(
        self,
        model: str,
        entities: Rows,
        *,
        version: Optional[Union[int, str]] = None,
        on_unavailable: Optional[OnUnavailable] = None,
        timeout: Optional[float] = None,
    ) -> BatchPredictions:
        """Reads the predictions of the model's newest batch with `--online`, while they are fresh.

        The model answers all other rows.

        Args:
            model: The name of the model.
            entities: As for `features`.
            version: The number of a version, or an alias. Default: the champion.
            on_unavailable: What to answer while the online store is down. Default: the server's setting.
            timeout: Seconds, in place of the client's.

        Raises:
            LockstepError: See docs/http.md#errors.
        """
        body: Json = {"model": model, "from": "batch", "include": ["types"], **_reading(None, None, on_unavailable)}
        if version is not None:
            body["version"] = encode(version)
        rows = write_rows(entities, "entity")
        answers = self._read("/v1/predict", body, rows.texts, lambda _answer: {}, self._deadline(timeout))
        return from_batch_answers(answers, rows)

    def push(
        self,
        source: str,
        events: Rows,
        *,
        to: Optional[Literal["both", "online", "offline"]] = None,
        idempotency_key: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Pushed:
        """Writes events to a source and to the online features that read it.

        Each event counts once, however often it is sent: it has an id, `_event_id`, or gets one here. Many events take
        several requests. Each of them stores all of its events or none. If a later one fails, earlier ones are stored:
        send the same events again with the same `idempotency_key` or ids.

        Args:
            source: The name of the source.
            events: A list of dicts, a pandas or polars DataFrame, or a pyarrow Table, with exactly the columns of the
                source. None, NaN, NaT and pandas.NA are null. At least one row.
            to: Where the events go. Default: `both`, the history and the online store.
            idempotency_key: Identifies this push: at most 255 printable characters. A push with the same key, within 24
                hours and for events without ids ever, writes nothing again.
            timeout: Seconds, in place of the client's.

        Raises:
            LockstepError: See docs/push.md#guarantees.
        """
        key = idempotency_key or secrets.token_hex(16)
        rows = write_rows(events, "event", lambda i: {"_event_id": f"{key}/{i}"})
        deadline = self._deadline(timeout)
        path = f"/v1/sources/{quote(source, safe='')}/events"
        tail = b"}" if to is None else b',"to":' + json.dumps(to).encode() + b"}"

        def send(array: bytes, start: int, end: int) -> Json:
            whole = idempotency_key is not None and end - start == len(rows.texts)
            headers = {"Idempotency-Key": key} if whole else None
            return self._sender.json(path, deadline, b'{"events":' + array + tail, headers)

        answers = send_in_parts(rows.texts, send)
        online = [answer.get("online") for answer in answers]
        return Pushed(
            accepted=sum(answer["accepted"] for answer in answers),
            duplicates=sum(answer["duplicates"] for answer in answers),
            online=None if None in online else all(online),
            tokens=[answer["token"] for answer in answers],
            request_ids=[answer["requestId"] for answer in answers],
        )

    def outcomes(
        self,
        outcome: str,
        rows: Rows,
        *,
        idempotency_key: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Outcomes:
        """Says what came of predictions.

        Each outcome is stored once, however often it is sent: it has an `id`, or gets one here. Many take several
        requests. Each of them stores all of its outcomes or none.

        Args:
            outcome: The name of the outcome.
            rows: A list of dicts, a pandas or polars DataFrame, or a pyarrow Table with `predictionId` (one of
                `prediction_ids` of the answer) or `entity`, `value`, and optionally `at` and `id`.
            idempotency_key: Makes the ids of outcomes without one. Send the same outcomes again with the same key.
            timeout: Seconds, in place of the client's.

        Raises:
            LockstepError: See docs/outcomes.md#sending-outcomes.
        """
        key = idempotency_key or secrets.token_hex(16)
        written = write_rows(rows, "outcome", lambda i: {"id": f"{key}/{i}"})
        deadline = self._deadline(timeout)
        begin = b'{"outcome":' + json.dumps(outcome).encode() + b',"outcomes":'

        def send(array: bytes, _start: int, _end: int) -> Json:
            return self._sender.json("/v1/outcomes", deadline, begin + array + b"}")

        answers = send_in_parts(written.texts, send)
        late = [answer["late"] for answer in answers]
        unknown = [answer["unknown"] for answer in answers]
        return Outcomes(
            accepted=sum(answer["accepted"] for answer in answers),
            duplicates=sum(answer["duplicates"] for answer in answers),
            late=None if None in late else sum(late),
            unknown=None if None in unknown else sum(unknown),
            log_share=min((answer["logShare"] for answer in answers), default=1.0),
            request_ids=[answer["requestId"] for answer in answers],
        )

    def _read(
        self, path: str, body: Json, texts: Sequence[bytes], pin: Callable[[Json], Json], deadline: Deadline
    ) -> list[Json]:
        """Sends entities in parts. What `pin` takes from the first answer holds for all others."""
        asked = dict(body)

        def send(array: bytes, start: int, _end: int) -> Json:
            begin = json.dumps(asked)[:-1].encode()
            answer = self._sender.json(path, deadline, begin + b',"entities":' + array + b"}")
            if start == 0:
                asked.update(pin(answer))
            return answer

        return send_in_parts(texts, send)


def _reading(as_of: Optional[Moment], after: Optional[After], on_unavailable: Optional[str]) -> Json:
    asked: Json = {}
    if as_of is not None:
        try:
            asked["asOf"] = encode(as_of)
        except TypeError as error:
            raise InvalidRequestError(
                f"as_of is {error}; pass a datetime, RFC 3339, or microseconds since 1970.", code="INVALID_TYPE"
            ) from error
    if after is not None:
        asked["after"] = after if isinstance(after, str) else list(after.tokens if isinstance(after, Pushed) else after)
    if on_unavailable is not None:
        asked["onUnavailable"] = on_unavailable
    return asked


def _table(answers: Sequence[Json], types: str, values: str, statuses: str, rows: Written) -> Json:
    """The fields of a Table from the members of answers, each of which has the next rows."""
    kinds: dict[str, str] = {}
    for answer in answers:
        kinds = {**answer[types], **kinds}
    columns: dict[str, list[Any]] = {name: [] for name in kinds}
    found: dict[str, list[str]] = {name: [] for name in kinds}
    times: Optional[dict[str, list[Any]]] = {name: [] for name in kinds} if "eventTimes" in answers[0] else None
    for answer in answers:
        for name, kind in kinds.items():
            # a version may lack a feature that another one takes
            read = answer[values].get(name) or [None] * len(answer.get("predictionIds", []))
            status = ["PRESENT"] * len(read)
            for other, indexes in answer.get(statuses, {}).get(name, {}).items():
                for index in indexes:
                    status[index] = other
            found[name] += status
            columns[name] += decode_column(kind, read, status)
            if times is not None:
                times[name] += decode_column("timestamp", answer["eventTimes"][name], status)
    return {
        "types": kinds,
        "columns": columns,
        "statuses": found,
        "event_times": times,
        "frame_index": rows.index,
        "length": len(rows.texts),
    }


def from_batch_answers(answers: Sequence[Json], rows: Written) -> BatchPredictions:
    """Joins the answers to requests for predictions of a batch."""
    batches: list[Optional[Json]] = []
    for answer in answers:
        # absent: the model has no such batch
        batches += answer.get("fromBatch") or [None] * len(answer["predictionIds"])
    return BatchPredictions(
        **_table([_by_column(answer) for answer in answers], "outputTypes", "predictions", "outputStatuses", rows),
        **_moment(answers),
        model=answers[0]["model"],
        version=_served(answers)["version"],
        prediction_ids=[each for answer in answers for each in answer["predictionIds"]],
        from_batch=[None if each is None else BatchRow(each["id"], parse_time(each["asOf"])) for each in batches],
    )


def _by_column(answer: Json) -> Json:
    """An answer by row in the form of the others: its predictions and their statuses by output."""
    names = list(answer["outputTypes"])
    statuses: dict[str, dict[str, list[int]]] = {name: {} for name in names}
    for index, row in enumerate(answer.get("outputStatuses") or []):
        for name, status in row.items():
            statuses[name].setdefault(status, []).append(index)
    predictions = {name: [row.get(name) for row in answer["predictions"]] for name in names}
    return {**answer, "predictions": predictions, "outputStatuses": statuses}


def _served(answers: Sequence[Json]) -> Json:
    """Which version answered each row, and why."""
    versions: list[int] = []
    roles: list[str] = []
    experiments: list[Optional[str]] = []
    variants: list[Optional[str]] = []
    bypassed: list[Optional[int]] = []
    for answer in answers:
        count = len(answer["predictionIds"])
        groups = answer.get("servedBy") or [{**answer, "rows": range(count)}]
        by_row = {row: group for group in groups for row in group["rows"]}
        versions += [by_row[row]["version"] for row in range(count)]
        roles += [by_row[row]["role"] for row in range(count)]
        experiments += [by_row[row].get("experiment") for row in range(count)]
        variants += [by_row[row].get("variant") for row in range(count)]
        bypassed += [by_row[row].get("bypassed") for row in range(count)]
    return {
        "version": versions[0] if len(set(versions)) == 1 else None,
        "versions": versions,
        "roles": roles,
        "experiments": experiments,
        "variants": variants,
        "bypassed": bypassed,
    }


def _moment(answers: Sequence[Json]) -> Json:
    """The fields that answers share."""
    first = answers[0]
    served = first if "service" in first else first["servedBy"][0]
    name, _, version = str(served["service"]).partition("@")
    stale = [answer["staleMs"] for answer in answers if answer.get("staleMs") is not None]
    return {
        "service": name,
        "service_version": int(version or served["version"]),
        "as_of": parse_time(first["asOf"]),
        "request_ids": [answer["requestId"] for answer in answers],
        "degraded": any(answer.get("degraded") is True for answer in answers),
        "stale_ms": max(stale) if stale else None,
        "late": sorted({view for answer in answers for view in answer.get("late") or []}),
    }
