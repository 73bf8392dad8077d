"""The server that test/clients/python.test.ts has started, or another of the same world."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep_client import Client


@pytest.fixture(scope="session")
def url() -> str:
    return os.environ["LOCKSTEP_TEST_SERVER"]


@pytest.fixture(scope="session")
def key() -> str:
    return os.environ["LOCKSTEP_TEST_KEY"]


@pytest.fixture(scope="session")
def client(url: str, key: str) -> Iterator[Client]:
    with Client(url, key, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def candidate(client: Client) -> Iterator[int]:
    """Another version of the model "fraud", whose champion is version 1 before and after."""
    file = (Path(os.environ["LOCKSTEP_TEST_FOLDER"]) / "fraud.onnx").read_bytes()
    client.promote("fraud", 1)
    # the same model with a doc_string: another file
    pushed: int = client.push_model("fraud", file + b"\x32\x09candidate")["version"]
    assert pushed > 1
    yield pushed
    client.promote("fraud", 1)
