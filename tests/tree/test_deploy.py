"""The manifests, alert rules and dashboard of deploy/, as far as they can be judged without a cluster: each check is also
shown a copy with a fault that it must see."""

import copy
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support.kustomize import pod_spec, render  # noqa: E402

K8S = ROOT / "deploy/k8s"
PROMTOOL = ROOT / ".deps/prometheus/usr/bin/promtool"
BINARY = pathlib.Path(os.environ.get("HIKYAKU_BINARY", ROOT / "bazel-bin/services/hikyaku/hikyaku"))
FOLDERS = ["base", "overlays/dev", "overlays/prod"]


@pytest.fixture(scope="module")
def rendered():
    return {folder: render(K8S / folder) for folder in FOLDERS}


def only(objects, kind, name=None):
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    assert len(found) == 1, (kind, name, len(found))
    return found[0]


def workloads(objects):
    return [o for o in objects if o["kind"] in ("Deployment", "StatefulSet")]


# The schemas of Kubernetes, of cert-manager and of Prometheus' operator.

def faults(objects):
    done = subprocess.run(["node", ROOT / "tests/e2e/peers/manifests.js"], input=json.dumps(objects), text=True,
                          capture_output=True, env=dict(os.environ, NODE_PATH=str(ROOT / ".deps/peers/node_modules")))
    assert done.returncode in (0, 1) and not done.stderr, done
    return done.stdout.splitlines()


@pytest.mark.parametrize("folder", FOLDERS)
def test_manifests_fit_their_schemas(rendered, folder):
    assert faults(rendered[folder]) == []


@pytest.mark.parametrize("kind, path, value, word", [
    ("StatefulSet", ["spec", "replicas"], "two", "replicas"),
    ("StatefulSet", ["spec", "replica"], 2, "/spec/replica: no such key"),
    ("StatefulSet", ["spec", "template", "spec", "containers", 0, "readOnlyRootFilesystem"], True, "readOnlyRootFilesystem"),
    ("StatefulSet", ["spec", "serviceName"], 3, "serviceName"),
    ("Service", ["spec", "ports", 0, "port"], "many", "port"),
    ("NetworkPolicy", ["spec", "podSelector"], None, "podSelector"),
    ("PrometheusRule", ["spec", "groups", 0, "rules", 0, "alarm"], "x", "alarm: no such key"),
    ("ServiceMonitor", ["spec", "endpoints"], None, "endpoints"),
    ("Certificate", ["spec", "issuerRef", "nam"], "x", "nam: no such key"),
    ("Certificate", ["apiVersion"], "cert-manager.io/v9", "no schema"),
    ("ConfigMap", ["data", "hikyaku.yaml"], 7, "hikyaku.yaml"),
])
def test_the_schemas_see_a_fault(rendered, kind, path, value, word):
    made = copy.deepcopy(next(o for o in rendered["overlays/prod"] if o["kind"] == kind))
    at = made
    for part in path[:-1]:
        at = at[part]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    found = faults([made])
    assert found and word in found[0], found


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed; the renderer is trusted")
@pytest.mark.parametrize("folder", FOLDERS)
def test_the_renderer_agrees_with_kubectl(rendered, folder):
    done = subprocess.run(["kubectl", "kustomize", K8S / folder], check=True, capture_output=True, text=True)
    by_name = {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(done.stdout)}
    assert {(o["kind"], o["metadata"]["name"]): o for o in rendered[folder]} == by_name


# What no schema says.

@pytest.mark.parametrize("folder", FOLDERS)
def test_pods_are_confined(rendered, folder):
    for workload in workloads(rendered[folder]):
        pod = pod_spec(workload)
        assert pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False
        context = pod["securityContext"]
        assert context["runAsNonRoot"] and context["runAsUser"] >= 10000
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        # SIGTERM to exit takes 30 s at most, behind the pause before it.
        for container in pod["containers"]:
            pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            assert pod["terminationGracePeriodSeconds"] >= 30 + pause
            inside = container["securityContext"]
            assert inside["readOnlyRootFilesystem"] and inside["capabilities"] == {"drop": ["ALL"]}
            assert inside["allowPrivilegeEscalation"] is False
            assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"]
            named = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if probe in container:
                    assert container[probe]["httpGet"]["port"] in named


