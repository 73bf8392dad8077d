"""Runs examples/airflow on Airflow: a day, the same day again, a day without rows, and a day whose first try is ended.

python airflow_runs.py
"""

from datetime import datetime, timedelta, timezone

from airflow.dag_processing.dagbag import DagBag
from airflow.models.xcom import XComModel
from airflow.settings import Session

from scores_runs import Ended, busy_day, busy_rows, day, empty_day, folder_of, parts_of

bag = DagBag()
assert not bag.import_errors, bag.import_errors
dag = bag.dags["scores_daily"]


def run(day):
    """The tasks of the interval that is this day, by name."""
    begin = datetime.fromisoformat(day).replace(tzinfo=timezone.utc)
    end = begin + timedelta(days=1)
    # Airflow takes the newest interval that has ended at this moment
    made = dag.test(logical_date=end)
    assert (made.data_interval_start, made.data_interval_end) == (begin, end), made
    return made.state, {each.task_id: each for each in made.get_task_instances()}


def result(task):
    return XComModel.deserialize_value(Session().scalars(XComModel.get_many(run_id=task.run_id, task_ids=task.task_id, key="return_value")).first())


state, tasks = run(day)
assert state == "success" and tasks["publish"].state == "success", (state, tasks)
batch = result(tasks["predict"])
assert batch["id"] == f"scores/{day}" and batch["result"]["rows"] > 20 and batch["joined"] is False, batch
assert result(tasks["publish"]) == batch["out"]
written = parts_of(day)
assert written and (folder_of(day) / "_SUCCESS").exists()

state, tasks = run(day)
assert state == "success" and result(tasks["predict"]) == {**batch, "joined": True} and parts_of(day) == written, result(tasks["predict"])
print("A day is predicted once, and a rerun has the same result.")

state, tasks = run(empty_day)
assert (tasks["predict"].state, tasks["publish"].state) == ("skipped", "skipped"), (state, tasks)
print("A day without rows is skipped.")

ended = Ended(busy_day)
state, tasks = run(busy_day)
assert state == "success" and tasks["predict"].try_number == 2, (state, tasks)
batch = result(tasks["predict"])
assert batch["joined"] is True and batch["result"]["rows"] >= busy_rows, batch
ended.check()
print("A try that was ended is resumed by the next one.")
