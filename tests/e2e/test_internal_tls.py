"""mTLS between the services, in a cluster whose shards have the names, addresses and certificates of pods: who has no
certificate of the cluster's authority is told nothing and gets nothing, mail waits meanwhile, and flows when it is healed."""

import time

import grpc
import pytest

from support.api import admin_pb2
from support.authority import Authority, Hosts
from support.load import RETRYABLE, Bounces, Load, settle
from support.node import Cluster, Node, merged
from support.post import mail, token
from support.smtp import Client, send_mail
from support.wait import port_open, wait_for
from support.world import World, code_of

Code = grpc.StatusCode
MX = "20.0.0.21"
SERVICE = "hikyaku-queue.hikyaku.svc.cluster.local"
SHARDS = ("hikyaku-queue-0", "hikyaku-queue-1")
NAMES = [f"DNS:*.{SERVICE}"]
HERE = {"hikyaku-queue-0": "20.0.0.31", "hikyaku-queue-1": "20.0.0.32"}
ELSEWHERE = {"hikyaku-queue-0": "20.0.0.33", "hikyaku-queue-1": "20.0.0.34"}


class Pods(Cluster):
    """A Cluster with mTLS. One configuration for all: a shard knows its name from the machine's, as a pod does."""

    def __init__(self, stage):
        self.folder = stage.folder
        self.authority = Authority(stage.folder / "authority")
        self.hosts = stage.add(*(lambda h: (h, h.stop))(
            Hosts(stage.folder, {f"{name}.{SERVICE}": ip for name, ip in HERE.items()})))
        super().__init__(stage.folder, {"queue": {"lease_timeout": "8s"}}, SHARDS,
                         listed=[{"name": name, "address": f"{name}.{SERVICE}:7026"} for name in SHARDS])
        for node in self.nodes:
            node.config["queue"]["tls"] = self.issue(node.name)
            node.wrap = ["unshare", "--uts", "bash", "-c", 'hostname "$0"; exec "$@"', node.name]
        for name, shard in self.shards.items():
            del shard.config["queue"]["name"]
            self.move(name, HERE[name])

    def issue(self, name, authority=None, **options):
        """New files for this node, at the same place."""
        return (authority or self.authority).issue(self.folder / f"{name}-tls", NAMES, **options)

    def move(self, name, address):
        """Where the shard listens from its next start on."""
        self.shards[name].config["listeners"]["internal"] = [{"address": f"{address}:7026"}]
        self.hosts.set(**{f"{name}.{SERVICE}": address})


@pytest.fixture(scope="module")
def pods(module_stage):
    pods = Pods(module_stage)
    module_stage.add(pods, pods.kill)
    return pods.start()


@pytest.fixture(scope="module")
def world(module_stage, pods):
    return World(module_stage, node=pods.submission)


def all_connected(pods, world):
    """Submission reaches both shards, and so does delivery."""
    def reached():
        try:
            answer = world.api.admin.ListQueues(admin_pb2.ListQueuesRequest(limit=1), timeout=10)
        except grpc.RpcError:
            return False
        return not answer.missing_shards
    wait_for(reached, 60, "both shards")
    for node in pods.nodes:
        node.wait_ready()


@pytest.fixture(autouse=True)
def books_add_up(pods, world):
    all_connected(pods, world)
    yield
    for node in pods.nodes:
        pods.issue(node.name)
    all_connected(pods, world)
    world.purge()
    assert [shard.shard for shard in world.api.check()] == list(SHARDS)


def test_mail_flows_by_mtls(pods, world, stage):
    sink = stage.sink(MX)
    names = [world.domain((10, MX)) for _ in range(12)]
    ids = [world.send(f"r@{name}") for name in names[:10]] + [world.send(*(f"s@{name}" for name in names))]
    world.api.wait_empty()
    assert sorted(sink.recipients()) == sorted([f"r@{name}" for name in names[:10]] + [f"s@{name}" for name in names])
    assert {d.shard for d in world.api.get(ids[-1]).deliveries} == set(SHARDS)
    for node in pods.nodes:
        expiry = node.metric("hikyaku_internal_certificate_expiry_timestamp_seconds")
        assert abs(expiry - time.time() - 10 * 86400) < 3600, node.name


