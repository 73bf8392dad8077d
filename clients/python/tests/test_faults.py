"""Broken connections, refusals and slow answers. The faults are injected before a real server."""

from __future__ import annotations

import multiprocessing
import os
import ssl
import time
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faults import FaultServer, refusal

import lockstep_client
from lockstep_client import (
    BadAnswerError,
    DeadlineExceededError,
    ForbiddenError,
    InvalidRequestError,
    NetworkError,
    UnavailableError,
)

# ample, for a machine that is busy
Client = partial(lockstep_client.Client, timeout=60)
ENTITY = {"card": "c1", "amount": 10}
GONE = {"account": 1, "at": "2026-03-01T00:00:00Z", "balance": 5, "seen": None, "share": None, "rate": None}
EVENT = {**GONE, "open": None, "city": None, "small": None, "place": None}


def read(client: lockstep_client.Client, **options: Any) -> Any:
    return client.features("fraud_features", [ENTITY], **options)


PROXY = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 6\r\n\r\n<html>"
"""What a proxy answers while its server is down."""


@pytest.mark.parametrize(
    "fault",
    ["cut", "half", "lost", refusal(503, "NOT_READY", "retry-after: 0"), refusal(429, "RATE_LIMITED"), PROXY],
)
def test_a_temporary_failure_is_tried_again(url: str, key: str, fault: Any) -> None:
    with FaultServer(url, fault, fault) as server, Client(server.url, key) as client:
        assert read(client)[0]["ofDay"] == 1.0
        assert len(server.requests) == 3
        left = [int(request["x-request-timeout-ms"]) for request in server.requests]
        assert 60_000 >= left[0] >= left[1] >= left[2] > 0
        assert {request["authorization"] for request in server.requests} == {f"Bearer {key}"}


def test_a_failure_that_lasts_is_raised_after_the_last_attempt(url: str, key: str) -> None:
    with FaultServer(url, *[refusal(503, "NOT_READY")] * 9) as server, Client(server.url, key, retries=1) as client:
        with pytest.raises(UnavailableError) as caught:
            read(client)
        error = caught.value
        assert (error.code, error.status, error.request_id, error.attempts) == ("NOT_READY", 503, "r1", 2)
        assert error.details == {"a": 1}


def test_the_answer_of_an_attempt_in_progress_is_waited_for(url: str, key: str) -> None:
    busy = refusal(409, "IDEMPOTENCY_KEY_BUSY", "retry-after: 0")
    with FaultServer(url, "cut", *[busy] * 4) as server, Client(server.url, key, retries=1) as client:
        assert read(client)[0]["ofDay"] == 1.0
        assert len(server.requests) == 6


@pytest.mark.parametrize("after", ["70", formatdate(time.time() + 3600, usegmt=True)])
def test_a_retry_that_would_come_too_late_is_not_waited_for(url: str, key: str, after: str) -> None:
    fault = refusal(503, "OVERLOADED", f"retry-after: {after}")
    with FaultServer(url, fault) as server, Client(server.url, key) as client:
        with pytest.raises(UnavailableError):
            read(client)
        assert len(server.requests) == 1


def test_the_time_that_the_server_asks_for_is_waited(url: str, key: str) -> None:
    fault = refusal(429, "RATE_LIMITED", "retry-after: 1")
    with FaultServer(url, fault) as server, Client(server.url, key) as client:
        begun = time.monotonic()
        read(client)
        assert time.monotonic() - begun >= 1


def test_a_lasting_refusal_is_not_tried_again(url: str, key: str) -> None:
    with FaultServer(url, refusal(403, "FORBIDDEN")) as server, Client(server.url, key) as client:
        with pytest.raises(ForbiddenError):
            read(client)
        assert len(server.requests) == 1


@pytest.mark.parametrize("fault", ["silent", "trickle"])
def test_the_timeout_ends_a_call_however_slow_the_answer_is(url: str, key: str, fault: str) -> None:
    with FaultServer(url, fault) as server, Client(server.url, key) as client:
        with pytest.raises(DeadlineExceededError) as caught:
            read(client, timeout=0.4)
        assert (caught.value.code, caught.value.attempts) == ("DEADLINE_EXCEEDED", 1)
        # the next call does not get the rest of that answer
        assert read(client)[0]["ofDay"] == 1.0
        assert server.connections == 2


