from __future__ import annotations

import time
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from lockstep_client import Client, ConflictError, InvalidRequestError, NotFoundError

UTC = timezone.utc
AT = datetime(2026, 4, 1, 12, 0, 0, 7, tzinfo=UTC)


class Polars:
    """The part of a polars DataFrame that the client uses."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def iter_rows(self, *, named: bool) -> Any:
        assert named
        return iter(self.rows)

    def to_arrow(self) -> pa.Table:
        return pa.Table.from_pylist(self.rows)


def accounts(branch: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "account": [1, 2**62 + 1],
            "branch": branch,
            "at": [AT, AT],
            "balance": pd.array([2**53 + 1, None], dtype="Int64"),
            "seen": [pd.Timestamp(AT).tz_convert("Asia/Kolkata"), pd.NaT],
            "share": pd.array([0.5, None], dtype="Float32"),
            "rate": [0.1, float("nan")],
            "open": pd.array([True, None], dtype="boolean"),
            "city": ["Zürich", None],
            "small": pd.array([7, None], dtype="Int32"),
            "place": [[1.5, 2.5], None],
        }
    )


def test_a_frame_is_ingested_once_read_back_exactly_and_undone(client: Client, tmp_path: Path) -> None:
    branch = f"ingested-{uuid.uuid4()}"
    frame = accounts(branch)
    load = client.ingest("balances", frame)
    assert (load["rows"], load["already"]) == (2, 0)
    with pytest.raises(ConflictError, match="pass again=True") as caught:
        client.ingest("balances", frame)
    assert caught.value.code == "ALREADY_INGESTED"
    keyed = client.ingest("balances", frame.assign(city="Bern"), key=["account", "branch"])
    assert (keyed["rows"], keyed["already"]) == (0, 2)

    spine = frame[["account", "branch"]].assign(divisor=2.0, when=AT + timedelta(days=1))
    read = client.historical_features("accounts", spine)
    values = [None if pd.isna(value) else value for value in read["balance"]]
    assert values == [2**53 + 1, None]
    assert read["seen"].tolist() == [pd.Timestamp(AT), pd.NaT]
    assert [None if place is None else list(place) for place in read["place"]] == [[1.5, 2.5], None]

    explained = client.explain({"account": 1, "branch": branch}, view="account_state", as_of=AT + timedelta(days=1))
    winner = next(each for each in explained["views"][0]["features"] if each["feature"] == "balance")
    assert winner["value"] == str(2**53 + 1)

    assert client.undo_ingest("balances", load["id"], reason="a test")["rows"] == 2
    # Arrow gives a column without any value the type null
    assert client.ingest("balances", accounts(f"{branch}-2").assign(seen=None, place=None))["rows"] == 2
    file = tmp_path / "rows.jsonl"
    file.write_text(f'{{"account": 5, "branch": "{branch}", "at": "2026-04-01T12:00:00Z", "city": "Chur"}}\n')
    with pytest.raises(InvalidRequestError, match=r'rows\.jsonl.*lacks "balance"'):
        client.ingest("balances", file)
    with pytest.raises(InvalidRequestError, match="not list"):
        client.ingest("balances", [{"account": 1}])  # type: ignore[arg-type]


def test_arrow_and_polars_are_ingested_and_pushed(client: Client) -> None:
    branch = f"polars-{uuid.uuid4()}"
    table = pa.Table.from_pandas(accounts(branch), preserve_index=False)
    assert client.ingest("balances", table)["rows"] == 2
    other = table.set_column(1, "branch", pa.array([f"{branch}-2"] * 2)).to_pylist()
    assert client.ingest("balances", Polars(other))["rows"] == 2
    pushed = client.push("balances", Polars([{**row, "branch": f"{branch}-3"} for row in other]))
    assert pushed.accepted == 2
    asked = Polars([{"account": 1, "branch": f"{branch}-3", "divisor": 2.0}])
    assert client.features("accounts", asked, after=pushed)[0]["balance"] == 2**53 + 1


def test_logged_predictions_are_a_frame_and_can_be_explained(client: Client) -> None:
    asked = pd.DataFrame({"card": ["c36", "c1"], "amount": [150.0, 20.0]})
    answered = client.predict("fraud", asked, version=1)
    for _ in range(600):
        logged = client.logged_predictions("fraud", since="1h")
        ours = logged[logged["_prediction_id"].isin(answered.prediction_ids)].sort_values("_entity")
        if len(ours) == 2:
            break
        time.sleep(0.1)
    assert ours["card"].tolist() == ["c36", "c1"]
    assert ours["output__probability"].tolist() == [row["probability"] for row in answered]
    assert str(ours["paid1h"].dtype) == "Int32"
    why = client.explain_prediction(answered.prediction_ids[0])
    assert (why["prediction"]["model"], why["views"][0]["key"]) == ("fraud", {"card": "c36"})
    with pytest.raises(InvalidRequestError, match='add "outcome"'):
        client.logged_predictions("fraud", labelled=True)
    with pytest.raises(NotFoundError, match="nope"):
        client.logged_predictions("nope")


def test_what_is_not_needed_can_be_deleted(client: Client, candidate: int) -> None:
    with pytest.raises(ConflictError) as caught:
        client.delete_model_version("fraud", 1)
    assert caught.value.code == "IN_USE"
    assert client.delete_model_version("fraud", candidate, reason="a test")["version"] == candidate
    spine = pd.DataFrame({"card": ["c36"], "amount": [1.0], "at": [AT]})
    made = client.historical_features("fraud_features", spine).attrs["dataset"]
    assert client.delete_training_set(made)["id"] == made
    assert made not in [each["id"] for each in client.training_sets()]
