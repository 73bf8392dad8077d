"""Lints the chart, renders it with several values, and validates each object by the schemas of Kubernetes."""

import subprocess
import sys
from pathlib import Path

import helm_python as helm
import yaml

chart_path, folder = sys.argv[1:]
kubernetes_versions = ["1.27", "1.31", "1.37"]
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
        for version in kubernetes_versions:
            tool = str(Path(sys.executable).parent / "kubernetes-validate")
            done = subprocess.run([tool, "--kubernetes-version", version, "--strict", str(file)], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
        print(f"{name}: {len(objects)} objects are valid in Kubernetes {', '.join(kubernetes_versions)}")
    for values in bad:
        try:
            chart.validate_schema(values)
        except helm.HelmError as error:
            print("refused:", str(error).replace("\n", " ")[:100])
        else:
            raise AssertionError(f"The schema takes {values}.")