@pytest.mark.parametrize("folder", FOLDERS)
def test_selectors_find_pods(rendered, folder):
    """Services, budgets, policies and scalers mean a workload that is there, and ports that it has."""
    objects = rendered[folder]
    pods = [(o["spec"]["template"]["metadata"]["labels"], pod_spec(o)) for o in workloads(objects)]

    def chosen(labels):
        found = [pod for have, pod in pods if labels.items() <= have.items()]
        assert found, labels
        return found
    for workload in workloads(objects):
        assert chosen(workload["spec"]["selector"]["matchLabels"]) == [pod_spec(workload)]
    for made in objects:
        if made["kind"] == "Service":
            for pod in chosen(made["spec"]["selector"]):
                names = {port["name"] for port in pod["containers"][0]["ports"]}
                assert {port["targetPort"] for port in made["spec"]["ports"]} <= names
        if made["kind"] == "PodDisruptionBudget":
            assert len(chosen(made["spec"]["selector"]["matchLabels"])) == 1
        if made["kind"] == "NetworkPolicy" and "matchLabels" in made["spec"]["podSelector"]:
            chosen(made["spec"]["podSelector"]["matchLabels"])
        if made["kind"] == "HorizontalPodAutoscaler":
            target = only(objects, made["spec"]["scaleTargetRef"]["kind"], made["spec"]["scaleTargetRef"]["name"])
            assert target["kind"] == "Deployment" and "replicas" not in target["spec"], "the scaler owns the number"


def config_of(objects, tmp_path):
    file = tmp_path / "hikyaku.yaml"
    file.write_text(only(objects, "ConfigMap")["data"]["hikyaku.yaml"])
    return file


@pytest.mark.parametrize("folder, role, name", [
    ("overlays/dev", "all", "x"), ("overlays/prod", "submission", "x"), ("overlays/prod", "delivery", "x"),
    ("overlays/prod", "queue", "hikyaku-queue-0"), ("overlays/prod", "queue", "hikyaku-queue-1")])
