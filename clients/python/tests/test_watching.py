from __future__ import annotations

import os
from datetime import datetime, timezone

import pytest

from lockstep_client import Client, ForbiddenError, InvalidRequestError, LockstepError, NotFoundError


def test_figures_of_a_model(client: Client) -> None:
    assert client.model_statistics("fraud", since="2h", step="hour")["model"] == "fraud"
    with pytest.raises(NotFoundError, match="fraud@1") as caught:
        client.drift("fraud", version=1, since="1h", baseline="training")
    assert caught.value.code == "BASELINE_MISSING"
    asked = client.quality(
        "solvency", outcome="defaulted", since="1d", by=["version"], as_of=datetime.now(timezone.utc)
    )
    assert asked["model"] == "solvency"
    with pytest.raises(InvalidRequestError, match="since"):
        client.drift("fraud", since="soon")
    with pytest.raises(NotFoundError):
        client.quality("no model / at all")


def test_alerts_and_monitors(client: Client) -> None:
    assert "system:jobs" in [monitor["name"] for monitor in client.monitors()]
    assert client.alerts(state="resolved", severity="page", monitor="system:jobs", limit=5) == []
    for act in (
        lambda: client.alert(999_999),
        lambda: client.silence_alert(999_999, "2h", reason="a test"),
        lambda: client.unsilence_alert(999_999, reason="a test"),
    ):
        with pytest.raises(NotFoundError, match="999999"):
            act()


def test_experiments(client: Client) -> None:
    assert [(each["name"], each["state"]) for each in client.experiments()] == [("limits", "planned")]
    for act in (
        lambda: client.start_experiment("limits", reason="a test"),
        lambda: client.stop_experiment("limits", reason="a test"),
        lambda: client.experiment_results("limits"),
        lambda: client.plan_experiment("limits", effect=0.02, power=0.9, since="7d"),
        lambda: client.decide_experiment("limits", "treatment", reason="a test"),
    ):
        with pytest.raises(LockstepError, match=r"limits|solvency|predictions"):
            act()


def test_a_backfill_is_a_job_that_can_be_awaited(client: Client) -> None:
    begun = client.start_backfill("spending", reason="a test")
    done = client.wait_for_job(begun["id"], timeout=120)
    assert (done["state"], done["kind"]) == ("done", "backfill")
    assert begun["id"] in [job["id"] for job in client.jobs(kind="backfill", state="done")]
    for act in (client.cancel_job, client.retry_job):
        with pytest.raises(LockstepError, match=str(begun["id"])):
            act(begun["id"], reason="a test")
    part = client.start_backfill(
        "spending", start=datetime(2026, 1, 1, tzinfo=timezone.utc), end=datetime(2026, 1, 2, tzinfo=timezone.utc)
    )
    assert (part["from"], part["to"]) == ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
    client.wait_for_job(part["id"], timeout=120)


def test_changes_need_an_admin(url: str) -> None:
    with Client(url, os.environ["LOCKSTEP_TEST_PREDICT_KEY"]) as client:
        for act in (lambda: client.pin("fraud", 1), lambda: client.start_backfill("spending"), client.alerts):
            with pytest.raises(ForbiddenError):
                act()
