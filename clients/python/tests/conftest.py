"""The server that test/clients/python.test.ts has started, or another of the same world."""

from __future__ import annotations

import os
from collections.abc import Iterator

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
