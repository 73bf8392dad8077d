"""Calls a server through the unmodified tritonclient, over HTTP and gRPC: python triton_client.py HTTP_URL GRPC_ADDRESS"""

import json
import queue
import sys
import urllib.request
from datetime import datetime, timedelta, timezone

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from google.protobuf.json_format import MessageToJson
from tritonclient.utils import InferenceServerException

url, grpc_address = sys.argv[1:3]
rng = np.random.default_rng(7)
rows = rng.normal(size=(128, 3)).astype(np.float32)
checks = 0


def check(what, ok):
    global checks
    checks += 1
    if not ok:
        raise SystemExit(f"not so: {what}")


def refuses(what, call, says):
    try:
        call()
    except InferenceServerException as error:
        check(f"{what}: {error}", says in str(error))
    else:
        raise SystemExit(f"was not refused: {what}")


def post(path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"content-type": "application/json"})
    return json.load(urllib.request.urlopen(request))


landed = (datetime.now(timezone.utc) - timedelta(minutes=5)).isoformat()
post("/v1/sources/landings/events", {"events": [{"airport": "ATL", "at": landed, "delay": 25.0}]})
predicted = post("/v1/predict", {"model": "delay", "entities": [{"airport": "ATL", "distance": 100}, {"airport": "JFK", "distance": 1}]})


def features_input(library, **options):
    tensor = library.InferInput("features", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows, **options)
    return tensor


def entity_inputs(library):
    airport = library.InferInput("airport", [2], "BYTES")
    airport.set_data_from_numpy(np.array(["ATL", "JFK"], dtype=object))
    distance = library.InferInput("distance", [2], "FP64")
    distance.set_data_from_numpy(np.array([100.0, 1.0]))
    return [airport, distance]


def about(kind, client, as_dict):
    check(f"{kind}: live", client.is_server_live())
    check(f"{kind}: ready", client.is_server_ready())
    check(f"{kind}: model ready", client.is_model_ready("delay") and client.is_model_ready("delay", "1"))
    server = as_dict(client.get_server_metadata())
    check(f"{kind}: server metadata", server["name"] == "lockstep" and "binary_tensor_data" in server["extensions"])
    model = as_dict(client.get_model_metadata("delay"))
    check(f"{kind}: model metadata", model["platform"] == "onnx_onnxv1" and [int(size) for size in model["inputs"][0]["shape"]] == [-1, 3])
    index = as_dict(client.get_model_repository_index())
    check(f"{kind}: index", [entry["name"] for entry in (index if isinstance(index, list) else index["models"])] == ["delay"])


def infers(kind, library, client):
    first = client.infer("delay", [features_input(library)], request_id="17")
    label, probabilities = first.as_numpy("label"), first.as_numpy("probabilities")
    check(f"{kind}: shapes", label.shape == (128,) and label.dtype == np.int64 and probabilities.shape == (128, 2))
    check(f"{kind}: a classifier", (probabilities.argmax(axis=1) == label).all() and np.allclose(probabilities.sum(axis=1), 1))
    wanted = [library.InferRequestedOutput("label")]
    one = client.infer("delay", [features_input(library)], model_version="1", outputs=wanted, priority=1, timeout=5_000_000)
    check(f"{kind}: one output", one.as_numpy("probabilities") is None and (one.as_numpy("label") == label).all())
    entities = client.infer("delay", entity_inputs(library)).as_numpy("probabilities")
    expected = [np.nan if answer["probabilities"] is None else answer["probabilities"] for answer in predicted["predictions"]]
    check(f"{kind}: entities, as /v1/predict has them: {entities} {expected}", np.allclose(entities, expected, equal_nan=True))
    refuses(f"{kind}: an unknown model", lambda: client.infer("delays", [features_input(library)]), "delays")
    refuses(f"{kind}: an unknown version", lambda: client.infer("delay", [features_input(library)], model_version="9"), "9")
    narrow = library.InferInput("features", [1, 2], "FP32")
    narrow.set_data_from_numpy(np.zeros((1, 2), np.float32))
    refuses(f"{kind}: another shape", lambda: client.infer("delay", [narrow]), "[-1, 3]")
    refuses(
        f"{kind}: a classification",
        lambda: client.infer("delay", [features_input(library)], outputs=[library.InferRequestedOutput("probabilities", class_count=2)]),
        "classification",
    )
    return label, probabilities


with triton_http.InferenceServerClient(url.removeprefix("http://"), concurrency=4) as client:
    about("http", client, lambda answer: answer)
    label, probabilities = infers("http", triton_http, client)
    plain = [triton_http.InferRequestedOutput(name, binary_data=False) for name in ("label", "probabilities")]
    as_json = client.infer("delay", [features_input(triton_http, binary_data=False)], outputs=plain)
    check("http: JSON as binary", (as_json.as_numpy("label") == label).all() and (as_json.as_numpy("probabilities") == probabilities).all())
    check("http: the id", client.infer("delay", [features_input(triton_http)], request_id="17").get_response()["id"] == "17")
    for way in ("gzip", "deflate"):
        packed = client.infer("delay", [features_input(triton_http)], request_compression_algorithm=way, response_compression_algorithm=way)
        check(f"http: {way}", (packed.as_numpy("probabilities") == probabilities).all())
    pending = [client.async_infer("delay", [features_input(triton_http)]) for _ in range(8)]
    check("http: at once", all((each.get_result().as_numpy("label") == label).all() for each in pending))
    check("http: an unknown model is not ready", not client.is_model_ready("delays"))

with triton_grpc.InferenceServerClient(grpc_address) as client:
    about("grpc", client, lambda answer: json.loads(MessageToJson(answer, preserving_proto_field_name=True)))
    grpc_label, grpc_probabilities = infers("grpc", triton_grpc, client)
    check("grpc: as http", (grpc_label == label).all() and (grpc_probabilities == probabilities).all())
    check("grpc: the id", client.infer("delay", [features_input(triton_grpc)], request_id="17").get_response().id == "17")
    check("grpc: in time", client.infer("delay", [features_input(triton_grpc)], client_timeout=5) is not None)
    check("grpc: gzip", client.infer("delay", [features_input(triton_grpc)], compression_algorithm="gzip") is not None)
    answers = queue.Queue()
    for _ in range(8):
        client.async_infer("delay", [features_input(triton_grpc)], callback=lambda result, error: answers.put((result, error)))
    for _ in range(8):
        result, error = answers.get(timeout=10)
        check(f"grpc: at once: {error}", error is None and (result.as_numpy("label") == label).all())
    refuses("grpc: readiness of an unknown model", lambda: client.is_model_ready("delays"), "delays")

print(f"tritonclient: {checks} checks hold")
