"""Computes the features of a Lockstep plan on Spark: Spark sorts and joins, `lockstep partition` computes.

    spark-submit lockstep_spark.py --plan plan.lockstep --source payments=s3://lake/payments/ --spine s3://lake/labels/
        --time paid_at --out s3://lake/train/

See docs/engines.md for clusters.
"""

import argparse
import json
import os
import shlex
import subprocess
import tempfile
import threading

import pyarrow as pa
from pyspark import SparkFiles, StorageLevel
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

TYPES = {
    "bool": ("boolean", pa.bool_(), {"boolean"}),
    "int32": ("int", pa.int32(), {"byte", "short", "integer", "long"}),
    "int64": ("bigint", pa.int64(), {"byte", "short", "integer", "long"}),
    "float32": ("float", pa.float32(), {"float", "double", "decimal", "byte", "short", "integer", "long"}),
    "float64": ("double", pa.float64(), {"float", "double", "decimal", "byte", "short", "integer", "long"}),
    "string": ("string", pa.string(), {"string"}),
    # times are whole microseconds until the end, so that no time zone has a part in them
    "timestamp": ("bigint", pa.int64(), {"timestamp", "timestamp_ntz", "date"}),
}


def spark_type(t):
    if t["kind"] == "vector":
        return "array<float>"
    if t["kind"] == "list":
        return f"array<{TYPES[t['of']['kind']][0]}>"
    return "map<string,bigint>" if t["kind"] == "counts" else TYPES[t["kind"]][0]


def arrow_type(t):
    if t["kind"] == "vector":
        return pa.list_(pa.float32())
    if t["kind"] == "list":
        return pa.list_(TYPES[t["of"]["kind"]][1])
    return pa.map_(pa.string(), pa.int64()) if t["kind"] == "counts" else TYPES[t["kind"]][1]


def ddl(columns):
    return ", ".join(f"`{c['name']}` {spark_type(c['type'])}" for c in columns)


def column(frame, name, t, what):
    """A column in the type that the plan names. Text is never taken for a number, and no number loses its fraction."""
    if name not in frame.columns:
        raise SystemExit(f'{what} has no column "{name}"; it has {", ".join(frame.columns)}.')
    found = frame.schema[name].dataType
    fits = found.typeName() == "array" if t["kind"] == "vector" else found.typeName() in TYPES[t["kind"]][2]
    if not fits:
        raise SystemExit(f'{what} has {found.simpleString()} in "{name}", but {t["kind"]} is needed. Convert the column.')
    quoted = F.col(f"`{name}`")
    return F.unix_micros(quoted.cast("timestamp")) if t["kind"] == "timestamp" else quoted.cast(spark_type(t))


def pipe(command, plan, options, columns):
    """A function for mapInArrow: all batches of a partition go through one process."""
    schema = pa.schema([pa.field(c["name"], arrow_type(c["type"])) for c in columns])

    def run(batches):
        first = next(iter(batches), None)
        if first is None:
            return
        path = plan if os.path.exists(plan) else SparkFiles.get(os.path.basename(plan))
        errors = tempfile.TemporaryFile()
        words = [*shlex.split(command), "partition", "--plan", path, *options]
        child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        failures = []

        def feed():
            try:
                with child.stdin, pa.ipc.new_stream(child.stdin, first.schema) as writer:
                    writer.write_batch(first)
                    for batch in batches:
                        writer.write_batch(batch)
            except BrokenPipeError:
                pass  # the process has ended, and says why
            except BaseException as error:  # raised below, once the process has ended
                failures.append(error)

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        try:
            try:
                for batch in pa.ipc.open_stream(child.stdout):
                    yield from pa.Table.from_batches([batch]).cast(schema).to_batches()
            except pa.ArrowInvalid as error:
                failures.append(error)
                child.stdout.close()  # so that the process does not wait for its reader
            code = child.wait()
            feeder.join()
            if code != 0:
                errors.seek(0)
                raise RuntimeError(f"{' '.join(words)} ended with {code}: {errors.read().decode(errors='replace')[-4000:]}") from next(iter(failures), None)
            if failures:
                raise failures[0]
        finally:
            child.kill()
            child.wait()

    return run


