"""Runs recorded training sets through Spark, and compares every value with the file that PostgreSQL made.

    python spark.py FOLDER COMMAND     # FOLDER/cases.jsonl names the files; COMMAND starts Lockstep
"""

import json
import os
import struct
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
engines = os.path.join(root, "serving", "engines")
sys.path.insert(0, engines)
os.environ |= {"PYSPARK_PYTHON": sys.executable, "PYTHONPATH": engines, "SPARK_LOCAL_IP": "127.0.0.1"}
import lockstep_spark  # noqa: E402

folder, command = sys.argv[1:]
settings = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    # many small queries, each run once: it would take longer to compile them than to run them
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
builder = SparkSession.builder.master("local[2]")
for name, value in settings.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
spark = lockstep_spark.session()


def exact(value):
    if isinstance(value, float):
        return "NaN" if value != value else struct.pack(">d", value)
    return [exact(each) for each in value] if isinstance(value, (list, tuple)) else value


def values(column):
    return exact((column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist())


def run(case):
    """How many values were compared, and the places of those that differ."""
    table = pq.read_table(case["spine"])
    numbered = case["spine"] + ".numbered.parquet"
    pq.write_table(table.append_column("_n", pa.array(np.arange(len(table)))), numbered)
    sources = {source["source"]: spark.read.parquet(source["path"]) for source in case["sources"]}
    made = lockstep_spark.compute(spark, case["plan"], sources, spark.read.parquet(numbered), case["time"], command)
    seen, expected = made.toArrow().sort_by("_n"), pq.read_table(case["expected"])
    compared, different = 0, []
    for name in expected.column_names:
        want, have = values(expected[name]), values(seen[name])
        compared += len(want)
        different += [f"{case['name']}: row {i} of {name}" for i in range(max(len(want), len(have))) if want[i : i + 1] != have[i : i + 1]]
    return compared, different


def views(plan):
    """The views of a plan."""
    with open(plan, "rb") as file:
        file.readline()
        return {(d["name"], d["version"]) for d in json.loads(file.readline())["definitions"] if d["kind"] == "view"}


cases = [json.loads(line) for line in open(os.path.join(folder, "cases.jsonl"))]
# while one waits for the process of a partition, Spark plans another
with ThreadPoolExecutor(2) as pool:
    results = list(pool.map(run, cases))
compared, different = sum(count for count, _ in results), [place for _, places in results for place in places]
defined = sum(len(views(plan)) for plan in {case["plan"] for case in cases})
print(f"{len(cases)} training sets of {defined} views: {compared} values, {len(different)} differ")
for place in different[:20]:
    print(place, file=sys.stderr)
sys.exit(1 if different or not cases else 0)
