"""Writes features to Feast's online store: `python prepare.py FOLDER REDIS VALUES PROJECT`.

FOLDER gets the feature repository. REDIS is Feast's connection string. VALUES is a JSON file: `customers`, and by view
its `types` and `columns`.
"""

import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource
from feast.types import Bool, Float32, Float64, Int32, Int64
from feast.value_type import ValueType

folder, redis, values, project = Path(sys.argv[1]), sys.argv[2], json.loads(Path(sys.argv[3]).read_text()), sys.argv[4]
types = {"bool": Bool, "float32": Float32, "float64": Float64, "int32": Int32, "int64": Int64}
(folder / "feature_store.yaml").write_text(
    f"""project: {project}
provider: local
registry: {folder}/registry.db
online_store:
  type: redis
  connection_string: {redis}
offline_store:
  type: file
entity_key_serialization_version: 3
"""
)
customer = Entity(name="customer", join_keys=["customer"], value_type=ValueType.INT64)
now = datetime.now(timezone.utc) - timedelta(minutes=1)
frames, views = {}, []
for name, view in values["views"].items():
    frame = pd.DataFrame({"customer": values["customers"], "event_timestamp": now, **view["columns"]})
    frames[name] = frame
    frame.to_parquet(folder / f"{name}.parquet")
    source = FileSource(name=f"{name}_rows", path=str(folder / f"{name}.parquet"), timestamp_field="event_timestamp")
    schema = [Field(name=feature, dtype=types[kind]) for feature, kind in view["types"].items()]
    views.append(FeatureView(name=name, entities=[customer], ttl=timedelta(days=365), schema=schema, source=source))
store = FeatureStore(repo_path=str(folder))
store.apply([customer, *views, FeatureService(name="whole", features=views)])
for name, frame in frames.items():
    store.write_to_online_store(feature_view_name=name, df=frame)
