"""Runs examples/dagster on Dagster: a day, the same day again, a day without rows, and a day whose first try is ended.

python dagster_runs.py EXAMPLE
"""

import sys

import dagster as dg

sys.path.insert(0, sys.argv[1])
import scores  # noqa: E402
from scores_runs import Ended, busy_day, busy_rows, day, empty_day, folder_of, parts_of  # noqa: E402

instance = dg.DagsterInstance.ephemeral()


def run(partition):
    return dg.materialize([scores.scores], partition_key=partition, resources=scores.defs.resources, instance=instance)


def materialized(result):
    (event,) = result.asset_materializations_for_node("scores")
    return {name: value.value for name, value in event.metadata.items()}, event.tags["dagster/data_version"]


first = run(day)
metadata, version = materialized(first)
assert metadata["rows"] > 20 and metadata["refused"] == 0 and metadata["model"] == "fraud@1", metadata
assert metadata["path"].endswith(f"/scores/day={day}") and len(version) == 64, (metadata, version)
(check,) = first.get_asset_check_evaluations()
assert check.passed and check.check_name == "few_refused", check
written = parts_of(day)
assert written and (folder_of(day) / "_SUCCESS").exists()

assert materialized(run(day)) == (metadata, version) and parts_of(day) == written
print("A day is materialized once, with its metadata and its check.")

empty = run(empty_day)
assert empty.success and materialized(empty)[0]["rows"] == 0, empty.all_events
print("A day without rows is a materialization with 0 rows.")

ended = Ended(busy_day)
result = run(busy_day)
retried = [event for event in result.all_events if event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY]
assert result.success and len(retried) == 1, result.all_events
assert "143" in str(retried[0].event_specific_data), retried
assert materialized(result)[0]["rows"] >= busy_rows
ended.check()
print("A try that was ended is resumed by the next one.")
