"""The client of a Lockstep server."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Literal, Optional, Union
from urllib.parse import quote

from .answers import Features, Predictions, Pushed, Table
from .catalog import Catalog, Json
from .errors import InvalidRequestError
from .rows import Rows, Written, send_in_parts, write_rows
from .sender import Deadline, Sender
from .uploads import upload
from .values import decode_column, encode, parse_time

if TYPE_CHECKING:
    import ssl
    from datetime import datetime

Moment = Union["datetime", str, int]
"""A time: a datetime (also of pandas or numpy), RFC 3339, or microseconds since 1970. Without a zone it is UTC."""
After = Union[str, Sequence[str], Pushed]
"""What a read must include: tokens of pushes, or what `push` answered."""
ModelFile = Union[str, "os.PathLike[str]", bytes, Any]
"""The path of an ONNX file, its bytes, or an `onnx.ModelProto`."""
OnUnavailable = Literal["error", "stale", "defaults"]


class Client(Catalog):
    """Reads features and predictions from a Lockstep server, and pushes events to it.

    Threads may share a client. It keeps connections open between requests, and closes them with `close()` or at the end
    of a `with` block.

        from lockstep_client import Client

        client = Client("http://localhost:8080")
        features = client.features("flight_features", [{"airport": "ATL", "distance": 594}])
        features[0]["landed1h"]     # of the first entity
        features.to_pandas()        # of all

    All methods raise `LockstepError`. After 429, 503 or a broken connection they try again, and so do they for pushes,
    as each event has an id and counts once.
    """

    def __init__(
        self,
        url: str,
        api_key: Optional[str] = None,
        *,
        timeout: float = 10.0,
        retries: int = 3,
        ssl_context: Optional[ssl.SSLContext] = None,
    ) -> None:
        """Makes a client. It connects with the first request.

        Args:
            url: The URL of the server, such as `https://features.example.com`.
            api_key: A key that `lockstep keys create` has made.
            timeout: How many seconds a call may take, with all its requests and attempts, unless it says otherwise. The
                server gets the rest of that time with each request, and drops requests that nobody waits for.
            retries: How often a request is tried again after a temporary failure.
            ssl_context: What to trust. By default the certificates of the system.

        Raises:
            InvalidRequestError: `CONFIG_INVALID`: `url` is not the URL of a server.
        """
        self._timeout = timeout
        self._sender = Sender(url, api_key, retries, ssl_context)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._sender.url!r})"

    def close(self) -> None:
        """Closes the connections."""
        self._sender.close()

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
            entities: A list of dicts, a DataFrame or a pyarrow Table, with exactly the keys and request values of the
                service. None, NaN, NaT and pandas.NA are null, which the server refuses.
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

        Many entities take several requests. All of them use the version and the moment of the first.

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
            return {"version": answer["version"], "asOf": answer["asOf"]}

        answers = self._read("/v1/predict", body, rows.texts, pin, self._deadline(timeout))
        return Predictions(
            **_table(answers, "outputTypes", "predictions", "outputStatuses", rows),
            **_moment(answers),
            model=answers[0]["model"],
            version=answers[0]["version"],
            prediction_ids=[each for answer in answers for each in answer["predictionIds"]],
            features=Table(**_table(answers, "types", "features", "statuses", rows)) if features else None,
        )

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
            events: A list of dicts, a DataFrame or a pyarrow Table, with exactly the columns of the source. None, NaN,
                NaT and pandas.NA are null.
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

    def push_model(
        self,
        model: str,
        file: ModelFile,
        *,
        alias: Optional[str] = None,
        dataset: Optional[str] = None,
        metrics: Optional[Mapping[str, float]] = None,
        params: Optional[Mapping[str, Any]] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        git_commit: Optional[str] = None,
        reason: Optional[str] = None,
        dataset_mismatch: bool = False,
        untried: bool = False,
        timeout: float = 600.0,
    ) -> Json:
        """Stores an ONNX file as the next version of a model. The API key needs the scope `admin`.

        The server checks that the file takes the features of the model's service and answers its outputs, and tries it.
        A file that was pushed before is the version that it was then.

        Args:
            model: The name of the model, which is declared in the definitions.
            file: The path of an ONNX file, its bytes, or a `ModelProto`.
            alias: Points this alias to the version. `champion`: requests that name no version get it.
            dataset: The id of the training set that it was trained on, such as `frame.attrs["dataset"]` of
                `historical_features`. The server then checks that it has the features that the version is served with.
            metrics: Evaluation results by name.
            params: Training parameters by name.
            metadata: Anything to store with the version.
            git_commit: The commit of the training code.
            reason: Why, for the audit log.
            dataset_mismatch: Allows a version that was trained on other features than it is served with.
            untried: Allows a version whose trial on made-up rows does not end.
            timeout: Seconds for the upload and the trial.

        Returns:
            The `version`, the change of the alias, and `notes`; see docs/remote.md#requests.
        """
        name, data = _model_bytes(model, file)
        deadline = self._deadline(timeout)
        asked = {
            "upload": upload(self._sender, name, data, deadline),
            "alias": alias,
            "dataset": dataset,
            "metrics": metrics,
            "params": params,
            "metadata": metadata,
            "gitCommit": git_commit,
            "reason": reason,
            "datasetMismatch": dataset_mismatch or None,
            "untried": untried or None,
        }
        return self._change(f"/v1/models/{quote(model, safe='')}/versions", asked, deadline)

    def promote(
        self, model: str, version: Union[int, str], *, reason: Optional[str] = None, timeout: float = 60.0
    ) -> Json:
        """Makes a version the champion, which answers requests that name no version. The key needs the scope `admin`.

        Args:
            model: The name of the model.
            version: The number of the version, or an alias.
            reason: Why, for the audit log.
            timeout: Seconds. All servers get up to 30 s to load the version before it answers.

        Returns:
            The change: `from`, `to`, and whether it is `inForce` on the server that was asked (docs/http.md#models).
        """
        path = f"/v1/models/{quote(model, safe='')}/promote"
        return self._change(path, {"version": version, "reason": reason}, self._deadline(timeout))

    def _change(self, path: str, asked: Json, deadline: Deadline) -> Json:
        """Sends a change that counts once, without the members that are None."""
        body = json.dumps({name: encode(value) for name, value in asked.items() if value is not None}).encode()
        return self._sender.json(path, deadline, body, {"Idempotency-Key": secrets.token_hex(16)})

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


def _model_bytes(model: str, file: ModelFile) -> tuple[str, bytes]:
    if isinstance(file, (bytes, bytearray, memoryview)):
        return f"{model}.onnx", bytes(file)
    if isinstance(file, (str, os.PathLike)):
        path = Path(file)
        return path.name, path.read_bytes()
    if hasattr(file, "SerializeToString"):
        return f"{model}.onnx", file.SerializeToString()
    raise InvalidRequestError(
        f"A model is the path of an ONNX file, its bytes or a ModelProto, not a {type(file).__name__}.",
        code="INVALID_REQUEST",
    )


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
    kinds: Mapping[str, str] = answers[0][types]
    columns: dict[str, list[Any]] = {name: [] for name in kinds}
    found: dict[str, list[str]] = {name: [] for name in kinds}
    times: Optional[dict[str, list[Any]]] = {name: [] for name in kinds} if "eventTimes" in answers[0] else None
    for answer in answers:
        for name, kind in kinds.items():
            read = answer[values][name]
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


def _moment(answers: Sequence[Json]) -> Json:
    """The fields that answers share."""
    first = answers[0]
    name, _, version = str(first["service"]).partition("@")
    stale = [answer["staleMs"] for answer in answers if answer.get("staleMs") is not None]
    return {
        "service": name,
        "service_version": int(version or first["version"]),
        "as_of": parse_time(first["asOf"]),
        "request_ids": [answer["requestId"] for answer in answers],
        "degraded": any(answer.get("degraded") is True for answer in answers),
        "stale_ms": max(stale) if stale else None,
        "late": sorted({view for answer in answers for view in answer.get("late") or []}),
    }
