from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import onnx
import pandas as pd
import pytest
from faults import FaultServer

from lockstep_client import Client, DeadlineExceededError, InvalidRequestError, NotFoundError, training_sets, uploads
from lockstep_client import training as training_module

FOLDER = Path(os.environ["LOCKSTEP_TEST_FOLDER"])


@pytest.fixture(scope="module")
def labels() -> pd.DataFrame:
    return pd.read_csv(FOLDER / "labels.csv", parse_dates=["paid_at"])


@pytest.fixture(scope="module")
def training(client: Client, labels: pd.DataFrame) -> pd.DataFrame:
    return client.historical_features("fraud_features", labels)


def test_a_spine_keeps_its_rows_and_gets_the_features_of_their_times(
    client: Client, labels: pd.DataFrame, training: pd.DataFrame
) -> None:
    pd.testing.assert_frame_equal(training[labels.columns], labels)
    # as text, as some versions of pandas do not read every float exactly
    written = pd.concat(pd.read_csv(FOLDER / f"fraud.{part}.csv", dtype=str) for part in ("train", "test"))
    for name in ("paid1h", "spent24h", "ofDay"):
        assert training[name].tolist() == [float(each) for each in written[name]]
    row = training.iloc[229]
    served = client.features("fraud_features", [{"card": row["card"], "amount": row["amount"]}], as_of=row["paid_at"])
    assert served[0] == {name: row[name] for name in ("paid1h", "spent24h", "ofDay")}


def test_a_training_set_is_kept_under_the_id_of_the_frame(client: Client, training: pd.DataFrame) -> None:
    made = client.training_sets()[0]
    assert (made["id"], made["rows"]) == (training.attrs["dataset"], len(training))


def test_types_and_index_of_a_spine_stay_and_features_are_exact(client: Client) -> None:
    big = 2**53 + 1
    at = pd.Timestamp("2026-03-02T00:00:00.000001Z")
    event: dict[str, Any] = {"account": big, "branch": "training", "at": at, "balance": -(2**63), "seen": at}
    other = {"share": None, "rate": None, "open": True, "city": None, "small": None, "place": [1, 2]}
    client.push("balances", [{**event, **other}])
    spine = pd.DataFrame(
        {
            "account": pd.array([big, None, big], dtype="Int64"),
            "branch": pd.Categorical(["training"] * 3),
            "divisor": [1.0, 2.0, 4.0],
            "moment": [at, at, at - pd.Timedelta(microseconds=1)],
            "kind": pd.Series(["x", "y", "x"], dtype="category"),
        },
        index=["a", "b", "c"],
    )
    found = client.historical_features("accounts@1", spine, time="moment")
    pd.testing.assert_frame_equal(found[spine.columns], spine)
    assert found["balance"].tolist() == [-(2**63), pd.NA, pd.NA]
    assert (str(found["balance"].dtype), str(found["open"].dtype)) == ("Int64", "boolean")
    assert found.at["a", "seen"] == at
    assert found.at["a", "place"] == [1, 2]
    assert found["quotient"].tolist() == [1.0, 0.5, 0.25]
    before = client.historical_features("accounts@1", spine, time="moment", as_of="before")
    assert before["balance"].isna().all()
    micros = at.value // 1000
    known = [client.historical_features("accounts@1", spine, time="moment", known_before=micros + n) for n in (0, 1)]
    assert [frame["balance"].notna().sum() for frame in known] == [0, 1]


