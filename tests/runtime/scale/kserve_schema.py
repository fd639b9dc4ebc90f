"""Makes the JSON Schema of KServe's InferenceService from the models in KServe's own Python package.

    pip download --no-deps kserve==0.21.0
    python tests/runtime/scale/kserve_schema.py kserve-0.21.0-py3-none-any.whl > tests/runtime/scale/kserve_schema.json

The package itself, with sixty others that it needs, is then not part of any environment. Kept are names, types and
which fields must be there, of what a user writes (no status); types of Kubernetes are references into the schemas that
kubernetes-validate carries. As an API server under strict validation, it allows no field that is not known.
"""

import ast
import json
import re
import sys
import zipfile

ROOT = "V1beta1InferenceService"
PLAIN = {
    "str": {"type": "string"}, "int": {"type": "integer"}, "bool": {"type": "boolean"}, "float": {"type": "number"},
    "object": {}, "datetime": {"type": "string", "format": "date-time"},
    "V1beta1MetricQuantity": {"type": ["string", "number"]},
}  # fmt: skip
KUBERNETES = "https://kubernetes.io/api/_definitions.json#/$defs/"
PLACES = {
    "ResourceQuantity": "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "V1ObjectMeta": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    "K8sIoApiAppsV1DeploymentStrategy": "io.k8s.api.apps.v1.DeploymentStrategy",
    "K8sIoApiAutoscalingV2HorizontalPodAutoscalerBehavior": "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerBehavior",
}


def models(wheel):
    """{class: ({attribute: type}, {attribute: key}, attributes that must not be None)} of every generated model."""
    found = {}
    with zipfile.ZipFile(wheel) as package:
        for name in package.namelist():
            if not re.fullmatch(r"kserve/models/v1beta1_\w+\.py", name):
                continue
            text = package.read(name).decode()
            for node in ast.parse(text).body:
                if not isinstance(node, ast.ClassDef):
                    continue
                held = {
                    item.targets[0].id: ast.literal_eval(item.value)
                    for item in node.body
                    if isinstance(item, ast.Assign) and item.targets[0].id in ("openapi_types", "attribute_map")
                }
                required = set(re.findall(r"Invalid value for `(\w+)`, must not be `None`", text))
                found[node.name] = held["openapi_types"], held["attribute_map"], required
    return found


def reference(kind, known, wanted):
    """The schema of one type as the generator spells it; names of other models are added to `wanted`."""
    inner = re.fullmatch(r"(list\[|dict\(str, )(.+)[\])]", kind)
    if inner:
        of = reference(inner[2], known, wanted)
        if kind.startswith("list"):
            return {"type": "array", "items": of}
        return {"type": "object", "additionalProperties": of}
    if kind in PLAIN:
        return PLAIN[kind]
    if kind in known:
        wanted.append(kind)
        return {"$ref": f"#/definitions/{kind}"}
    return {"$ref": KUBERNETES + PLACES.get(kind, f"io.k8s.api.core.v1.{kind.removeprefix('V1')}")}


def schema(wheel):
    """The whole schema: a definition a model that a user can write."""
    known, definitions, wanted = models(wheel), {}, [ROOT]
    while wanted:
        name = wanted.pop()
        if name in definitions:
            continue
        types, keys, required = known[name]
        definitions[name] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                keys[attribute]: reference(kind, known, wanted)
                for attribute, kind in sorted(types.items())
                if (name, attribute) != (ROOT, "status")
            },
            "required": sorted(keys[attribute] for attribute in required),
        }
    definitions[ROOT]["properties"] |= {
        "apiVersion": {"const": "serving.kserve.io/v1beta1"}, "kind": {"const": "InferenceService"}
    }  # fmt: skip
    definitions[ROOT]["required"] = ["apiVersion", "kind", "metadata", "spec"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"Made by kserve_schema.py from {wheel.rpartition('/')[2]} (The KServe Authors, Apache-2.0).",
        "$ref": f"#/definitions/{ROOT}",
        "definitions": dict(sorted(definitions.items())),
    }


if __name__ == "__main__":
    made = schema(sys.argv[1])
    lines = [f'"{name}": {json.dumps(value, sort_keys=True)}' for name, value in made.pop("definitions").items()]
    head = json.dumps(made, indent=1)[:-2]
    print(f'{head},\n "definitions": {{\n' + ",\n".join(lines) + "\n}}")
