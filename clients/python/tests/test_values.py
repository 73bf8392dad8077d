"""What is refused before anything is sent."""

from __future__ import annotations

import copy
import enum
import pickle
import uuid
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lockstep_client import Client, DeadlineExceededError, InvalidRequestError, LockstepError, NetworkError, frames
from lockstep_client.client import _served
from lockstep_client.values import encode, parse_time


class Color(str, enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (datetime(2026, 1, 1, 0, 0, 0, 7), "2026-01-01T00:00:00.000007Z"),
        (datetime(1890, 1, 1, tzinfo=timezone(timedelta(minutes=34, seconds=8))), "1889-12-31T23:25:52Z"),
        (pd.Timestamp("2026-01-01T00:00:00.123456789", tz="Europe/Zurich"), "2025-12-31T23:00:00.123456789Z"),
        (np.datetime64("2026-01"), "2026-01-01T00:00:00.000000Z"),
        (date(2026, 1, 2), "2026-01-02"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Color.RED, "red"),
        (np.bool_(True), True),
        (np.uint8(3), 3),
        (np.float32(0.5), 0.5),
        (float("-inf"), "-Infinity"),
        (np.array([1.5, np.nan]), [1.5, None]),
        (np.array(["2026-01-01T00:00:00.5", "NaT"], "datetime64[ns]"), ["2026-01-01T00:00:00.500000Z", None]),
        (np.array(np.datetime64("2026-01-01", "ns")), "2026-01-01T00:00:00.000000Z"),
        (pd.array([1, None], dtype="Int64")[1], None),
        (2**70, 2**70),
        (Decimal("12.340"), 12.34),
        (Decimal("1E-7"), 1e-7),
        (Decimal("1E+50"), 1e50),
        (Decimal(2**63 - 1), 2**63 - 1),
        (Decimal("NaN"), None),
        (Decimal("-Infinity"), "-Infinity"),
        (pa.scalar(Decimal("1.50")), 1.5),
        (pd.NaT, None),
        (np.datetime64("NaT"), None),
    ],
)
def test_a_value_has_one_form_in_json(value: Any, json: Any) -> None:
    assert encode(value) == json


def test_times_are_read_to_the_microsecond() -> None:
    assert parse_time("1889-12-31T23:25:52.0001Z") == datetime(1889, 12, 31, 23, 25, 52, 100, tzinfo=timezone.utc)


nowhere = Client("http://127.0.0.1:1", retries=0)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"card": "c1"}, "put a single row into a list"),
        ("c1", "not str"),
        ([1], "The entity 0 is of the type int"),
        ([{"a": 1}, {"a": 1j}], 'field "a" of entity 1 cannot be sent: a value of the type complex has no JSON'),
        ([{"a": Decimal("0.12345678901234567890")}], 'field "a" of entity 0 cannot be sent: the Decimal 0.12345'),
        ([{"a": [Decimal("1E+400")]}], "has more digits than a float64 holds; round it, or convert it to a float"),
        ([{"a": np.timedelta64(5, "ns")}], "a value of the type numpy.timedelta64 has no JSON"),
        ([{"a": np.longdouble(1.5)}], "a value of the type numpy.longdouble has no JSON"),
        ([{"a": "\ud800"}], 'field "a" of entity 0 cannot be sent: its text has half of a surrogate pair'),
        ([{1: 2}], "its name is not a text"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), 'two columns "a"'),
    ],
)
def test_rows_that_cannot_be_sent_are_refused_by_name(rows: Any, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said.replace("(", r"\(")):
        nowhere.features("accounts", rows)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:8080", 'Did you mean "http://localhost:8080"'),
        ("ftp://x", "is not a server URL"),
        ("http://x/v1", 'Leave it out: "http://x"'),
        ("https://x/v1/", 'Leave it out: "https://x"'),
        ("http://", "is not a server URL"),
        ("http://x:99999", "is not a server URL"),
        ("", "is not a server URL"),
    ],
)
def test_a_url_that_is_none_of_a_server_is_refused(url: str, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said) as caught:
        Client(url)
    assert caught.value.code == "CONFIG_INVALID"


def test_a_proxy_may_have_a_path_that_ends_in_v1() -> None:
    assert repr(Client("https://x/lockstep/v1/")) == "Client('https://x/lockstep/v1')"


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "5", True])
def test_a_timeout_is_a_number_of_seconds(timeout: Any) -> None:
    with pytest.raises(InvalidRequestError, match="number of seconds above 0"):
        nowhere.features("accounts", [], timeout=timeout)


def test_a_key_with_a_line_break_is_refused_without_showing_it() -> None:
    with pytest.raises(InvalidRequestError, match="line break") as caught:
        Client("http://x", "secret\n")
    assert "secret" not in str(caught.value)


def test_errors_go_from_process_to_process() -> None:
    with pytest.raises(NetworkError) as caught:
        nowhere.models()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), again.code, again.attempts, str(again)) == (NetworkError, "NETWORK", 1, str(caught.value))
    assert isinstance(again, (LockstepError, ConnectionError))
    assert issubclass(DeadlineExceededError, TimeoutError)
    assert copy.copy(again).details == {}


def test_rows_know_their_version_role_variant_and_what_was_bypassed() -> None:
    arm = {"version": 2, "role": "arm", "experiment": "prices", "variant": "treatment"}
    groups = [{"version": 1, "role": "champion", "bypassed": 2, "rows": [1]}, {**arm, "rows": [0]}]
    several = {"predictionIds": ["a/0", "a/1"], "servedBy": groups}
    assert _served([several, {"predictionIds": ["b/0"], **arm}]) == {
        "version": None,
        "versions": [2, 1, 2],
        "roles": ["arm", "champion", "arm"],
        "experiments": ["prices", None, "prices"],
        "variants": ["treatment", None, "treatment"],
        "bypassed": [None, 2, None],
    }


def test_lists_and_counts_of_a_training_set_stay_exact() -> None:
    table = pa.table(
        {
            "counts": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())),
            "n": pa.array([2**53 + 1, None, 1]),
            "ids": pa.array([[2**53 + 1, None], None, []], pa.list_(pa.int64())),
            "place": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.float32(), 2)),
        }
    )
    frame = frames.table_to_pandas(table)
    assert list(frame.columns) == ["counts", "n", "ids", "place"]
    assert frame["ids"].tolist() == [[2**53 + 1, None], None, []]
    assert frame["counts"].tolist() == [{"a": 1}, None, {}]
    assert frame["n"].tolist() == [2**53 + 1, pd.NA, 1]
    assert frame.at[0, "place"].tolist() == [1, 2]
