from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import lockstep_client

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("page", ["docs/python.md", "clients/python/README.md"])
def test_the_python_of_a_page_runs_as_it_stands(page: str, url: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = "http://localhost:8080"

    class HereClient(lockstep_client.Client):
        def __init__(self, at: str, api_key: str = key, **options: Any) -> None:
            super().__init__(at.replace(shown, url), api_key, **options)

    monkeypatch.setattr(lockstep_client, "Client", HereClient)
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    exec("\n".join(blocks), {})
