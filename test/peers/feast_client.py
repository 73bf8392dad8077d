"""Reads and writes through the unmodified Feast client: `python feast_client.py URL FOLDER`."""

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import requests
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource
from feast.errors import FeatureViewNotFoundException
from feast.infra.online_stores.remote import get_remote_online_features
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

url, folder = sys.argv[1], Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
(folder / "feature_store.yaml").write_text(
    f"""project: peers
provider: local
registry: {folder}/registry.db
online_store:
  type: remote
  path: {url}
offline_store:
  type: file
entity_key_serialization_version: 3
"""
)
now = datetime.now(timezone.utc).replace(microsecond=0)
rows = pd.DataFrame(
    {
        "driver_id": [1001, 1002, 1003],
        "event_timestamp": [now - timedelta(minutes=m) for m in (3, 2, 1)],
        "conv_rate": [0.5, 0.25, None],
        "avg_daily_trips": [7, 9007199254740993, 0],
        "city": ["Zürich", "Bern", "Chur"],
    }
)
rows.to_parquet(folder / "stats.parquet")

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
stats = FeatureView(
    name="driver_stats",
    entities=[driver],
    ttl=timedelta(days=1),
    schema=[Field(name="conv_rate", dtype=Float64), Field(name="avg_daily_trips", dtype=Int64), Field(name="city", dtype=String)],
    source=PushSource(
        name="driver_stats_push",
        batch_source=FileSource(name="stats", path=str(folder / "stats.parquet"), timestamp_field="event_timestamp"),
    ),
)
service = FeatureService(name="driver_profile", features=[stats])
store = FeatureStore(repo_path=str(folder))
store.apply([driver, stats, service])

checks = 0


def check(what, found, expected):
    global checks
    checks += 1
    assert found == expected, f"{what}: {found!r}, and {expected!r} was expected"


# rows go in by the HTTP that the client's push source uses
df = {
    "driver_id": [1001, 1002, 1003],
    "event_timestamp": [t.isoformat() for t in rows["event_timestamp"]],
    "conv_rate": [0.5, 0.25, None],
    "avg_daily_trips": [7, 9007199254740993, 0],
    "city": ["Zürich", "Bern", "Chur"],
}
pushed = requests.post(f"{url}/push", json={"push_source_name": "driver_hourly_stats", "df": df, "to": "online_and_offline"}, timeout=30)
check("push", (pushed.status_code, pushed.json()), (200, None))
check("health", requests.get(f"{url}/health", timeout=30).status_code, 200)
done = requests.post(f"{url}/materialize-incremental", json={"end_ts": now.isoformat(), "feature_views": ["driver_stats"]}, timeout=60)
check("materialize", (done.status_code, done.json()), (200, None))

features = ["driver_stats:conv_rate", "driver_stats:avg_daily_trips", "driver_stats:city"]
entities = [{"driver_id": id} for id in (1001, 1002, 1003, 9999)]
answer = store.get_online_features(features=features, entity_rows=entities).to_dict()
check("keys", answer["driver_id"], [1001, 1002, 1003, 9999])
check("doubles", answer["conv_rate"], [0.5, 0.25, None, None])
check("integers", answer["avg_daily_trips"], [7, 9007199254740993, 0, None])
check("texts", answer["city"], ["Zürich", "Bern", "Chur", None])

full = store.get_online_features(features=features, entity_rows=entities[:1], full_feature_names=True).to_dict()
check("full names", full["driver_stats__conv_rate"], [0.5])
ofService = store.get_online_features(features=store.get_feature_service("driver_profile"), entity_rows=entities[:2]).to_dict()
check("service", ofService["city"], ["Zürich", "Bern"])

# rows go in by the client's own calls
def newer(**columns):
    return pd.DataFrame({"event_timestamp": [now], **columns})


def stats_of(driver_id):
    answer = store.get_online_features(features=features, entity_rows=[{"driver_id": driver_id}]).to_dict()
    return [answer[name][0] for name in ("conv_rate", "avg_daily_trips", "city")]


store.push("driver_stats_push", newer(driver_id=[2001], conv_rate=[0.75], avg_daily_trips=[2**62 + 1], city=["Genève"]))
check("pushed by the client", stats_of(2001), [0.75, 2**62 + 1, "Genève"])
store.write_to_online_store("driver_stats", newer(driver_id=[2001], conv_rate=[None], avg_daily_trips=[1], city=["Basel"]))
check("written by the client", stats_of(2001), [None, 1, "Basel"])

# and the client's calls for materialization are the server's
for driver_id, materialize in (
    (2002, lambda: store.materialize_incremental(now, feature_views=["driver_stats"])),
    (2003, lambda: store.materialize(now - timedelta(days=1), now + timedelta(days=1), feature_views=["driver_stats"])),
):
    df = {"driver_id": [driver_id], "event_timestamp": [now.isoformat()], "conv_rate": [0.125], "avg_daily_trips": [3], "city": ["Sion"]}
    pushed = requests.post(f"{url}/push", json={"push_source_name": "driver_hourly_stats", "df": df, "to": "offline"}, timeout=30)
    check("push for history", pushed.status_code, 200)
    materialize()
    check("materialized by the client", stats_of(driver_id), [0.125, 3, "Sion"])

# the client's own way to the server, for what its feature views do not know: a feature service with request data, and
# errors
body = {"feature_service": "driver_activity", "entities": {"driver_id": ["1001"], "fare": [10]}}
answer = get_remote_online_features(config=store.config, req_body=body).json()
names = answer["metadata"]["feature_names"]
check("on demand", answer["results"][names.index("expected")]["values"], [5])
check("echo", answer["results"][names.index("driver_id")]["values"], ["1001"])
try:
    get_remote_online_features(config=store.config, req_body={"features": ["nothing:x"], "entities": {"driver_id": [1]}})
    raise AssertionError("an unknown view was answered")
except FeatureViewNotFoundException as error:
    check("error", '"nothing"' in str(error), True)

print(f"{checks} checks with the Feast client passed")
