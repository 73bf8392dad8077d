from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from faults import FaultServer, refusal

import lockstep_client
from lockstep_client import BadAnswerError, Client, DeadlineExceededError, ForbiddenError, NotFoundError, waiting

# each request of a wait is sent once, so that each fault is met by another request
Waiting = partial(lockstep_client.Client, timeout=60, retries=0)
RESTART: list[Any] = [
    "cut",
    "half",
    refusal(503, "NOT_READY"),
    refusal(503, "POSTGRES_UNAVAILABLE", "retry-after: 3600"),
    b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 6\r\n\r\n<html>",
    refusal(504, "DEADLINE_EXCEEDED"),
]


@pytest.fixture(scope="module")
def done(client: Client) -> int:
    """A job that is done."""
    job: int = client.start_backfill("spending")["id"]
    client.wait_for_job(job, timeout=120)
    return job


@pytest.fixture(scope="module")
def ended(client: Client, candidate: int) -> str:
    """A model whose rollout has ended."""
    client.start_rollout("fraud", candidate, share=0.5)
    client.abort_rollout("fraud")
    return "fraud"


def test_a_wait_for_a_job_outlasts_a_restart_of_the_server(url: str, key: str, done: int) -> None:
    with FaultServer(url, *RESTART) as server, Waiting(server.url, key) as client:
        found = client.wait_for_job(done, timeout=120)
        assert (found["id"], found["state"], len(server.requests)) == (done, "done", len(RESTART) + 1)


def test_a_wait_for_a_rollout_outlasts_a_restart_of_the_server(url: str, key: str, ended: str) -> None:
    with FaultServer(url, *RESTART) as server, Waiting(server.url, key) as client:
        assert client.wait_for_rollout(ended, timeout=120, poll=0.01)["rollout"]["state"] == "aborted"
        assert len(server.requests) == len(RESTART) + 1


def test_a_request_of_a_wait_has_a_bounded_time(
    url: str, key: str, done: int, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer(url) as server, Waiting(server.url, key) as client:
        client.wait_for_job(done)
        client.wait_for_rollout(ended)
        assert [int(request["x-request-timeout-ms"]) <= 30_000 for request in server.requests] == [True, True]
    monkeypatch.setattr(waiting, "_REQUEST_SECONDS", 5.0)
    with FaultServer(url, "silent") as server, Waiting(server.url, key) as client:
        assert client.wait_for_job(done, timeout=120)["state"] == "done"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(404, "NOT_FOUND"), NotFoundError),
        (refusal(403, "FORBIDDEN"), ForbiddenError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>", BadAnswerError),
    ],
)
def test_other_errors_end_a_wait_at_once(
    url: str, key: str, done: int, ended: str, answer: bytes, error: type[Exception]
) -> None:
    with FaultServer(url, answer, answer) as server, Waiting(server.url, key) as client:
        with pytest.raises(error):
            client.wait_for_job(done)
        with pytest.raises(error):
            client.wait_for_rollout(ended)
        assert len(server.requests) == 2


def test_a_wait_ends_at_its_deadline_with_the_last_failure(key: str) -> None:
    with Waiting("http://127.0.0.1:1", key) as client:
        for wait, details in (
            (lambda: client.wait_for_job(7, timeout=0.5), {"job": 7}),
            (lambda: client.wait_for_rollout("fraud", timeout=0.5, poll=0.1), {"model": "fraud"}),
            (lambda: client.wait_for_batch("scores/1", timeout=0.5), {"id": "scores/1"}),
        ):
            with pytest.raises(DeadlineExceededError, match=r"may still run after 0.5 s.*Connection refused") as caught:
                wait()
            assert caught.value.details == details


def test_a_wait_warns_when_the_server_is_silent_for_long(
    url: str, key: str, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_WARN_SILENT_AFTER", 0.0)
    with FaultServer(url, "cut", "cut") as server, Waiting(server.url, key) as client:
        with pytest.warns(UserWarning, match="The wait goes on, but the server does not answer") as warned:
            assert client.wait_for_job(done)["state"] == "done"
        assert [each.filename for each in warned] == [__file__]
