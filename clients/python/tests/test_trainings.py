from __future__ import annotations

import os

import pytest

from lockstep_client import Client, ConflictError, ForbiddenError, InvalidRequestError, NotFoundError


def test_a_training_is_run_shown_and_cancelled(client: Client) -> None:
    assert [(each["name"], each["last"]) for each in client.trainings()] == [("retrain", None)]
    run = client.run_training("retrain", at="2026-03-01T04:00:00Z", reason="a test")
    # no process has the trainer
    assert (run["state"], run["joined"], run["at"]) == ("waiting", False, "2026-03-01T04:00:00Z")
    assert client.run_training("retrain")["job"] == run["job"]
    assert client.run_training("retrain", at="2026-03-01T04:00:00Z")["joined"] is True
    with pytest.raises(ConflictError, match="Another run"):
        client.run_training("retrain", at="2026-02-01T04:00:00Z")
    assert client.trainings()[0]["last"]["job"] == run["job"]
    client.cancel_job(run["job"])
    shown = client.training("retrain")
    assert shown["definition"]["trainer"] == "train.py"
    assert [each["state"] for each in shown["runs"]] == ["cancelled"]
    with pytest.raises(InvalidRequestError, match="was cancelled"):
        client.wait_for_job(run["job"])


def test_a_training_that_is_not_there_is_raised(client: Client) -> None:
    for act in (client.training, client.run_training):
        with pytest.raises(NotFoundError, match="retran"):
            act("retran")


def test_runs_need_an_admin(url: str) -> None:
    with Client(url, os.environ["LOCKSTEP_TEST_PREDICT_KEY"]) as client:
        for act in (client.trainings, lambda: client.run_training("retrain")):
            with pytest.raises(ForbiddenError):
                act()
