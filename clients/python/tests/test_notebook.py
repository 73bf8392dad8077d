from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[3] / "examples/notebook.ipynb"


def test_the_notebook_runs_and_is_committed_with_its_outputs(
    url: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_SERVER", url)
    monkeypatch.setenv("LOCKSTEP_API_KEY", key)
    shutil.copy(Path(os.environ["LOCKSTEP_TEST_FOLDER"]) / "labels.csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    names: dict[str, object] = {}
    for cell in cells:
        # one of them compares what is served and what was trained
        exec("".join(cell["source"]), names)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
