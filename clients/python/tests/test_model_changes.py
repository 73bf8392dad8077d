from __future__ import annotations

import pytest
from faults import FaultServer

from lockstep_client import Client, ConflictError, DeadlineExceededError, InvalidRequestError, NotFoundError


def test_a_version_is_promoted_and_rolled_back(client: Client, candidate: int) -> None:
    change = client.promote("fraud", candidate, reason="a test")
    assert (change["from"], change["to"], change["inForce"]) == (1, candidate, True)
    assert client.rollback("fraud", reason="a test")["to"] == 1


def test_a_model_is_pinned_and_unpinned(client: Client, candidate: int) -> None:
    assert client.pin("fraud", candidate, reason="a test")["serves"] == candidate
    assert client.describe("model", "fraud")["pinned"] == candidate
    assert client.unpin("fraud", reason="a test / with a slash")["serves"] == 1
    assert client.describe("model", "fraud")["pinned"] is None


def test_an_alias_is_set_and_removed(client: Client, candidate: int) -> None:
    assert client.set_alias("fraud", "challenger", candidate)["to"] == candidate
    assert client.describe("model", "fraud", "challenger")["version"] == candidate
    client.remove_alias("fraud", "challenger")
    with pytest.raises(NotFoundError):
        client.remove_alias("fraud", "challenger")


def test_a_removal_whose_answer_is_lost_succeeds(client: Client, candidate: int, url: str, key: str) -> None:
    client.set_alias("fraud", "challenger", candidate)
    client.pin("fraud", candidate)
    with FaultServer(url, "lost", "none", "lost") as server, Client(server.url, key, timeout=60) as broken:
        assert broken.remove_alias("fraud", "challenger", reason="a test")["from"] == candidate
        assert broken.unpin("fraud")["serves"] == 1
        names = [request["idempotency-key"] for request in server.requests]
        assert (names[0], names[2]) == (names[1], names[3])
        with pytest.raises(NotFoundError):
            broken.remove_alias("fraud", "challenger")
        with pytest.raises(ConflictError, match="not pinned"):
            broken.unpin("fraud")


def test_a_rollout_by_hand_is_begun_moved_and_aborted(client: Client, candidate: int) -> None:
    started = client.start_rollout("fraud", candidate, share=0.05, unit="card", reason="a test")
    assert (started["rollout"]["version"], started["rollout"]["share"], started["inForce"]) == (candidate, 0.05, True)
    assert client.set_rollout_share("fraud", 1.0)["rollout"]["share"] == 1.0
    assert client.predict("fraud", [{"card": "c1", "amount": 20}]).roles == ["canary"]
    with pytest.raises(DeadlineExceededError, match='The rollout of "fraud" still runs'):
        client.wait_for_rollout("fraud", timeout=60, poll=120)
    client.abort_rollout("fraud", reason="worse")
    ended = client.wait_for_rollout("fraud")
    assert ended["rollout"]["state"] == "aborted"
    assert ended["decisions"][0]["reasons"] == ["worse"]
    assert client.predict("fraud", [{"card": "c1", "amount": 20}]).roles == ["champion"]


def test_a_rollout_with_a_plan_is_paused_resumed_and_promoted(client: Client, candidate: int) -> None:
    client.start_rollout("fraud", candidate, plan="default")
    assert client.pause_rollout("fraud")["rollout"]["paused"] is True
    assert client.resume_rollout("fraud")["rollout"]["paused"] is False
    assert client.promote_rollout("fraud")["rollout"]["state"] == "promoted"
    assert client.rollout("fraud")["serves"] == candidate
    client.promote("fraud", 1)
    plan = {"steps": [{"share": 0.5, "atLeast": "1h", "samples": 10}], "gates": []}
    assert client.start_rollout("fraud", candidate, plan=plan)["rollout"]["plan"]["steps"][0]["share"] == 0.5
    client.abort_rollout("fraud")


def test_a_rollout_needs_either_a_share_or_a_plan(client: Client, candidate: int) -> None:
    for asked in ({}, {"share": 0.1, "plan": "default"}):
        with pytest.raises(InvalidRequestError, match="either a share or a plan"):
            client.start_rollout("fraud", candidate, **asked)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError, match="no running rollout"):
        client.abort_rollout("fraud")
    with pytest.raises(NotFoundError, match="has had no rollout"):
        client.wait_for_rollout("solvency")


def test_a_shadow_is_started_shown_and_stopped(client: Client, candidate: int) -> None:
    started = client.start_shadow("fraud", candidate, share=0.5, tolerance=0.1, reason="a test")
    assert (started["shadow"]["version"], started["shadow"]["share"]) == (candidate, 0.5)
    assert client.shadow("fraud")["shadow"]["version"] == candidate
    client.stop_shadow("fraud")
    assert client.describe("model", "fraud")["shadow"] is None
