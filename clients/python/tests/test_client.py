from __future__ import annotations

import math
import os
import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lockstep_client import (
    BatchRow,
    Client,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    UnauthenticatedError,
)
from lockstep_client.client import from_batch_answers
from lockstep_client.rows import write_rows

UTC = timezone.utc
BIG = 2**53 + 1
BRANCH = f"Zürich 🏦 \"x\" 'y' \\ 日本 {os.getpid()}"
SEEN = datetime(2001, 6, 30, 23, 59, 59, 123456, tzinfo=UTC)
AT = datetime(2026, 3, 1, 10, 20, 0, 1, tzinfo=UTC)
ENTITIES = pd.DataFrame({"account": [BIG, 2], "branch": [BRANCH, ""], "divisor": [4.0, 0.0]}, index=["a", "b"])


def event(**fields: Any) -> dict[str, Any]:
    row = {"account": 1, "branch": "main", "at": AT, "balance": None, "seen": None, "share": None, "rate": None}
    return {**row, "open": None, "city": None, "small": None, "place": None, **fields}


@pytest.fixture(scope="module")
def stored(client: Client) -> None:
    """Two accounts: one with values of every type, one with none."""
    full = event(
        account=BIG,
        branch=BRANCH,
        balance=-(2**63),
        seen=SEEN,
        share=0.1,
        rate=math.inf,
        open=True,
        city="12345678901234567890",
        small=-7,
        place=[3, 0.5],
    )
    pushed = client.push("balances", [full, event(account=2, branch="")])
    assert (pushed.accepted, pushed.duplicates) == (2, 0)
    # a push waits only 250 ms until its events are online
    for _ in range(600):
        if pushed.online or "NOT_FOUND" not in client.features("accounts", ENTITIES).statuses["balance"]:
            return
        time.sleep(0.1)
    pytest.fail("The events are not online after a minute.")


@pytest.fixture(scope="module")
def both(client: Client, stored: None) -> Any:
    return client.features("accounts", ENTITIES, event_times=True)


def test_features_have_exact_values_of_every_type(both: Any) -> None:
    first, second = both
    assert first == {
        "balance": -(2**63),
        "seen": SEEN,
        "share": float(np.float32(0.1)),
        "rate": pytest.approx(math.nan, nan_ok=True),
        "open": True,
        "city": "12345678901234567890",
        "small": -7,
        "place": [3.0, 0.5],
        "lastSeen": [SEEN],
        "cities": {"12345678901234567890": 1},
        "quotient": 0.25,
    }
    assert (second["balance"], second["city"], second["lastSeen"][-1]) == (None, "nowhere", None)
    assert both.types["balance"] == "int64"
    assert both[-1] == second
    assert len(both) == 2


def test_features_have_statuses_and_event_times(both: Any) -> None:
    assert both.statuses["balance"] == ["PRESENT", "NULL_VALUE"]
    assert both.statuses["quotient"] == ["PRESENT", "INVALID"]
    assert both.statuses["rate"][0] == "INVALID"
    assert both.event_times["balance"] == [AT, AT]
    assert both.event_times["quotient"] == [None, None]


def test_answers_say_how_they_came_about(both: Any) -> None:
    assert (both.service, both.service_version, both.degraded, both.stale_ms, both.late) == (
        "accounts",
        1,
        False,
        None,
        [],
    )
    assert abs(both.as_of - datetime.now(UTC)) < timedelta(hours=1)
    assert len(both.fingerprint) == 64
    assert both.request_id
    assert repr(both).startswith("<Features of accounts@1 as of ")


def test_a_frame_keeps_types_whatever_the_values(both: Any) -> None:
    frame = both.to_pandas(statuses=True, event_times=True)
    assert list(frame.index) == ["a", "b"]
    assert frame.loc["a", "balance"] == -(2**63)
    assert frame.loc["b", "balance"] is pd.NA
    assert frame.loc["a", "seen"] == pd.Timestamp(SEEN)
    assert frame.loc["a", "balance__event_time"] == pd.Timestamp(AT)
    assert frame.loc["b", "balance__status"] == "NULL_VALUE"
    plain = both.to_pandas().dtypes.astype(str).to_dict()
    assert plain == {
        "balance": "Int64",
        "seen": "datetime64[us, UTC]",
        "share": "float32",
        "rate": "float64",
        "open": "boolean",
        "city": "string",
        "small": "Int32",
        "place": "object",
        "lastSeen": "object",
        "cities": "object",
        "quotient": "float64",
    }


def test_an_arrow_table_has_the_types_of_the_features(both: Any) -> None:
    table = both.to_arrow()
    time = pa.timestamp("us", tz="UTC")
    assert table.schema == pa.schema(
        {
            "balance": pa.int64(),
            "seen": time,
            "share": pa.float32(),
            "rate": pa.float64(),
            "open": pa.bool_(),
            "city": pa.string(),
            "small": pa.int32(),
            "place": pa.list_(pa.float32(), 2),
            "lastSeen": pa.list_(time),
            "cities": pa.map_(pa.string(), pa.int64()),
            "quotient": pa.float64(),
        }
    )
    assert table.column("balance").to_pylist() == [-(2**63), None]