# Strangers at the door.

def health(credentials, name="hikyaku-queue-0"):
    """What grpc.health.v1 says to someone with these credentials: b"\\x08\\x01" is SERVING."""
    target = f"{HERE[name]}:7026"
    options = [("grpc.ssl_target_name_override", f"{name}.{SERVICE}"), ("grpc.enable_http_proxy", 0)]
    channel = grpc.secure_channel(target, credentials, options) if credentials else grpc.insecure_channel(target)
    with channel:
        return channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=10)


def credentials(files, certificate=True):
    read = {key: open(path, "rb").read() for key, path in files.items()}
    if not certificate:
        return grpc.ssl_channel_credentials(read["ca"])
    return grpc.ssl_channel_credentials(read["ca"], read["key"], read["certificate"])


def test_a_certificate_of_the_authority_opens_the_door(pods, stage):
    assert health(credentials(pods.authority.issue(stage.folder / "me"))) == b"\x08\x01"


@pytest.mark.parametrize("who", ["in the clear", "without a certificate", "of another authority", "expired"])
def test_strangers_get_nothing(pods, stage, who):
    files = pods.authority.issue(stage.folder / "me", days=-1 if who == "expired" else 10)
    if who == "of another authority":
        files.update(Authority(stage.folder / "other", "other").issue(stage.folder / "other-me"), ca=files["ca"])
    key = None if who == "in the clear" else credentials(files, certificate=who != "without a certificate")
    with pytest.raises(grpc.RpcError) as refusal:
        health(key)
    assert refusal.value.code() == Code.UNAVAILABLE, refusal.value


# One of ours with the wrong files: it is heard of, and heals by itself when they are right.

