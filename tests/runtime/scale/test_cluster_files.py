"""The cluster files of docs/deploy: against the schemas of Kubernetes and KServe, and what no schema says."""

import copy
import json
import re
import subprocess
from pathlib import Path

import pytest

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
import jsonschema  # noqa: E402  brought by kubernetes-validate, as the next two
import yaml  # noqa: E402
from referencing import Registry, Resource  # noqa: E402

pytestmark = pytest.mark.scale

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "docs" / "deploy" / "kubernetes"
SLURM = ROOT / "docs" / "deploy" / "slurm" / "archive.sh"
OLDEST = "1.33"
"""The oldest Kubernetes for which the files are meant: there backoffLimitPerIndex became stable."""
VERSIONS = (OLDEST, kubernetes_validate.latest_version())


def documents(name):
    return [item for item in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")) if item]


ALL = {f"{path.name} {item['kind']}": item for path in sorted(FOLDER.glob("*.yaml")) for item in documents(path.name)}


def kserve_errors(item):
    """What KServe's schema has against a document; its parts of Kubernetes are those of the newest version."""
    schema = json.loads(Path(__file__).with_name("kserve_schema.json").read_text(encoding="utf-8"))
    home = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    newest = f"v{kubernetes_validate.latest_version()}-local-strict"
    definitions = json.loads((home / newest / "_definitions.json").read_text(encoding="utf-8"))
    registry = Resource.from_contents(definitions) @ Registry()
    return list(jsonschema.Draft202012Validator(schema, registry=registry).iter_errors(item))


def problems(item):
    """Everything that a schema has against a document."""
    if item["apiVersion"].startswith("serving.kserve.io"):
        return [error.message for error in kserve_errors(item)]
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(item, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{version}: {error.message}")
    return found


def test_there_is_a_file_for_each_way():
    assert sorted(ALL) == [
        "archive-list.yaml Job", "archive.yaml Job", "kserve.yaml InferenceService", "triton.yaml Deployment",
        "triton.yaml Service",
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(ALL))
def test_the_schema_has_nothing_against_it(name):
    assert problems(ALL[name]) == []


FAULTS = {
    "a misspelled key": ("archive.yaml Job", ("spec", "completionmode"), "Indexed"),
    "a word where a number goes": ("archive.yaml Job", ("spec", "completions"), "sixteen"),
    "a key at the wrong depth": ("archive.yaml Job", ("spec", "restartPolicy"), "Never"),
    "a list where an object goes": ("archive-list.yaml Job", ("spec", "template", "spec", "securityContext"), []),
    "a port that is none": ("triton.yaml Service", ("spec", "ports", 0, "port"), "grpc port"),
    "a nameless container": ("triton.yaml Deployment", ("spec", "template", "spec", "containers", 0, "name"), None),
    "a probe of no kind": (
        "triton.yaml Deployment", ("spec", "template", "spec", "containers", 0, "livenessProbe", "httpget"), {},
    ),
    "no selector": ("triton.yaml Deployment", ("spec", "selector"), None),
    "KServe: a misspelled key": ("kserve.yaml InferenceService", ("spec", "predictor", "model", "storageURI"), "pvc://"),
    "KServe: no format": ("kserve.yaml InferenceService", ("spec", "predictor", "model", "modelFormat"), None),
    "KServe: no predictor": ("kserve.yaml InferenceService", ("spec", "predictor"), None),
    "KServe: a number as a word": ("kserve.yaml InferenceService", ("spec", "predictor", "minReplicas"), "one"),
    "KServe: a wrong part of Kubernetes": (
        "kserve.yaml InferenceService", ("spec", "predictor", "model", "resources", "limit"), {"memory": "8Gi"},
    ),
    "KServe: another version": ("kserve.yaml InferenceService", ("apiVersion",), "serving.kserve.io/v1alpha1"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_refused(fault):
    name, path, value = FAULTS[fault]
    item = copy.deepcopy(ALL[name])
    place = item
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    assert problems(item)


def pod(item):
    return item["spec"]["template"]["spec"]


@pytest.mark.parametrize("name", [name for name in sorted(ALL) if "template" in ALL[name]["spec"]])
def test_every_mount_is_a_volume_and_every_rule_a_container(name):
    item = ALL[name]
    volumes = [volume["name"] for volume in pod(item)["volumes"]]
    containers = [container["name"] for container in pod(item)["containers"]]
    for container in pod(item)["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    for rule in item["spec"].get("podFailurePolicy", {}).get("rules", []):
        assert rule.get("onExitCodes", {"containerName": containers[0]})["containerName"] in containers


def test_the_service_leads_to_the_ports_of_the_deployment():
    deployment, service = ALL["triton.yaml Deployment"], ALL["triton.yaml Service"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels == service["spec"]["selector"]
    ports = {port["name"]: port["containerPort"] for port in pod(deployment)["containers"][0]["ports"]}
    assert {port["targetPort"]: port["port"] for port in service["spec"]["ports"]} == ports


def test_the_shares_of_the_job_are_its_completions():
    job = ALL["archive.yaml Job"]["spec"]
    container = job["template"]["spec"]["containers"][0]
    env = {item["name"]: item["value"] for item in container["env"]}
    assert int(env["SHARES"]) == job["completions"] == job["parallelism"]
    words = container["command"][2].split()
    assert words[words.index("--workers") + 1] == container["resources"]["limits"]["cpu"]
    listed = pod(ALL["archive-list.yaml Job"])["containers"][0]
    assert env["SOURCE"] == listed["args"][1]
    assert container["image"] == listed["image"]
    claims = [[volume.get("persistentVolumeClaim") for volume in pod(ALL[name])["volumes"]]
              for name in ("archive-list.yaml Job", "archive.yaml Job")]  # fmt: skip
    assert claims[0] == claims[1]


@pytest.fixture
def stand_in(tmp_path):
    """Run a shell command with a `wordsight` that notes its words, and a `srun` that runs them: (line, code, env)."""
    (tmp_path / "wordsight").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$NOTED"\nexit "$CODE"\n')
    (tmp_path / "srun").write_text('#!/bin/sh\nexec "$@"\n')
    for name in ("wordsight", "srun"):
        (tmp_path / name).chmod(0o755)

    def run(line, code, **env):
        noted = tmp_path / "noted"
        noted.unlink(missing_ok=True)
        env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "NOTED": str(noted), "CODE": str(code), **env}
        done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, noted.read_text().splitlines() if noted.exists() else [], done.stderr

    return run


JOB = {"SOURCE": "s3://a b/", "SHARES": "16", "JOB_COMPLETION_INDEX": "3"}
TASK = {"SOURCE": "/a b", "MODEL": "m.onnx", "OUT": "out", "SLURM_ARRAY_TASK_ID": "8", "SLURM_ARRAY_TASK_COUNT": "4",
        "SLURM_ARRAY_TASK_MIN": "5"}  # fmt: skip


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (1, 0), (2, 2), (3, 3), (130, 130)])
def test_pictures_that_could_not_be_read_fail_no_job(stand_in, code, ends):
    command = pod(ALL["archive.yaml Job"])["containers"][0]["command"]
    left, words, _ = stand_in(command, code, **JOB)
    assert left == ends
    assert words[:2] == ["archive", "s3://a b/"]
    assert words[words.index("--shard") + 1] == "3/16"
    left, words, _ = stand_in(["/bin/bash", str(SLURM)], code, **TASK)
    assert left == ends
    assert words[:2] == ["archive", "/a b"]
    assert words[words.index("--shard") + 1] == "3/4"


def test_a_task_without_its_settings_runs_nothing(stand_in):
    for name in ("SOURCE", "MODEL", "OUT", "SLURM_ARRAY_TASK_ID"):
        left, words, told = stand_in(["/bin/bash", str(SLURM)], 0, **{key: TASK[key] for key in TASK if key != name})
        assert left != 0
        assert words == []
        assert name in told


# From sbatch(1), Slurm 24.11: of its options those that stand in scripts of arrays.
SBATCH = {
    "job-name", "array", "cpus-per-task", "mem", "time", "requeue", "open-mode", "output", "gpus-per-task", "partition",
    "account", "nodes", "ntasks", "exclusive", "constraint", "gres", "error", "signal", "qos",
}  # fmt: skip


def test_the_script_for_slurm_has_known_options():
    subprocess.run(["/bin/bash", "-n", str(SLURM)], check=True, timeout=60)
    text = SLURM.read_text(encoding="utf-8")
    options = re.findall(r"^#SBATCH --([a-z-]+)", text, re.MULTILINE)
    assert len(options) >= 6
    assert set(options) <= SBATCH
    # What sbatch takes ends with the first line that is no comment.
    assert text.index("#SBATCH") < text.rindex("#SBATCH --output") < text.index(': "${SOURCE')


@pytest.mark.parametrize("name", ["archive-list.yaml Job", "archive.yaml Job", "slurm"])
def test_the_options_are_those_of_the_command(name):
    typer = pytest.importorskip("typer")
    from wordsight.runtime.archive.cli import archive

    app = typer.Typer()
    app.command()(archive)
    known = {word for option in typer.main.get_command(app).params for word in option.opts}
    if name == "slurm":
        words = re.search(r"^srun (.*?\n.*)$", SLURM.read_text(encoding="utf-8"), re.MULTILINE)[1].split()
    else:
        container = pod(ALL[name])["containers"][0]
        words = " ".join([*container.get("command", []), *container.get("args", [])]).split()
    used = {word for word in words if re.fullmatch(r"--[a-z-]+|-o", word)}
    assert len(used) >= 3
    assert used <= known
