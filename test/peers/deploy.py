"""Lints the chart, renders it with several values, and validates each object by the schemas of Kubernetes. The same for
the files of batches, with KEDA's own types.

python deploy.py CHART FILES FOLDER
"""

import subprocess
import sys
from pathlib import Path

import helm_python as helm
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledJob

chart_path, files, folder = sys.argv[1:]
kubernetes_versions = ["1.27", "1.31", "1.37"]


def validate(file):
    for version in kubernetes_versions:
        tool = str(Path(sys.executable).parent / "kubernetes-validate")
        done = subprocess.run([tool, "--kubernetes-version", version, "--strict", str(file)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def validate_scaled_job(job):
    # what the types do not know is lost on the way through them
    read = ScaledJob.model_validate(job).model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert read == job, f"KEDA does not know all of this: {job}"
    job_of_kubernetes = {"apiVersion": "batch/v1", "kind": "Job", "metadata": job["metadata"], "spec": job["spec"]["jobTargetRef"]}
    file = Path(folder) / "scaled-job.yaml"
    file.write_text(yaml.safe_dump(job_of_kubernetes))
    validate(file)


everything = {
    "imagePullSecrets": [{"name": "registry"}],
    "config": {"LOCKSTEP_LOG_LEVEL": "warn", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
    "server": {
        "processes": 4,
        "grpcPort": 8081,
        "autoscaling": {"enabled": True},
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
    },
    "service": {"annotations": {"a": "b"}},
    "serviceAccount": {"name": "other", "annotations": {"a": "b"}},
    "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
}
good = {"defaults": {}, "everything": everything, "least": {"config": None, "migrate": {"enabled": False}}}
bad = [
    {"terminationGracePeriodSeconds": 20},
    {"config": {"LOCKSTEP_POSTGRES_URL": "postgres://a:b@c/d"}},
    {"secretName": ""},
    {"server": {"processes": 0}},
]

report = helm.lint(chart_path, strict=True)
warnings = [message for message in report["messages"] if message["severity"] > 1]
assert not report["errors"] and not warnings, report

with helm.Chart.load(chart_path) as chart:
    for name, values in good.items():
        chart.validate_schema({key: value for key, value in values.items() if value is not None})
        rendered = chart.render(values, name="lockstep", namespace="default")
        objects = [each for path, text in rendered.items() if path.endswith(".yaml") for each in yaml.safe_load_all(text) if each]
        assert len(objects) >= 5, objects
        # their schema is not Kubernetes' own
        monitors = [each for each in objects if each["kind"] == "PodMonitor"]
        assert len(monitors) == (1 if values.get("podMonitor") else 0), monitors
        objects = [each for each in objects if each not in monitors]
        file = Path(folder) / f"{name}.yaml"
        file.write_text("\n---\n".join(yaml.safe_dump(each) for each in objects))
        validate(file)
        print(f"{name}: {len(objects)} objects are valid in Kubernetes {', '.join(kubernetes_versions)}")
    for values in bad:
        try:
            chart.validate_schema(values)
        except helm.HelmError as error:
            print("refused:", str(error).replace("\n", " ")[:100])
        else:
            raise AssertionError(f"The schema takes {values}.")

for path in sorted(Path(files).glob("*.yaml")):
    (each,) = yaml.safe_load_all(path.read_text())
    if each["kind"] == "ScaledJob":
        validate_scaled_job(each)
    else:
        validate(path)
    print(f"{path.name}: a valid {each['kind']}")
wrong = yaml.safe_load((Path(files) / "batch-scaled-job.yaml").read_text())
wrong["spec"]["maxReplicas"] = 3
try:
    validate_scaled_job(wrong)
except (AssertionError, ValueError) as error:
    print("refused:", str(error).replace("\n", " ")[:100])
else:
    raise AssertionError("An unknown field of a ScaledJob is accepted.")
