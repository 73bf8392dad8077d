"""From labels to a served model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Optional, Union
from urllib.parse import quote

from .caller import Caller, Json, Moment
from .errors import InvalidRequestError
from .training_sets import download, join_features, write_spine
from .uploads import upload
from .values import time_text
from .waiting import wait_for_job, warn

if TYPE_CHECKING:
    import pandas

ModelFile = Union[str, "os.PathLike[str]", bytes, Any]
"""The path of an ONNX file, its bytes, or an `onnx.ModelProto`."""

# the server reads the complete model from its database for each part
_MODEL_PART_BYTES = 64 << 20


class Training(Caller):
    """The methods of `Client` that make training sets, and push, pull and promote models."""

    def historical_features(
        self,
        service: str,
        spine: pandas.DataFrame,
        *,
        time: Optional[str] = None,
        as_of: Literal["at", "before"] = "at",
        knowledge: Literal["bitemporal", "latest"] = "bitemporal",
        freshness: Literal["served", "ideal"] = "served",
        known_before: Optional[Moment] = None,
        timeout: float = 3600.0,
    ) -> pandas.DataFrame:
        """Joins each row of a spine with the features of a service as they stood at the row's own time.

        The server keeps the result as a training set, whose id is in `attrs["dataset"]` of the DataFrame: pass it to
        `push_model`. The API key needs the scope `admin`. pandas and pyarrow must be installed.

            labels = pd.DataFrame({"card": ["c36"], "paid_at": [pd.Timestamp("2026-02-28T23:00Z")], "amount": [150.0]})
            training = client.historical_features("fraud_features", labels)

        Args:
            service: `name@version`, or a name for its newest version.
            spine: A row for each moment: the keys and request values of the service, a time, and anything else, such as
                the label. A row with a null key stays, and finds nothing.
            time: The column of the time, if there are several. A time without a zone is UTC.
            as_of: Whether rows count that become visible `at` a row's very time, or only `before`.
            knowledge: `bitemporal`: only what was known then. `latest`: as if all had been known at its event time.
            freshness: `served`: as fresh as the schedules of the views allow. `ideal`: as if they were continuous.
            known_before: Ignores rows that were known at this moment or later.
            timeout: Seconds. If it passes, the server continues its job.

        Returns:
            The spine as it was passed, its index and its types included, with a column for each feature. Features have
            the types of `to_pandas`.

        Warns:
            UserWarning: If rows of a source could see themselves in the training set, and so their labels; see
                docs/time.md#label-leaks.

        Raises:
            InvalidRequestError: `SPINE_INVALID` and others; see docs/training-sets.md#the-spine.
        """
        deadline = self._deadline(timeout)
        asked = {
            "service": service,
            "spine": {"upload": upload(self._sender, "spine.parquet", write_spine(spine), deadline)},
            "time": time,
            "asOf": as_of,
            "knowledge": knowledge,
            "freshness": freshness,
            "knownBefore": None if known_before is None else time_text(known_before),
        }
        begun = self._change("/v1/datasets", asked, deadline)
        wait_for_job(self._sender, begun["job"], deadline)
        made = self._sender.json(f"/v1/datasets/{begun['id']}", deadline)
        for sentence in made["manifest"].get("unchecked") or []:
            # the server names the option of the command line
            warn(sentence.replace("--as-of before", 'as_of="before"'))
        files = [download(self._sender, file, deadline) for file in made["files"]]
        return join_features(spine, made["manifest"], files, made["id"])

    def push_model(
        self,
        model: str,
        file: ModelFile,
        *,
        alias: Optional[str] = None,
        dataset: Optional[str] = None,
        metrics: Optional[Mapping[str, float]] = None,
        params: Optional[Mapping[str, Any]] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        git_commit: Optional[str] = None,
        reason: Optional[str] = None,
        dataset_mismatch: bool = False,
        untried: bool = False,
        timeout: float = 600.0,
    ) -> Json:
        """Stores an ONNX file as the next version of a model. The API key needs the scope `admin`.

        The server checks that the file takes the features of the model's service and answers its outputs, and tries it.
        A file that was pushed before is the version that it was then.

        Args:
            model: The name of the model, which is declared in the definitions.
            file: The path of an ONNX file, its bytes, or a `ModelProto`. If it has values in files beside it, such as
                `model.onnx.data`, the package `onnx` must be installed.
            alias: Points this alias to the version. `champion`: requests that name no version get it.
            dataset: The id of the training set that it was trained on, such as `frame.attrs["dataset"]` of
                `historical_features`. The server then checks that it has the features that the version is served with.
            metrics: Evaluation results by name.
            params: Training parameters by name.
            metadata: Anything to store with the version.
            git_commit: The commit of the training code.
            reason: Why, for the audit log.
            dataset_mismatch: Allows a version that was trained on other features than it is served with.
            untried: Allows a version whose trial on made-up rows does not end.
            timeout: Seconds for the upload and the trial.

        Returns:
            The `version`, the change of the alias, and `notes`; see docs/remote.md#requests.
        """
        name, data = _model_bytes(model, file)
        deadline = self._deadline(timeout)
        asked = {
            "alias": alias,
            "dataset": dataset,
            "metrics": metrics,
            "params": params,
            "metadata": metadata,
            "gitCommit": git_commit,
            "reason": reason,
            "datasetMismatch": dataset_mismatch or None,
            "untried": untried or None,
        }

        def push(data: bytes) -> Json:
            sent = {"upload": upload(self._sender, name, data, deadline), **asked}
            return self._change(f"/v1/models/{quote(model, safe='')}/versions", sent, deadline)

        try:
            return push(data)
        except InvalidRequestError as error:
            if not isinstance(file, (str, os.PathLike)) or "externalData" not in error.details:
                raise
            whole = _with_external_data(Path(file), error)
        return push(whole)

    def pull_model(self, model: str, version: Union[int, str] = "champion", *, timeout: float = 600.0) -> bytes:
        """The ONNX file of a version, as it was pushed. The API key needs the scope `admin`.

            onnx.load_model_from_string(client.pull_model("fraud", 3))

        Args:
            model: The name of the model.
            version: The number of the version, or an alias.
            timeout: Seconds.
        """
        deadline = self._deadline(timeout)
        path = f"/v1/models/{quote(model, safe='')}/versions/{quote(str(version), safe='')}"
        found = self._sender.json(path, deadline)
        # an alias may point to another version by now
        file = {"url": f"/v1/models/{quote(model, safe='')}/versions/{found['version']}/file"}
        file |= {"bytes": found["sizeBytes"], "sha256": found["sha256"]}
        return download(self._sender, file, deadline, _MODEL_PART_BYTES)


def _with_external_data(path: Path, error: InvalidRequestError) -> bytes:
    try:
        import onnx
    except ImportError:
        raise InvalidRequestError(
            f'The model file "{path}" has values in other files. To push them with it, install the package "onnx".',
            code=error.code,
            details=error.details,
        ) from error
    whole: bytes = onnx.load(path).SerializeToString()
    return whole


def _model_bytes(model: str, file: ModelFile) -> tuple[str, bytes]:
    if isinstance(file, (bytes, bytearray, memoryview)):
        return f"{model}.onnx", bytes(file)
    if isinstance(file, (str, os.PathLike)):
        path = Path(file)
        return path.name, path.read_bytes()
    if hasattr(file, "SerializeToString"):
        return f"{model}.onnx", file.SerializeToString()
    raise InvalidRequestError(
        f"A model is the path of an ONNX file, its bytes or a ModelProto, not a {type(file).__name__}.",
        code="INVALID_REQUEST",
    )