@pytest.mark.parametrize(
    "as_of",
    [
        datetime(2026, 3, 1, 10, 20),
        pd.Timestamp("2026-03-01T11:20:00+01:00"),
        np.datetime64("2026-03-01T10:20"),
        "2026-03-01T10:20:00Z",
        1772360400000000,
    ],
)
def test_a_moment_may_have_any_form(client: Client, stored: None, as_of: Any) -> None:
    before = client.features("accounts@1", [{"account": 2, "branch": "", "divisor": 1}], as_of=as_of)
    assert before.as_of == datetime(2026, 3, 1, 10, 20, tzinfo=UTC)
    assert before.statuses["balance"] == ["NOT_FOUND"]


@pytest.mark.parametrize("account", [np.int64(BIG), np.uint64(BIG), str(BIG)])
def test_scalars_of_numpy_are_sent_exactly(client: Client, stored: None, account: Any) -> None:
    entity = {"account": account, "branch": np.str_(BRANCH), "divisor": np.float32(0.5)}
    assert client.features("accounts", [entity])[0]["balance"] == -(2**63)
    table = pa.Table.from_pylist([{**entity, "account": BIG, "branch": str(entity["branch"]), "divisor": 0.5}])
    assert client.features("accounts", table)[0]["quotient"] == 2.0


