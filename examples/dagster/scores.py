"""Predicts the payments of each day: one partition of the asset `scores` for each day.

Dagster needs the command `lockstep` in its PATH, and these variables of the environment:

    SCORES_PROJECT          the folder of the project, with its .env
    SCORES                  where the scores go, such as s3://ml-data/scores
    SCORES_RETRY_SECONDS    the first wait before another try; default: 30
"""

import os

import dagster as dg

few_refused = dg.AssetCheckSpec("few_refused", asset="scores", description="At most 1 % of the rows have no prediction.")


@dg.asset(
    partitions_def=dg.DailyPartitionsDefinition(start_date="2026-02-01"),
    check_specs=[few_refused],
    retry_policy=dg.RetryPolicy(max_retries=3, delay=float(os.environ.get("SCORES_RETRY_SECONDS", "30")), backoff=dg.Backoff.EXPONENTIAL),
)
def scores(context: dg.AssetExecutionContext, lockstep: dg.PipesSubprocessClient):
    begin, end = context.partition_time_window.start.isoformat(), context.partition_time_window.end.isoformat()
    day = context.partition_key
    # the id makes every try of a day the same batch
    command = ["lockstep", "batch", "run", "fraud", "--json", "--id", f"scores/{day}", "--known-before", end]
    command += ["--out", f"{os.environ['SCORES']}/day={day}"]
    command += ["--spine", f"select card, paid_at, amount from lockstep_source.payments where paid_at >= '{begin}' and paid_at < '{end}'"]
    # Lockstep reports the materialization: path, rows, refused rows, bytes, and a version of the data
    made = lockstep.run(command=command, context=context).get_materialize_result()
    rows, refused = made.metadata["rows"].value, made.metadata["refused"].value
    yield made
    yield dg.AssetCheckResult(check_name="few_refused", passed=refused <= rows / 100, metadata={"refused": refused})


defs = dg.Definitions(
    assets=[scores],
    resources={"lockstep": dg.PipesSubprocessClient(cwd=os.environ.get("SCORES_PROJECT"))},
)