def test_labels_that_may_leak_are_a_warning(client: Client) -> None:
    at = pd.Timestamp("2026-03-02T00:00:00Z")
    spine = pd.DataFrame({"account": [1], "branch": ["leak"], "divisor": [1.0], "moment": [at]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client.historical_features("accounts@1", spine, time="moment")
    names = ("balance", "seen", "share", "rate", "open", "city", "small", "place")
    client.push("balances", [{"account": 1, "branch": "leak", "at": at, **dict.fromkeys(names)}])
    with pytest.warns(UserWarning, match=r'source "balances".*use as_of="before"') as warned:
        client.historical_features("accounts@1", spine, time="moment")
    assert [each.filename for each in warned] == [__file__]
    client.historical_features("accounts@1", spine, time="moment", as_of="before")


def test_broken_connections_cost_a_part_of_a_file(
    url: str, key: str, labels: pd.DataFrame, training: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_PART_BYTES", 20_000)
    monkeypatch.setattr(training_sets, "_PART_BYTES", 10_000)
    faults = [fault for _ in range(6) for fault in ("none", "cut", "half")]
    with FaultServer(url, *faults) as server, Client(server.url, key, retries=9, timeout=60) as client:
        again = client.historical_features("fraud_features", labels)
        assert len([request for request in server.requests if "range" in request]) > 2
    pd.testing.assert_frame_equal(again, training)


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (lambda labels: labels.drop(columns="card"), "SPINE_INVALID", "card"),
        (lambda labels: labels.assign(amount=None), "MISSING_REQUEST_VALUE", "amount"),
        (lambda labels: labels.assign(more=[1, "a"] * (len(labels) // 2)), "SPINE_INVALID", "Give the column one type"),
        (lambda labels: labels.rename(columns={"fraud": "ofDay"}), "FEATURE_NAME_CLASH", "ofDay"),
        (lambda labels: labels.to_dict("records"), "SPINE_INVALID", "A spine is a DataFrame of pandas, not a list"),
    ],
)
def test_a_spine_that_does_not_fit_is_refused(
    client: Client, labels: pd.DataFrame, change: Any, code: str, said: str
) -> None:
    with pytest.raises(InvalidRequestError, match=said) as caught:
        client.historical_features("fraud_features", change(labels))
    assert caught.value.code == code


def test_a_job_that_takes_too_long_is_named(client: Client, labels: pd.DataFrame) -> None:
    with pytest.raises(DeadlineExceededError):
        client.historical_features("fraud_features", labels, timeout=0.05)


def test_the_upload_of_a_model_goes_on_after_broken_connections(
    url: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_PART_BYTES", 100)
    file = FOLDER / "fraud.onnx"
    with (
        FaultServer(url, "none", "lost", "none", "cut", "none", "lost") as server,
        Client(server.url, key, timeout=60) as client,
    ):
        # the same file is the version that was pushed before
        pushed = client.push_model("fraud", file, metrics={"auc": 0.5})
        assert (pushed["version"], pushed["created"]) == (1, False)
        sent = [request["upload-offset"] for request in server.requests if "upload-offset" in request]
        # each part arrived at the first try, and the client asked how far it was
        assert sent == ["0", "0", "100", "100"]


def test_the_file_of_a_version_is_pulled_in_parts_as_it_was_pushed(
    url: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_module, "_MODEL_PART_BYTES", 100)
    with FaultServer(url, "none", "none", "cut") as server, Client(server.url, key, timeout=60) as client:
        assert client.pull_model("fraud", 1) == (FOLDER / "fraud.onnx").read_bytes()
    with Client(url, key) as client, pytest.raises(NotFoundError):
        client.pull_model("fraud", 99)


def test_a_file_that_is_no_model_is_refused(client: Client) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        client.push_model("fraud", b"no model")
    assert caught.value.code == "MODEL_INVALID"
    with pytest.raises(InvalidRequestError, match="path of an ONNX file"):
        client.push_model("fraud", 5)


def test_a_model_is_pushed_with_the_files_beside_it(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = onnx.load(FOLDER / "fraud.onnx")
    path = tmp_path / "split.onnx"
    onnx.save_model(
        onnx.load(FOLDER / "fraud.onnx"), path, save_as_external_data=True, location="data", size_threshold=0
    )
    assert (tmp_path / "data").stat().st_size > 0
    pushed = client.push_model("fraud", path)
    stored = onnx.load_model_from_string(client.pull_model("fraud", pushed["version"]))
    assert stored.graph.initializer[0].raw_data == whole.graph.initializer[0].raw_data
    # bytes have no folder
    with pytest.raises(InvalidRequestError, match="a model must be one file"):
        client.push_model("fraud", path.read_bytes())
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        InvalidRequestError, match=r'split\.onnx" has values in other files.*install the package "onnx"'
    ):
        client.push_model("fraud", path)