@pytest.mark.parametrize("missing", [None, math.nan, np.float64("nan"), pd.NA, pd.NaT, np.datetime64("NaT", "ns")])
def test_a_missing_value_is_null_and_is_never_a_key(client: Client, missing: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        client.features("accounts", [{"account": 1, "branch": missing, "divisor": 1}])
    assert (caught.value.code, caught.value.details["field"]) == ("INVALID_ENTITY", "branch")


def test_a_push_takes_a_frame_and_its_token_reads_it(client: Client) -> None:
    frame = pd.DataFrame([event(account=n, branch="frame", balance=BIG + n) for n in range(3)])
    frame["seen"] = pd.to_datetime(["2026-01-01T00:00:00.000001", None, "2026-01-01"], utc=True, format="ISO8601")
    frame["small"] = pd.array([1, None, 3], dtype="Int32")
    frame["place"] = [np.array([1, 2], dtype="float32"), (3, 4), None]
    pushed = client.push("balances", frame, idempotency_key=f"frame-{os.getpid()}")
    assert (pushed.accepted, len(pushed.tokens)) == (3, 1)
    assert client.push("balances", frame, idempotency_key=f"frame-{os.getpid()}") == pushed
    read = client.features(
        "accounts", [{"account": n, "branch": "frame", "divisor": 1} for n in range(3)], after=pushed
    )
    assert list(read.columns["balance"]) == [BIG, BIG + 1, BIG + 2]
    assert list(read.columns["seen"]) == [
        datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        None,
        datetime(2026, 1, 1, tzinfo=UTC),
    ]
    assert list(read.columns["small"]) == [1, None, 3]
    assert list(read.columns["place"]) == [[1, 2], [3, 4], None]


def test_events_that_only_go_offline_have_no_online_state(client: Client) -> None:
    assert client.push("balances", [event(branch="offline")], to="offline").online is None


def test_a_push_of_the_same_ids_counts_once(client: Client) -> None:
    events = [event(branch="ids", _event_id=f"{os.getpid()}-{n}") for n in range(2)]
    assert client.push("balances", events).accepted == 2
    again = client.push("balances", events)
    assert (again.accepted, again.duplicates) == (0, 2)


def test_predictions_have_ids_and_features_on_request(client: Client) -> None:
    entities = pd.DataFrame({"card": ["c36", "c1"], "amount": [150, 20]}, index=[7, 8])
    predicted = client.predict("fraud", entities, version=1, features=True)
    assert (predicted.model, predicted.version, predicted.service) == ("fraud", 1, "fraud_features")
    assert predicted.prediction_ids == [f"{predicted.request_id}/0", f"{predicted.request_id}/1"]
    assert 0 < predicted[0]["probability"] < 1
    assert predicted.features is not None
    assert set(predicted.features[0]) == {"paid1h", "spent24h", "ofDay"}
    assert list(predicted.to_pandas().index) == [7, 8]
    assert client.predict("fraud", entities).features is None


def test_without_a_batch_the_model_answers(client: Client) -> None:
    entities = [{"card": "c36", "amount": 150}, {"card": "c1", "amount": 20}]
    answered = client.predict_from_batch("fraud", entities, version=1)
    live = client.predict("fraud", entities, version=1, as_of=answered.as_of)
    assert answered.columns == live.columns
    assert (answered.model, answered.version, answered.service) == ("fraud", 1, "fraud_features")
    assert answered.from_batch == [None, None]
    assert answered.prediction_ids == [f"{answered.request_id}/0", f"{answered.request_id}/1"]
    assert repr(answered) == "<Predictions of fraud: 2 rows of probability, 0 of a batch>"
    one = client.predict_from_batch("fraud", entities[:1], version=1)
    assert repr(one) == "<Predictions of fraud: 1 row of probability, 0 of a batch>"


def test_predictions_of_a_batch_name_it() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    answers = [
        {
            "model": "churn",
            "version": 2,
            "service": "customers@1",
            "role": "champion",
            "requestId": "r",
            "asOf": "2026-03-01T12:00:00Z",
            "outputTypes": {"probability": "float32", "label": "int64"},
            "predictionIds": [None, "r/0"],
            "predictions": [{"probability": 0.5, "label": 1}, {"probability": None, "label": 0}],
            "outputStatuses": [{}, {"probability": "INVALID"}],
            "fromBatch": [{"id": "nightly", "asOf": "2026-03-01T00:00:00Z"}, None],
        }
    ]
    answered = from_batch_answers(answers, write_rows([{"customer": "a"}, {"customer": "b"}], "entity"))
    assert answered.from_batch == [BatchRow("nightly", at), None]
    assert answered.prediction_ids == [None, "r/0"]
    assert answered.columns["label"] == [1, 0]
    assert answered.columns["probability"][0] == 0.5
    assert math.isnan(answered.columns["probability"][1])
    assert answered.statuses["probability"] == ["PRESENT", "INVALID"]


def test_ten_thousand_rows_share_one_moment_and_version(client: Client) -> None:
    frame = pd.DataFrame({"card": [f"{'c' * 200}{n}" for n in range(10_001)], "amount": 10.0})
    read = client.features("fraud_features", frame)
    assert len(read) == 10_001
    assert len(read.request_ids) == 3
    assert len(client.predict("fraud", frame.iloc[:10_001]).prediction_ids) == 10_001
    assert read.columns["ofDay"][10_000] == 1.0
    frame.loc[10_000, "amount"] = math.nan
    with pytest.raises(InvalidRequestError, match="of all, this is row 10000") as caught:
        client.features("fraud_features", frame)
    assert caught.value.details["entity"] == 10_000


def test_definitions_and_models_are_found(client: Client) -> None:
    assert {view["name"] for view in client.views()} == {"account_state", "inverse", "payment", "spending"}
    assert [service["name"] for service in client.services(tag="none")] == []
    assert {entity["name"] for entity in client.entities()} == {"account", "card"}
    assert {source["name"] for source in client.sources()} == {"balances", "defaulted", "payments"}
    assert client.search("spent24h", limit=1)[0]["view"] == "spending@1"
    view = client.describe("view", "spending", 1)
    assert [feature["name"] for feature in view["features"]] == ["paid1h", "spent24h"]
    assert [model["model"] for model in client.models()] == ["fraud", "solvency"]
    assert client.describe("model", "fraud", 1)["lineage"]["service"]
    with pytest.raises(NotFoundError):
        client.describe("entity", "no/such?thing")
    with pytest.raises(InvalidRequestError, match='no kind "views"'):
        client.describe("views", "spending")  # type: ignore[arg-type]


def test_errors_have_a_class_and_say_what_the_server_said(url: str, client: Client) -> None:
    with pytest.raises(NotFoundError) as unknown:
        client.features("nothing", [{"a": 1}])
    assert (unknown.value.code, unknown.value.status, unknown.value.attempts) == ("UNKNOWN_DEFINITION", 404, 1)
    assert str(unknown.value.request_id) in str(unknown.value)
    with pytest.raises(InvalidRequestError) as missing:
        client.features("fraud_features", [{"card": "c1", "amount": 1}, {"card": "c1"}])
    assert missing.value.code == "MISSING_REQUEST_VALUE"
    assert missing.value.details == {"entity": 1, "field": "amount"}
    with pytest.raises(UnauthenticatedError):
        Client(url, "lockstep_sk_none").features("fraud_features", [{"card": "c1", "amount": 1}])
    with Client(url, os.environ["LOCKSTEP_TEST_PREDICT_KEY"]) as limited, pytest.raises(ForbiddenError) as forbidden:
        limited.features("fraud_features", [{"card": "c1", "amount": 1}])
    assert "read" in str(forbidden.value)


def test_threads_share_a_client(client: Client) -> None:
    found: dict[int, Any] = {}

    def ask(n: int) -> None:
        for i in range(10):
            read = client.features("accounts", [{"account": n, "branch": f"t{n}", "divisor": n * 100 + i}])
            found[n * 100 + i] = read[0]["quotient"]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n * 100 + i: 1 / (n * 100 + i) for n in range(1, 9) for i in range(10)}


def test_outcomes_are_stored_once_and_their_types_checked(client: Client) -> None:
    now = datetime.now(timezone.utc)
    rows = [{"predictionId": "a/0", "value": True}, {"predictionId": "b/0", "value": None, "at": now}]
    key = f"outcomes-{os.getpid()}"
    sent = client.outcomes("defaulted", rows, idempotency_key=key)
    assert (sent.accepted, sent.duplicates, sent.late) == (2, 0, 0)
    again = client.outcomes("defaulted", rows, idempotency_key=key)
    assert (again.accepted, again.duplicates) == (0, 2)
    with pytest.raises(InvalidRequestError, match='The column "value" of event 0'):
        client.outcomes("defaulted", [{"predictionId": "a/0", "value": "yes"}])
