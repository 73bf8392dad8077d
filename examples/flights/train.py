"""Trains delay.onnx on a training set that Lockstep exported.

    python train.py TRAINING_SET.parquet delay.onnx

Needs what requirements.txt lists. Trains on January to May 2001 and prints, as one line of JSON, the area under the ROC curve on the
June rows of the same file. The features are the file's columns after the spine's own, in the service's order, as one float tensor: what Lockstep feeds
the model when it serves. A missing value is NaN on both sides.
"""

import json
import sys

import pandas as pd
import skl2onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

SPINE = ["date", "origin", "destination", "distance", "late"]


def main(training_set: str, model_file: str) -> None:
    rows = pd.read_parquet(training_set)
    features = [column for column in rows.columns if column not in SPINE]
    inputs = rows[features].astype("float32").to_numpy()
    labels = rows["late"].astype(bool).to_numpy()
    june = (rows["date"] >= pd.Timestamp("2001-06-01", tz=rows["date"].dt.tz)).to_numpy()

    model = HistGradientBoostingClassifier(max_iter=80, max_leaf_nodes=15, learning_rate=0.15, random_state=0)
    model.fit(inputs[~june], labels[~june])
    auc = roc_auc_score(labels[june], model.predict_proba(inputs[june])[:, 1])

    onnx_model = skl2onnx.convert_sklearn(
        model,
        initial_types=[("features", FloatTensorType([None, len(features)]))],
        options={id(model): {"zipmap": False}},
        target_opset=15,
    )
    rename_output(onnx_model, "probabilities", "probability")
    with open(model_file, "wb") as file:
        file.write(onnx_model.SerializeToString())
    print(json.dumps({"rows": len(rows), "trained_on": int((~june).sum()), "features": features, "auc_june": round(float(auc), 4)}))


def rename_output(onnx_model, old: str, new: str) -> None:
    for node in onnx_model.graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
        node.input[:] = [new if name == old else name for name in node.input]
    for output in onnx_model.graph.output:
        if output.name == old:
            output.name = new


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
