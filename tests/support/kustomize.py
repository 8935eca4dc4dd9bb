"""Renders a kustomization as `kubectl kustomize` does, as far as deploy/k8s goes; another feature is an error.

Known: resources, namespace, labels (pairs), configMapGenerator (files), images, patches (JSON 6902, inline, with a target).
Where kubectl is installed, tests/tree/test_deploy.py compares the two.
"""

import hashlib
import json
import pathlib

import yaml

CLUSTER_WIDE = {"Namespace"}


def render(folder):
    """The objects, in the order of the files."""
    folder = pathlib.Path(folder)
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text())
    known = {"apiVersion", "kind", "namespace", "labels", "resources", "configMapGenerator", "images", "patches"}
    assert set(plan) <= known, f"{folder}: the renderer does not know {set(plan) - known}"
    objects = []
    for name in plan.get("resources", []):
        path = folder / name
        objects += render(path) if path.is_dir() else [o for o in yaml.safe_load_all(path.read_text()) if o]
    generated = [config_map(folder, entry) for entry in plan.get("configMapGenerator", [])]
    objects += generated
    for patch in plan.get("patches", []):
        apply_patch(objects, patch)
    for made in objects:
        if plan.get("namespace") and made["kind"] not in CLUSTER_WIDE:
            made["metadata"]["namespace"] = plan["namespace"]
        for labels in plan.get("labels", []):
            assert set(labels) == {"pairs"}, labels
            made["metadata"].setdefault("labels", {}).update(labels["pairs"])
        for image in plan.get("images", []):
            set_image(made, image)
    for made in generated:
        rename(objects, made["metadata"]["name"], made["metadata"]["name"] + "-" + content_hash(made), made)
    return objects


def config_map(folder, entry):
    assert set(entry) == {"name", "files"}, entry
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": entry["name"]},
            "data": {pathlib.Path(file).name: (folder / file).read_text() for file in entry["files"]}}


def content_hash(made):
    """kustomize's: of the JSON in Go's words, with digits and vowels taken out."""
    text = json.dumps({"data": made["data"], "kind": "ConfigMap", "name": ""}, separators=(",", ":"), sort_keys=True,
                      ensure_ascii=False)
    text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(str.maketrans("013ae", "ghkmt"))


def rename(objects, old, new, made):
    made["metadata"]["name"] = new
    for volume in (v for o in objects for v in pod_spec(o).get("volumes", [])):
        if volume.get("configMap", {}).get("name") == old:
            volume["configMap"]["name"] = new


def pod_spec(made):
    return ((made.get("spec") or {}).get("template") or {}).get("spec") or {}


def set_image(made, image):
    for container in pod_spec(made).get("containers", []):
        if container["image"].partition(":")[0] == image["name"]:
            container["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"


def apply_patch(objects, patch):
    target = patch["target"]
    assert set(target) == {"kind", "name"}, target
    [made] = [o for o in objects if (o["kind"], o["metadata"]["name"]) == (target["kind"], target["name"])]
    for step in yaml.safe_load(patch["patch"]):
        assert step["op"] == "replace", step
        *way, last = [int(part) if part.isdigit() else part for part in step["path"].strip("/").split("/")]
        at = made
        for part in way:
            at = at[part]
        at[last]  # What is replaced is there.
        at[last] = step["value"]


def manifest(objects):
    return yaml.safe_dump_all(objects, sort_keys=False)