def test_the_configuration_is_right_for_every_pod(rendered, tmp_path, folder, role, name):
    file = config_of(rendered[folder], tmp_path)
    done = subprocess.run(["unshare", "--uts", "bash", "-c", 'hostname "$0"; exec "$@"', name, BINARY, "config", "check",
                           "--role", role, file], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done
    elsewhere = subprocess.run([BINARY, "config", "check", "--role", "queue", file], capture_output=True, text=True)
    assert folder == "overlays/dev" or "queue.name: is missing" in elsewhere.stderr


@pytest.mark.parametrize("folder", ["base", "overlays/prod"])
def test_shards_certificates_and_pods_have_the_same_names(rendered, tmp_path, folder):
    objects = rendered[folder]
    shards = yaml.safe_load(config_of(objects, tmp_path).read_text())["queue"]["shards"]
    queue = only(objects, "StatefulSet")
    name, service, space = queue["metadata"]["name"], queue["spec"]["serviceName"], queue["metadata"]["namespace"]
    host = f"{service}.{space}.svc.cluster.local"
    assert only(objects, "Service", service)["spec"]["clusterIP"] == "None"
    assert shards == [{"name": f"{name}-{i}", "address": f"{name}-{i}.{host}:7026"} for i in range(queue["spec"]["replicas"])]
    if folder == "overlays/prod":
        certificate = only(objects, "Certificate", "hikyaku-queue")["spec"]
        assert certificate["dnsNames"] == [f"*.{host}"] and set(certificate["usages"]) == {"server auth", "client auth"}
        made = {o["spec"]["secretName"] for o in objects if o["kind"] == "Certificate"}
        used = {v["secret"]["secretName"] for w in workloads(objects) for v in pod_spec(w)["volumes"]
                if "secret" in v and not v["secret"].get("optional")}
        assert used <= made
    for workload in workloads(objects):
        [mount] = [m for m in pod_spec(workload)["containers"][0]["volumeMounts"] if m["name"] == "tls"]
        tls = yaml.safe_load(config_of(objects, tmp_path).read_text())["queue"]["tls"]
        assert tls == {key: f"{mount['mountPath']}/{file}" for key, file in
                       (("ca", "ca.crt"), ("certificate", "tls.crt"), ("key", "tls.key"))}


# The alerts.

def rules(objects, tmp_path, change=lambda text: text):
    file = tmp_path / "rules.yaml"
    file.write_text(change(yaml.safe_dump({"groups": only(objects, "PrometheusRule")["spec"]["groups"]})))
    return file


def promtool(*arguments):
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def alerts(objects):
    return [rule["alert"] for rule in only(objects, "PrometheusRule")["spec"]["groups"][0]["rules"]]


def test_alert_rules_can_be_read(rendered, tmp_path):
    code, text = promtool("check", "rules", rules(rendered["overlays/prod"], tmp_path))
    assert code == 0, text
    code, text = promtool("check", "rules", rules(rendered["overlays/prod"], tmp_path, lambda t: t.replace("== 0", "= = 0", 1)))
    assert code != 0 and "parse" in text, text


def test_every_alert_is_explained():
    page = (ROOT / "docs/operations.md").read_text()
    names = re.findall(r"alert: (\w+)", (K8S / "overlays/prod/alerts.yaml").read_text())
    assert len(names) >= 15
    assert [name for name in names if f"**{name}**" not in page] == []
    assert [name for name in re.findall(r"\*\*(Hikyaku\w+)\*\*", page) if name not in names] == []


# A good hour, in which no alert fires: a sample a minute.
HEALTHY = {
    'up{job="hikyaku",pod="p"}': "1x90",
    'hikyaku_queue_gate_closed{shard="a"}': "0x90",
    'hikyaku_queue_commit_failures_total{shard="a"}': "0x90",
    'hikyaku_queue_unreadable_total{shard="a"}': "0x90",
    'hikyaku_queue_deliveries{shard="a",state="ready"}': "5x90",
    'hikyaku_delivery_attempts_total{result="delivered"}': "0+600x90",
    'hikyaku_queue_oldest_age_seconds{shard="a"}': "30x90",
    'hikyaku_queue_free_disk_bytes{shard="a"}': "50000000000-1000000x90",
    'hikyaku_queue_sync_seconds_bucket{shard="a",le="0.01"}': "0+600x90",
    'hikyaku_queue_sync_seconds_bucket{shard="a",le="0.5"}': "0+600x90",
    'hikyaku_queue_sync_seconds_bucket{shard="a",le="+Inf"}': "0+600x90",
    "hikyaku_submission_spilled_total": "0x90",
    'hikyaku_submission_refused_total{protocol="smtp",reason="unavailable"}': "0+1x90",
    'hikyaku_submission_refused_total{protocol="smtp",reason="invalid"}': "0+900x90",
    'hikyaku_submission_accepted_messages_total{protocol="smtp"}': "0+600x90",
    'hikyaku_queue_bounced_recipients_total{shard="a"}': "0+6x90",
    'hikyaku_queue_delivered_recipients_total{shard="a"}': "0+600x90",
    'hikyaku_delivery_dns_failures_total{reason="failed"}': "0+1x90",
    'hikyaku_dns_lookups_total{from="server"}': "0+600x90",
    'hikyaku_queue_ambiguous_total{shard="a"}': "0x90",
    'hikyaku_queue_lost_leases_total{shard="a"}': "0x90",
    'hikyaku_internal_certificate_expiry_timestamp_seconds{pod="p"}': "5000000x90",
}

# What makes each alert fire by the end of that hour.
ILL = {
    "HikyakuDown": {'up{job="hikyaku",pod="p"}': "1x50 0x40"},
    "HikyakuGateClosed": {'hikyaku_queue_gate_closed{shard="a"}': "0x50 1x40"},
    "HikyakuCommitFails": {'hikyaku_queue_commit_failures_total{shard="a"}': "0x85 1x5"},
    "HikyakuUnreadable": {'hikyaku_queue_unreadable_total{shard="a"}': "0x80 3x10"},
    "HikyakuNothingDelivers": {'hikyaku_delivery_attempts_total{result="delivered"}': "0+600x50 30000x40"},
    "HikyakuMailWaits": {'hikyaku_queue_oldest_age_seconds{shard="a"}': "0+60x90"},
    "HikyakuDiskFillsUp": {'hikyaku_queue_free_disk_bytes{shard="a"}': "50000000000-300000000x90"},
    "HikyakuSyncSlow": {'hikyaku_queue_sync_seconds_bucket{shard="a",le="0.01"}': "0+500x90"},
    "HikyakuSpills": {"hikyaku_submission_spilled_total": "0x50 0+10x40"},
    "HikyakuRefuses": {'hikyaku_submission_refused_total{protocol="smtp",reason="unavailable"}': "0+60x90"},
    "HikyakuBounces": {'hikyaku_queue_bounced_recipients_total{shard="a"}': "0+90x90"},
    "HikyakuDnsFails": {'hikyaku_delivery_dns_failures_total{reason="failed"}': "0+120x90"},
    "HikyakuAmbiguous": {'hikyaku_queue_ambiguous_total{shard="a"}': "0+1x90"},
    "HikyakuLosesLeases": {'hikyaku_queue_lost_leases_total{shard="a"}': "0+10x90"},
    "HikyakuCertificateRunsOut": {'hikyaku_internal_certificate_expiry_timestamp_seconds{pod="p"}': "600000x90"},
}


def firing(objects, tmp_path, changes):
    """The alerts that fire after 90 minutes of these samples."""
    series = dict(HEALTHY, **changes)
    test = {"rule_files": [str(rules(objects, tmp_path))], "evaluation_interval": "1m", "tests": [{
        "interval": "1m", "input_series": [{"series": s, "values": v} for s, v in series.items()],
        # Wrong on purpose: promtool then tells what it has got.
        "promql_expr_test": [{"expr": 'group by (alertname) (ALERTS{alertstate="firing"})', "eval_time": "90m",
                              "exp_samples": [{"labels": "{}", "value": 2}]}]}]}
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump(test))
    code, text = promtool("test", "rules", file)
    assert code == 1 and "got:" in text, text
    return re.findall(r'alertname="(\w+)"', text[text.index("got:"):])