def test_an_answer_of_another_program_is_reported(url: str, key: str) -> None:
    html = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>"
    json = b'HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{"ok":true}'
    faults = (html, json, b"nonsense\r\n\r\n")
    with FaultServer(url, *faults) as server, Client(server.url, key, retries=0) as client:
        for _ in (html, json):
            with pytest.raises(BadAnswerError, match="check the URL") as caught:
                read(client)
            assert (caught.value.code, caught.value.status) == ("BAD_ANSWER", 200)
        with pytest.raises(NetworkError):
            read(client)


def test_a_server_that_is_down_is_reported(key: str) -> None:
    with pytest.raises(
        NetworkError, match='server at "http://127.0.0.1:1" cannot be reached: Connection refused'.replace(".", "[.]")
    ) as caught:
        read(Client("http://127.0.0.1:1", key, retries=1))
    assert (caught.value.status, caught.value.attempts) == (None, 2)


def test_a_server_with_tls_is_trusted_by_its_certificate(url: str, key: str) -> None:
    certificate = Path(__file__).parents[3] / "test/runtime/tls/first.crt"
    with FaultServer(url, certificate=certificate) as server:
        trusting = ssl.create_default_context(cafile=str(certificate))
        assert read(Client(server.url, key, ssl_context=trusting))[0]["ofDay"] == 1.0
        with pytest.raises(NetworkError, match="certificate is not trusted"):
            read(Client(server.url, key, retries=0))


def test_a_server_without_tls_is_reported(url: str, key: str) -> None:
    with pytest.raises(NetworkError, match="if it has no TLS, use http://"):
        read(Client(url.replace("http:", "https:"), key, retries=0))


def test_a_connection_is_kept_and_replaced_when_the_server_closed_it(url: str, key: str) -> None:
    with FaultServer(url, "close") as server, Client(server.url, key, retries=0) as client:
        for _ in range(4):
            read(client)
        assert server.connections == 2


def test_a_push_counts_once_when_its_answer_is_lost(url: str, key: str) -> None:
    events = [{**EVENT, "branch": f"lost-{os.getpid()}"} for _ in range(3)]
    with FaultServer(url, "lost") as server, Client(server.url, key) as client:
        pushed = client.push("balances", events)
        assert (pushed.accepted, pushed.duplicates) == (0, 3)
        assert server.bodies[0] == server.bodies[1]
    with FaultServer(url, "lost") as server, Client(server.url, key) as client:
        name = f"key-{os.getpid()}"
        assert client.push("balances", events, idempotency_key=name).accepted == 3
        assert {request["idempotency-key"] for request in server.requests} == {name}


def test_rows_beyond_the_body_limit_of_a_server_are_sent_in_halves(url: str, key: str) -> None:
    limit = refusal(413, "BODY_TOO_LARGE")
    rows = [{"card": f"c{n}", "amount": n} for n in range(1, 6)]
    with FaultServer(url, limit, limit) as server, Client(server.url, key) as client:
        answer = client.features("fraud_features", rows)
        assert len(answer) == 5
        sent = [[row["card"] for row in body["entities"]] for body in server.bodies]
        assert sent == [["c1", "c2", "c3", "c4", "c5"], ["c1", "c2"], ["c1"], ["c2"], ["c3", "c4", "c5"]]
        assert {(body["service"], body.get("asOf") is None) for body in server.bodies[3:]} == {
            ("fraud_features@1", False)
        }
        assert len(answer.request_ids) == 3
    with FaultServer(url, limit) as server, Client(server.url, key) as client, pytest.raises(InvalidRequestError):
        read(client)


def _ask(client: lockstep_client.Client, results: Any) -> None:
    results.put(read(client)[0]["ofDay"])


def test_a_forked_process_does_not_use_its_parents_connections(url: str, key: str) -> None:
    with FaultServer(url) as server, Client(server.url, key) as client:
        read(client)
        context = multiprocessing.get_context("fork")
        results = context.Queue()
        child = context.Process(target=_ask, args=(client, results))
        child.start()
        assert results.get(timeout=60) == 1.0
        child.join()
        read(client)
        assert server.connections == 2