WRONG = {
    "of another authority": lambda pods, stage: {"authority": Authority(stage.folder / "other", "other")},
    "expired": lambda pods, stage: {"days": -1},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_front_end_with_wrong_files(pods, world, stage, wrong):
    sink = stage.sink(MX)
    name = world.domain((10, MX))
    pods.issue("submission", **WRONG[wrong](pods, stage))
    pods.submission.stop()
    pods.submission.start(wait=False)
    wait_for(lambda: "shard" in pods.submission.ready()[1], 30, pods.submission.ready)
    wait_for(lambda: port_open(*pods.submission.smtp), 30)
    assert code_of(lambda: world.send(f"r@{name}")) in RETRYABLE
    with Client(pods.submission.smtp) as client:
        client.hello()
        assert client.command("MAIL FROM:<alice@ours.test>")[0] == 451
    assert pods.submission.ready()[0] == 503
    pods.issue("submission")
    pods.submission.wait_ready()
    message_id = wait_for(lambda: sent(world, f"s@{name}"), 30, "a mail taken")
    world.delivered(message_id)
    assert sink.recipients() == [f"s@{name}"], "what was refused is not there"


def sent(world, *recipients):
    try:
        return world.send(*recipients)
    except grpc.RpcError as error:
        assert error.code() in RETRYABLE
        return None


@pytest.mark.parametrize("wrong", WRONG)
def test_a_worker_with_wrong_files(pods, world, stage, wrong):
    sink = stage.sink(MX)
    name = world.domain((10, MX))
    pods.issue("delivery", **WRONG[wrong](pods, stage))
    pods.delivery.stop()
    pods.delivery.start(wait=False)
    message_id = world.send(f"r@{name}")
    wait_for(lambda: "no shard can be reached" in pods.delivery.ready()[1], 30, pods.delivery.ready)
    [queue] = [q for q in world.queues() if q.domain == name]
    assert (queue.ready, queue.leased) == (1, 0) and not sink.recipients()
    pods.issue("delivery")
    assert world.delivered(message_id).attempts == 1
    assert sink.recipients() == [f"r@{name}"]


def test_a_shard_that_bears_another_name_gets_no_mail(pods, world, stage):
    """Until who calls it is told to expect that name (queue.tls.server_name)."""
    sink = stage.sink(MX)
    for name in SHARDS:
        pods.authority.issue(pods.folder / f"{name}-tls", ["DNS:shards.cluster.test"])
        pods.shards[name].stop()
        pods.shards[name].start()  # It is well; it is only not believed.
    wait_for(lambda: pods.submission.ready()[0] == 503, 30, "not ready")
    other = Node(stage.folder, merged(pods.submission.config, {
        "queue": {"tls": {"server_name": "shards.cluster.test"}},
        "listeners": {"grpc": [{"address": "127.0.0.1:7035"}], "smtp": [{"address": "127.0.0.1:2535"}],
                      "http": [{"address": "127.0.0.1:8035"}]}}), "submission", "submission2")
    stage.add(other, other.kill)
    other.start()
    domain = world.domain((10, MX))
    assert send_mail(other.smtp, "alice@ours.test", [f"r@{domain}"], mail(token()))[0] == 250
    assert not sink.recipients(), "the worker still expects the other name"
    for name in SHARDS:
        pods.issue(name)
    all_connected(pods, world)
    world.api.wait_empty()
    assert sink.recipients() == [f"r@{domain}"]
    other.stop()


# Files change while all runs.

def test_the_authority_is_replaced_under_load(pods, world, stage):
    """Both are believed, then new certificates, then the new one alone is believed; no process is restarted."""
    sink = stage.sink(MX)
    load = Load(pods.submission, [world.domain((10, MX)) for _ in range(6)], smtp=2, grpc=2, mixed=False).start()
    bounces = stage.add(*(lambda b: (b, b.stop))(Bounces(pods.submission)))
    old, new = pods.authority, Authority(stage.folder / "next", "next")
    pids = [node.process.pid for node in pods.nodes]
    try:
        for issuer, trust in ((old, [old, new]), (new, [old, new]), (new, [new])):
            for node in pods.nodes:
                pods.issue(node.name, authority=issuer, trust=trust)
            time.sleep(6)  # A reading of the files; nothing shows it from outside but new connections.
            load.wait_acked(50)
        load.wait_acked(50)
    finally:
        load.stop()
    assert not load.codes(), load.codes()
    settle(load, [sink], bounces)
    assert health(credentials(new.issue(stage.folder / "me"))) == b"\x08\x01"
    with pytest.raises(grpc.RpcError):
        health(credentials(old.issue(stage.folder / "old", trust=[new])))
    pods.authority = new


def test_c11_rolling_restart_with_mtls(pods, world, stage):
    """Each process once, under load; a shard comes back at another address, as a pod does, and is found soon."""
    sink = stage.sink(MX)
    load = Load(pods.submission, [world.domain((10, MX)) for _ in range(6)], smtp=2, grpc=2, mixed=False).start()
    bounces = stage.add(*(lambda b: (b, b.stop))(Bounces(pods.submission)))
    faults = []
    try:
        load.wait_acked(50)
        for node in pods.nodes:
            if node.role == "queue":
                faults.append(time.monotonic())
            node.stop()
            if node.role == "queue":
                faults.append(time.monotonic())
                pods.move(node.name, ELSEWHERE[node.name])
            node.start()
            load.wait_acked(50)
    finally:
        load.stop()
    assert set(load.codes()) <= {*RETRYABLE, 421, 451}, load.codes()
    world.api.wait_empty(120)
    settle(load, [sink], bounces, faults)
    for name in SHARDS:
        pods.shards[name].stop()
        pods.move(name, HERE[name])
        pods.shards[name].start()
    all_connected(pods, world)
