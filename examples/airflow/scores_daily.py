"""Predicts the payments of each day, once a day.

Airflow needs the command `lockstep` in its PATH, and these variables of the environment:

    SCORES_PROJECT          the folder of the project, with its .env
    SCORES                  where the scores go, such as s3://ml-data/scores
    SCORES_RETRY_SECONDS    the first wait before another try; default: 30
"""

import json
import os
from datetime import timedelta

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, task

with DAG(
    "scores_daily",
    # schedule="@daily" would give intervals of length zero
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=pendulum.datetime(2026, 2, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 3,
        "retry_delay": timedelta(seconds=float(os.environ.get("SCORES_RETRY_SECONDS", "30"))),
        "retry_exponential_backoff": True,
    },
):
    predict = BashOperator(
        task_id="predict",
        cwd=os.environ["SCORES_PROJECT"],
        append_env=True,
        # a day without payments
        skip_on_exit_code=99,
        # the last line of the output becomes the result of the task
        output_processor=json.loads,
        env={
            "DAY": "{{ data_interval_start | ds }}",
            "FROM": "{{ data_interval_start | ts }}",
            "TO": "{{ data_interval_end | ts }}",
        },
        # "exec" lets SIGTERM reach Lockstep. The id makes every try of a day the same batch
        bash_command="""exec lockstep batch run fraud --json --if-empty 99 --id "scores/$DAY" \
          --known-before "$TO" --max-refused 1% --out "$SCORES/day=$DAY" \
          --spine "select card, paid_at, amount from lockstep_source.payments where paid_at >= '$FROM' and paid_at < '$TO'" """,
    )

    @task
    def publish(batch: dict) -> str:
        """Stands for what uses the scores: a load into a warehouse, a message to others."""
        print(f"{batch['result']['rows']} rows by {batch['model']}@{batch['version']} are in {batch['out']}")
        return batch["out"]

    publish(predict.output)
