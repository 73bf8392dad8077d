"""Trains a model on a training set that Lockstep exported.

    pip install scikit-learn==1.9.1 skl2onnx==1.20.0 onnx==1.19.1 protobuf==5.29.5 pandas
    python train.py TRAIN.csv LABELS.csv MODEL.onnx

The features are the columns of TRAIN.csv that LABELS.csv does not have, in the order of the service. The label is the last column of
LABELS.csv. The first three quarters of the rows train, the others test. The model has one input for each feature, by name. So a feature that is
added to the service later does not break it.
"""

import sys

import pandas as pd
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline


def main(train_file: str, labels_file: str, model_file: str) -> None:
    spine = list(pd.read_csv(labels_file, nrows=0).columns)
    rows = pd.read_csv(train_file)
    features = [column for column in rows.columns if column not in spine]
    inputs = rows[features].astype("float32")
    labels = rows[spine[-1]].to_numpy()
    cut = len(rows) * 3 // 4

    trees = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=6, learning_rate=0.15, random_state=0)
    model = make_pipeline(ColumnTransformer([("features", "passthrough", features)]), trees)
    model.fit(inputs[:cut], labels[:cut])
    auc = roc_auc_score(labels[cut:], model.predict_proba(inputs[cut:])[:, 1])

    onnx_model = convert_sklearn(
        model,
        initial_types=[(name, FloatTensorType([None, 1])) for name in features],
        options={id(model): {"zipmap": False}},
        target_opset=15,
    )
    rename_output(onnx_model, "probabilities", "probability")
    with open(model_file, "wb") as file:
        file.write(onnx_model.SerializeToString())
    print(f"Trained on {cut} rows: {', '.join(features)}.")
    print(f"AUC on {len(rows) - cut} rows that it has not seen: {auc:.3f}")


def rename_output(onnx_model, old: str, new: str) -> None:
    for node in onnx_model.graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
        node.input[:] = [new if name == old else name for name in node.input]
    for output in onnx_model.graph.output:
        if output.name == old:
            output.name = new


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