def test_no_alert_fires_on_a_good_day(rendered, tmp_path):
    assert firing(rendered["overlays/prod"], tmp_path, {}) == []


@pytest.mark.parametrize("alert", ILL)
def test_an_alert_fires_when_it_should(rendered, tmp_path, alert):
    assert firing(rendered["overlays/prod"], tmp_path, ILL[alert]) == [alert]


def test_every_alert_has_its_case(rendered):
    assert sorted(ILL) == sorted(alerts(rendered["overlays/prod"]))


# The image.

def test_the_image_has_the_libraries_of_the_binary():
    """ldd and dpkg name the packages; deploy/docker/packages.txt has them, and no others."""
    listed = {line for line in (ROOT / "deploy/docker/packages.txt").read_text().split("\n") if line and line[0] != "#"}
    loaded = re.findall(r"=> (/\S+)", subprocess.run(["ldd", BINARY], check=True, capture_output=True, text=True).stdout)
    paths = {os.path.realpath(path) for path in loaded} | set(loaded)
    found = subprocess.run(["dpkg", "-S", *paths], capture_output=True, text=True).stdout  # Not all are known to it.
    owners = {line.split(":")[0] for line in found.splitlines()}
    base = {"libc6", "libgcc-s1", "libbz2-1.0"}  # Of every Debian.
    assert owners - base | {"ca-certificates"} == listed  # Read, not loaded: delivery.tls.ca_file.
