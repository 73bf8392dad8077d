"""Calls of a program with strict types. mypy checks that it takes them, and that it refuses those to be ignored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from lockstep_client import Client, LockstepError, Predictions


class PolarsLike:
    def iter_rows(self, *, named: Literal[True]) -> Iterator[dict[str, Any]]:
        assert named
        yield {"card": "c1"}


class ArrowLike:
    column_names = ["card"]  # noqa: RUF012

    def to_pylist(self) -> list[dict[str, Any]]:
        return [{"card": "c1"}]


def taken(client: Client, cards: list[dict[str, str]]) -> list[str]:
    client.features("s", cards)
    client.push("s", PolarsLike())
    client.ingest("s", ArrowLike())
    client.ingest("s", "rows.csv")
    answered: Predictions = client.predict("m", [{"card": "c1", "amount": 1.0}], version="challenger")
    try:
        return [str(row["probability"]) for row in answered]
    except LockstepError as error:
        return [error.code]


def refused(client: Client) -> None:
    client.features("s", {"card": "c1"})  # type: ignore[arg-type]
    client.features("s", "c1")  # type: ignore[arg-type]
    client.push("s", [1])  # type: ignore[list-item]
    client.ingest("s", [{"card": "c1"}])  # type: ignore[arg-type]
    client.predict("m", [{"card": "c1"}], version=1.5)  # type: ignore[arg-type]
