"""Trains the two candidates of `npm run demo -- --rollout` on the training set that this demo exports.

    python train_candidates.py TRAINING_SET.parquet delay-2.onnx delay-broken.onnx

Needs what requirements.txt lists. delay-2.onnx learns from the features as the demo serves them, which has loaded one flight in 20: it is more
careful than delay.onnx, which has learned from all flights. delay-broken.onnx looks up how late flights of a distance are, in a table that ends at
500 miles: longer flights make it fail. Prints, as one line of JSON, the area under the ROC curve on the June rows of the file.
"""

import json
import sys

import numpy as np
import onnx
import pandas as pd
import skl2onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from train import SPINE, rename_output

MILES = 50
BANDS = 10


def main(training_set: str, second_file: str, broken_file: str) -> None:
    rows = pd.read_parquet(training_set)
    features = [column for column in rows.columns if column not in SPINE]
    inputs = rows[features].astype("float32").to_numpy()
    labels = rows["late"].astype(bool).to_numpy()
    june = (rows["date"] >= pd.Timestamp("2001-06-01", tz=rows["date"].dt.tz)).to_numpy()

    model = HistGradientBoostingClassifier(
        max_iter=80, max_leaf_nodes=15, min_samples_leaf=100, learning_rate=0.08, l2_regularization=10, random_state=0
    )
    model.fit(inputs[~june], labels[~june])
    auc = roc_auc_score(labels[june], model.predict_proba(inputs[june])[:, 1])
    second = skl2onnx.convert_sklearn(
        model,
        initial_types=[("features", FloatTensorType([None, len(features)]))],
        options={id(model): {"zipmap": False}},
        target_opset=15,
    )
    rename_output(second, "probabilities", "probability")
    onnx.save(second, second_file)

    band = np.minimum(rows["distance"].to_numpy() // MILES, BANDS)
    shares = [float(labels[~june & (band == each)].mean()) for each in range(BANDS)]
    onnx.save(look_up(np.array(shares, dtype=np.float32), features.index("miles"), len(features)), broken_file)
    print(json.dumps({"rows": len(rows), "trained_on": int((~june).sum()), "auc_june": round(float(auc), 4)}))


def look_up(shares: np.ndarray, miles: int, width: int) -> onnx.ModelProto:
    """The share of late flights of the distance's band. Nothing keeps a band within the table."""
    constants = {
        "column": np.array([miles], dtype=np.int64),
        "width": np.array([MILES], dtype=np.float32),
        "shares": shares,
        "one": np.array(1, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["features", "column"], ["miles"], axis=1),
        helper.make_node("Div", ["miles", "width"], ["position"]),
        helper.make_node("Floor", ["position"], ["floor"]),
        helper.make_node("Cast", ["floor"], ["band"], to=TensorProto.INT64),
        helper.make_node("Gather", ["shares", "band"], ["late"], axis=0),
        helper.make_node("Sub", ["one", "late"], ["punctual"]),
        helper.make_node("Concat", ["punctual", "late"], ["probability"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "delay",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