def source_rows(frame, stream, n, layout):
    what = f'The source "{stream["source"]}"'
    time = {"kind": "timestamp"}
    event = column(frame, stream["eventTime"], time, what)
    known = F.lit(None).cast("bigint") if stream["known"] is None else column(frame, stream["known"], time, what)
    keys = [column(frame, name, part["type"], what) for name, part in zip(stream["key"], layout["key"])]
    counts = F.greatest(event, known) if stream["known"] is not None and layout["knowledge"] != "latest" else event
    row = F.col("_row").cast("bigint") if "_row" in frame.columns else F.lit(None).cast("bigint")
    made = {f"k{i}": key for i, key in enumerate(keys)}
    made |= {"t": F.coalesce(counts, F.lit(0)), "tag": F.lit(0), "n": F.lit(n), "e": event, "known": known, "row": row}
    made |= {f"s{n}_{i}": column(frame, c["name"], c["type"], what) for i, c in enumerate(stream["columns"])}
    if "_online_only" in frame.columns:
        frame = frame.where(~F.coalesce(F.col("_online_only"), F.lit(False)))
    for name in stream["key"]:
        frame = frame.where(F.col(f"`{name}`").isNotNull())
    return frame.select(*filled(made, layout["input"]))


def filled(made, columns):
    return [made.get(c["name"], F.lit(None)).cast(spark_type(c["type"])).alias(c["name"]) for c in columns]


def pass_rows(sources, spine, time, layout):
    """The rows of sources and the questions, in the order of key, time and tag."""
    frames = [source_rows(sources[s["source"]], s, n, layout) for n, s in enumerate(layout["streams"])]
    for n, mapping in enumerate(layout["mappings"]):
        keys = {f"k{i}": column(spine, c, layout["key"][i]["type"], "The spine") for i, c in enumerate(mapping["columns"])}
        asked = keys | {"t": time, "tag": F.lit(1), "n": F.lit(n), "o": F.col("_o")}
        frames.append(spine.select(*filled(asked, layout["input"])))
    rows = frames[0]
    for frame in frames[1:]:
        rows = rows.unionAll(frame)
    keys = [f"k{i}" for i in range(len(layout["key"]))]
    parted = rows.repartition(*keys) if keys else rows.repartition(1)
    return parted.sortWithinPartitions(*keys, "t", "tag")


def compute(spark, plan, sources, spine, time, command):
    """The rows of the spine with the features of the plan, and with the predictions of its model."""
    with open(plan, "rb") as file:
        file.readline()
        body = json.loads(file.readline())
    layout, finish = body["layout"], body["layout"]["finish"]
    spine = spine.withColumn("_o", F.monotonically_increasing_id()).persist(StorageLevel.DISK_ONLY)
    moment = column(spine, time, {"kind": "timestamp"}, "The spine")
    request = {f"r{i}": column(spine, c["name"], c["type"], "The spine") for i, c in enumerate(layout["request"])}
    wanted = [c for c in finish["input"] if not c["name"].startswith("a")]
    joined = spine.select(*filled({"o": F.col("_o"), "t": moment} | request, wanted))
    for number, each in enumerate(layout["passes"]):
        each = each | {"knowledge": body["rule"]["rule"]["knowledge"]}
        rows = pass_rows(sources, spine, moment, each)
        answers = rows.mapInArrow(pipe(command, plan, ["--pass", str(number)], each["output"]), ddl(each["output"]))
        for n, mapping in enumerate(each["mappings"]):
            names = [c["name"] for c in each["output"] if c["name"].split("_")[0] in {f"a{use}" for use in mapping["uses"]}]
            joined = joined.join(answers.where(F.col("n") == n).select("o", *names), "o", "left")
    joined = joined.select(*[c["name"] for c in finish["input"]])
    made = joined.mapInArrow(pipe(command, plan, ["--finish"], finish["output"]), ddl(finish["output"]))
    times = {c["name"] for c in finish["output"] if c["type"]["kind"] == "timestamp"} - {"o"}
    made = made.select(*[F.timestamp_micros(f"`{c}`").alias(c) if c in times else F.col(f"`{c}`") for c in made.columns])
    return spine.join(made, spine["_o"] == made["o"]).drop("_o", "o")


def session():
    settings = {"spark.sql.session.timeZone": "UTC", "spark.sql.parquet.inferTimestampNTZ.enabled": "false", "spark.sql.ansi.enabled": "true", "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS"}
    spark = SparkSession.builder.appName("lockstep").getOrCreate()
    for name, value in settings.items():
        spark.conf.set(name, value)
    return spark


def main():
    parser = argparse.ArgumentParser(description="Computes the features of a Lockstep plan.")
    parser.add_argument("--plan", required=True)
    parser.add_argument("--source", action="append", default=[], metavar="NAME=PATH", help="a source and its Parquet files")
    parser.add_argument("--spine", required=True)
    parser.add_argument("--time", required=True, help="the column of the spine with the time of each row")
    parser.add_argument("--out", required=True)
    parser.add_argument("--lockstep", default="lockstep", help="how executors start Lockstep")
    given = parser.parse_args()
    spark = session()
    sources = {name: spark.read.parquet(path) for name, _, path in (text.partition("=") for text in given.source)}
    compute(spark, given.plan, sources, spark.read.parquet(given.spine), given.time, given.lockstep).write.parquet(given.out)


if __name__ == "__main__":
    main()
