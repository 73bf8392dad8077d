from __future__ import annotations

import os

import pytest

from lockstep_client import Client, ConflictError, ForbiddenError, InvalidRequestError, LockstepError, NotFoundError

SPINE = "select card, paid_at, amount from lockstep_source.payments where card = 'c36'"
ROWS = "postgres:client_scores"


def test_a_batch_is_started_awaited_and_listed(client: Client) -> None:
    options = {"spine": SPINE, "out": ROWS, "mode": "append", "columns": ["card", "paid_at"], "time": "paid_at"}
    started = client.start_batch(
        "scores / 1", "fraud", **options, version=1, rows_per_part=1000, max_refused="100%", reason="a test"
    )
    assert (started["id"], started["model"], started["version"], started["joined"]) == ("scores / 1", "fraud", 1, False)
    done = client.wait_for_batch("scores / 1", timeout=120)
    assert (done["state"], done["out"], done["error"]) == ("done", "postgres:public.client_scores", None)
    assert done["result"]["rows"] == done["rows"] > 0
    assert client.batch("scores / 1")["result"] == done["result"]
    assert "scores / 1" in [batch["id"] for batch in client.batches(model="fraud", state="done")]
    assert client.batches(model="solvency") == []
    again = client.start_batch(
        "scores / 1", "fraud", **options, version=1, rows_per_part=1000, max_refused="100%", reason="another"
    )
    assert (again["joined"], again["state"], again["result"]) == (True, "done", done["result"])
    with pytest.raises(ConflictError) as caught:
        client.start_batch("scores / 1", "fraud", **options, max_refused=5)
    assert caught.value.code == "BATCH_CONFLICT"


def test_a_batch_that_fails_or_is_cancelled_is_raised(client: Client) -> None:
    divided = SPINE.replace("amount", "amount / 0 as amount")
    client.start_batch("failing", "fraud", spine=divided, out=ROWS, mode="append")
    with pytest.raises(InvalidRequestError, match="division by zero") as caught:
        client.wait_for_batch("failing", timeout=120)
    assert caught.value.details == {"id": "failing"}
    assert client.batch("failing")["error"]["code"] == caught.value.code
    client.start_batch("few", "fraud", spine=SPINE, out=ROWS, mode="append", min_rows=1_000_000)
    with pytest.raises(InvalidRequestError, match="at least 1000000 rows") as caught:
        client.wait_for_batch("few", timeout=120)
    assert caught.value.code == "TOO_FEW_ROWS"
    # the embedded database keeps a processor busy while it sleeps, and the server answers nothing meanwhile
    slow = SPINE.replace("where", "cross join pg_sleep(2) where")
    client.start_batch("slow", "fraud", spine=slow, out=ROWS, mode="append")
    assert client.cancel_batch("slow", reason="a test")["state"] == "cancelled"
    with pytest.raises(InvalidRequestError, match='The batch "slow" was cancelled') as caught:
        client.wait_for_batch("slow", timeout=120)
    assert caught.value.code == "STOPPED"


def test_a_batch_that_cannot_start_is_refused(client: Client) -> None:
    with pytest.raises(LockstepError, match=r"s3://|storage|no-such-bucket"):
        client.start_batch(
            "files", "fraud", spine="s3://no-such-bucket/spine.parquet", out="s3://no-such-bucket/scores"
        )
    with pytest.raises(InvalidRequestError, match=r"object storage|URL"):
        client.start_batch("local", "fraud", spine=SPINE, out="/tmp/scores")
    for limit in ("lots", "101%", -1, 0.01, True):
        with pytest.raises(InvalidRequestError, match="pass a number of rows, or a share"):
            client.start_batch("limit", "fraud", spine=SPINE, out=ROWS, max_refused=limit)  # type: ignore[arg-type]
    for act in (client.batch, client.wait_for_batch, client.cancel_batch):
        with pytest.raises(NotFoundError, match="limit"):
            act("limit")


def test_a_schedule_is_listed_and_described(client: Client) -> None:
    assert [each["name"] for each in client.batch_schedules()] == ["leap_days"]
    assert client.batch_schedules(owner="nobody") == []
    assert client.describe("batch", "leap_days")["kind"] == "batch"
    with pytest.raises(NotFoundError):
        client.describe("batch", "spending")


def test_batches_need_an_admin(url: str) -> None:
    with Client(url, os.environ["LOCKSTEP_TEST_PREDICT_KEY"]) as client:
        for act in (client.batches, lambda: client.start_batch("scores", "fraud", spine=SPINE, out=ROWS)):
            with pytest.raises(ForbiddenError):
                act()
