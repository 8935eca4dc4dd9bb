"""Three services and two shards: what one process promises, several keep together, also while some of them are away."""

import collections
import itertools
import re
import signal
import threading
import time

import grpc
import pytest
from google.protobuf import timestamp_pb2

from support.api import Api, admin_pb2, events_pb2, mail_pb2, request, retry
from support.load import RETRYABLE, Bounces, Load, settle
from support.node import Cluster, Node, http_get, merged
from support.post import mail, token
from support.smtp import Client, send_mail
from support.wait import wait_for
from support.world import World, code_of

Code = grpc.StatusCode
ONE, TWO = "20.0.0.21", "20.0.0.22"
STEP_BY_STEP = ("8BITMIME", "SIZE 52428800")


@pytest.fixture(scope="module")
def cluster(module_stage):
    cluster = Cluster(module_stage.folder, {"queue": {"lease_timeout": "8s", "domain_concurrency": 5}})
    module_stage.add(cluster, cluster.kill)
    return cluster.start()


@pytest.fixture(scope="module")
def world(module_stage, cluster):
    return World(module_stage, node=cluster.submission)


@pytest.fixture(autouse=True)
def books_add_up(cluster, world):
    """Each test leaves every process running, an empty queue, and two shards whose books add up."""
    yield
    for node in cluster.nodes:
        if not node.process.running():
            node.start()
    all_connected(cluster, world)
    world.purge()
    assert [shard.shard for shard in world.api.check()] == ["q0", "q1"]


def all_connected(cluster, world):
    """Submission reaches both shards, and so does delivery."""
    wait_for(lambda: not listed(world).missing_shards, 60, "both shards")
    for node in cluster.nodes:
        node.wait_ready()


def listed(world):
    try:
        return world.api.admin.ListQueues(admin_pb2.ListQueuesRequest(limit=1000), timeout=10)
    except grpc.RpcError:
        return admin_pb2.ListQueuesResponse(missing_shards=["q0", "q1"])


@pytest.fixture(scope="module")
def domains(cluster, world):
    """{shard: names of fresh domains that it owns}; found out by mail that is not due for an hour."""
    owned = {"q0": [], "q1": []}
    later = timestamp_pb2.Timestamp(seconds=int(time.time()) + 3600)
    all_connected(cluster, world)
    for i in range(80):
        message_id = world.send(f"r@owned{i}.test", not_before=later)
        owned[world.api.get(message_id).deliveries[0].shard].append(f"owned{i}.test")
    world.purge()
    return owned


def fresh(world, domains, shard, *hosts):
    """A fresh domain that this shard owns, with these MX hosts."""
    name = domains[shard].pop()
    for number, (preference, address) in enumerate(hosts or [(10, ONE)], 1):
        world.dns.zone[f"mx{number}.{name}"] = world.addresses(address)
        world.dns.zone.setdefault(name, {"MX": []})["MX"].append((preference, f"mx{number}.{name}"))
    return name


def suspend(world, *names):
    for name in names:
        answer = world.api.admin.Suspend(admin_pb2.SuspendRequest(domain=name), timeout=10)
        assert not answer.missing_shards


def resume(world, *names):
    for name in names:
        retry(lambda: world.api.admin.Resume(admin_pb2.ResumeRequest(domain=name), timeout=10))


# Two shards, one service.

def test_domains_are_spread_and_stay(world, domains):
    assert {len(names) > 20 for names in domains.values()} == {True}, {s: len(n) for s, n in domains.items()}
    for shard in ("q0", "q1"):
        name = domains[shard][0]
        later = timestamp_pb2.Timestamp(seconds=int(time.time()) + 3600)
        again = [world.api.get(world.send(f"r{i}@{name}", not_before=later)).deliveries[0].shard for i in range(3)]
        assert again == [shard] * 3


def test_one_message_for_domains_of_both_shards(world, stage, domains):
    sink = stage.sink(ONE)
    a, b = fresh(world, domains, "q0"), fresh(world, domains, "q1")
    answer = world.api.send(request(to=[f"r@{a}", f"s@{b}", f"t@{a}"]))
    # Both parts were on disk before the answer.
    assert {(e.shard, e.domain) for e in world.api.events(answer.message_id, "ACCEPTED")} == {("q0", a), ("q1", b)}
    world.api.wait_event(answer.message_id, "DELIVERED", 2)
    record = world.api.get(answer.message_id)
    assert sorted((d.shard, d.domain) for d in record.deliveries) == [("q0", a), ("q1", b)]
    assert not record.missing_shards
    assert sorted(sorted(mail.recipients) for mail in sink.mails) == sorted([[f"r@{a}", f"t@{a}"], [f"s@{b}"]])


def test_ok_means_on_disk_at_both_shards(cluster, world, stage, domains):
    """kill -9 of both shards right after the answers: every mail is there, each once."""
    sink = stage.sink(ONE)
    a, b = fresh(world, domains, "q0"), fresh(world, domains, "q1")
    suspend(world, a, b)
    words = [token() for _ in range(20)]
    for word in words[:10]:
        world.send(f"r@{a}", f"s@{b}", subject=word)
    for word in words[10:]:
        code, text = send_mail(world.node.smtp, "alice@ours.test", [f"r@{a}", f"s@{b}"], mail(word))
        assert code == 250, text
    for shard in cluster.shards.values():
        shard.kill()
    for shard in cluster.shards.values():
        shard.start()
    all_connected(cluster, world)
    assert world.api.queued() == 40
    resume(world, a, b)
    world.api.wait_empty()
    assert sorted((m.header("Subject")[0], m.recipients[0]) for m in sink.mails) == sorted(
        (word, r) for word in words for r in (f"r@{a}", f"s@{b}"))


# Idempotency over shards and front-ends.

@pytest.fixture(scope="module")
def second_front_end(module_stage, cluster):
    """Another submission process of the same cluster."""
    node = Node(module_stage.folder, merged(cluster.submission.config, {"listeners": {
        "grpc": [{"address": "127.0.0.1:7035"}], "smtp": [{"address": "127.0.0.1:2535"}],
        "http": [{"address": "127.0.0.1:8035"}]}}), "submission", "submission2")
    module_stage.add(node, node.kill)
    return node.start()


def test_one_key_over_two_shards_and_two_front_ends(world, stage, domains, second_front_end):
    """Twins at the same moment by both doors, and again later: one message, one mail for each recipient."""
    sink = stage.sink(ONE)
    other = Api(second_front_end.grpc)
    stage.add(other, other.close)
    a, b = fresh(world, domains, "q0"), fresh(world, domains, "q1")
    for round_ in range(6):  # Keys live at either shard.
        word = token()
        message = request(subject=word, to=[f"r@{a}", f"s@{b}"], idempotency_key=word)
        apis = list(itertools.islice(itertools.cycle([world.api, other]), 10))
        calls = [api.mail.SendMail.future(message, timeout=60) for api in apis]
        answers = [retry(lambda c=call, a=api: c.result() if c.code() == Code.OK else a.send(message))
                   for call, api in zip(calls, apis)]
        answers += [api.send(message) for api in (world.api, other)]
        assert len({answer.message_id for answer in answers}) == 1, round_
        assert all(answer.replayed for answer in answers[-2:])
        changed = request(subject="other", to=[f"r@{a}", f"s@{b}"], idempotency_key=word)
        assert code_of(lambda: other.send(changed)) == Code.ALREADY_EXISTS
    world.api.wait_empty()
    assert sorted(sink.recipients()) == sorted([f"r@{a}", f"s@{b}"] * 6)


def test_a_key_while_a_shard_is_away(cluster, world, stage, domains):
    """Repeated until it works, over the death and the return of a shard: each recipient gets one mail; two only where that
    shard had delivered it, and died before it could write so."""
    sink = stage.sink(ONE)
    a, b = fresh(world, domains, "q0"), fresh(world, domains, "q1")
    messages = [request(subject=word, to=[f"r@{a}", f"s@{b}"], idempotency_key=word)
                for word in (token() for _ in range(12))]
    half = [world.api.mail.SendMail.future(message, timeout=60) for message in messages[:6]]
    killed = time.monotonic()
    cluster.shards["q1"].kill()
    codes = {code_of(call.result) for call in half} | {code_of(lambda m=m: world.api.send(m)) for m in messages[6:]}
    assert codes <= {Code.OK, *RETRYABLE}, codes
    cluster.shards["q1"].start()
    all_connected(cluster, world)
    for message in messages:
        wait_for(lambda: code_of(lambda: world.api.send(message)) == Code.OK, 60, "a repeat that works")
    world.api.wait_empty()
    got = collections.defaultdict(list)
    for received in sink.mails:
        for recipient in received.recipients:
            got[received.header("Subject")[0], recipient].append(received.time - killed)
    assert set(got) == {(m.content.subject, r) for m in messages for r in (f"r@{a}", f"s@{b}")}
    twice = {pair: times for pair, times in got.items() if len(times) > 1}
    assert all(recipient == f"s@{b}" and -1 < min(times) < 5 for (_, recipient), times in twice.items()), (
        twice, [line for line in cluster.delivery.log().splitlines() if a in line or "lease" in line])


# Shards that are away.

def test_a_shard_is_down_and_comes_back(cluster, world, stage, domains):
    """Its domains spill to the other one; what it holds waits for it; what is missing is named."""
    sink = stage.sink(ONE)
    held, spilled = fresh(world, domains, "q1"), fresh(world, domains, "q1")
    suspend(world, held)
    waiting = world.send(f"r@{held}")
    before = world.node.metric("hikyaku_submission_spilled_total") or 0
    cluster.shards["q1"].stop()
    wait_for(lambda: list(listed(world).missing_shards) == ["q1"], 30, "q1 missed")

    answer = retry(lambda: world.api.send(request(to=[f"r@{spilled}"])))
    assert [e.shard for e in world.api.wait_event(answer.message_id, "DELIVERED")] == ["q0"]
    record = world.api.get(answer.message_id)
    assert [d.shard for d in record.deliveries] == ["q0"] and list(record.missing_shards) == ["q1"]
    assert world.node.metric("hikyaku_submission_spilled_total") > before
    assert send_mail(world.node.smtp, "alice@ours.test", [f"s@{spilled}"], mail(token()))[0] == 250
    assert world.node.ready()[0] == 200
    assert code_of(lambda: world.api.get(waiting)) == Code.UNAVAILABLE, "nobody who is there knows it"

    cluster.shards["q1"].start()
    all_connected(cluster, world)
    assert not sink.recipients().count(f"r@{held}")
    resume(world, held)
    world.delivered(waiting)
    back = world.api.get(world.send(f"t@{spilled}"))
    assert [d.shard for d in back.deliveries] == ["q1"]
    world.api.wait_empty()
    assert sorted(sink.recipients()) == sorted([f"r@{spilled}", f"s@{spilled}", f"t@{spilled}", f"r@{held}"])


def test_no_shard_is_up(cluster, world, stage, domains):
    """UNAVAILABLE, 451, not ready; and all is well by itself when they are back."""
    sink = stage.sink(ONE)
    name = fresh(world, domains, "q0")
    for shard in cluster.shards.values():
        shard.stop()
    wait_for(lambda: world.node.ready()[0] == 503, 30, "not ready")
    assert "shard" in world.node.ready()[1]
    assert http_get(world.node.http, "/healthz")[0] == 200
    assert code_of(lambda: world.api.send(request(to=[f"r@{name}"]))) == Code.UNAVAILABLE
    with Client(world.node.smtp) as client:
        if client.banner[0] == 220:
            client.hello()
            code, text = client.command("MAIL FROM:<alice@ours.test>")
            if code == 250:
                assert client.command(f"RCPT TO:<r@{name}>")[0] == 250
                code, text = client.message(mail(token()))
            assert code in (421, 451), (code, text)
        else:
            assert client.banner[0] == 421
    for shard in cluster.shards.values():
        shard.start()
    wait_for(lambda: world.node.ready()[0] == 200, 60, "ready")
    world.delivered(retry(lambda: world.api.send(request(to=[f"r@{name}"]))).message_id)
    assert sink.recipients() == [f"r@{name}"]


# Workers that are away.

class Held:
    """A Sink's script that holds the RCPT of its first session until it is told to go on."""

    def __init__(self):
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self, at, argument, session):
        if at == "RCPT" and not self.reached.is_set():
            self.reached.set()
            self.go_on.wait(60)
        return None


def leased(world, name):
    return [(q.ready, q.leased, q.scheduled) for q in listed(world).queues if q.domain == name]


@pytest.mark.parametrize("extensions", [STEP_BY_STEP, ("PIPELINING",)], ids=["step by step", "pipelined"])
def test_a_worker_is_killed_in_the_middle_of_a_lease(cluster, world, stage, domains, extensions):
    """The mail is ready again at once, and it counts as no attempt."""
    held = Held()
    sink = stage.sink(ONE, script=held, extensions=extensions)
    name = fresh(world, domains, "q1")
    message_id = world.send(f"r@{name}")
    assert held.reached.wait(30)
    assert leased(world, name) == [(0, 1, 0)]
    cluster.delivery.kill()
    wait_for(lambda: leased(world, name) == [(1, 0, 0)], 30, lambda: leased(world, name))
    held.go_on.set()
    cluster.delivery.start()
    assert world.delivered(message_id).attempts == 1
    assert sink.recipients() == [f"r@{name}"]


def test_a_worker_that_is_frozen_loses_its_lease(cluster, world, stage, domains):
    """Another one delivers; the first, awake again, finds the answer that it waited for, and does not send the dot."""
    held = Held()
    sink = stage.sink(ONE, script=held, extensions=STEP_BY_STEP)
    name = fresh(world, domains, "q0")
    message_id = world.send(f"r@{name}")
    assert held.reached.wait(30)
    elsewhere = merged(cluster.delivery.config, {"listeners": {"http": [{"address": "127.0.0.1:8201"}]}})
    second = Node(stage.folder, elsewhere, "delivery", "delivery2")
    stage.add(second, second.kill)
    cluster.delivery.process.signal(signal.SIGSTOP)
    try:
        second.start()
        world.delivered(message_id)
        held.go_on.set()
        wait_for(lambda: sink.active == 2 or len(sink.commands) > 0, 5)
    finally:
        cluster.delivery.process.signal(signal.SIGCONT)
    # The frozen one's session ends without its mail.
    first = next(number for number, line in sink.commands if line.startswith("RCPT"))
    wait_for(lambda: cluster.delivery.metric("hikyaku_delivery_lost_leases_total") == 1, 30, "a lease known to be lost")
    assert sink.recipients() == [f"r@{name}"]
    assert len(world.api.events(message_id, "DELIVERED")) == 1
    assert world.api.get(message_id).deliveries[0].attempts == 1
    assert not [line for number, line in sink.commands if number == first and line.startswith("QUIT")]
    # Both work on.
    for i in range(4):
        world.delivered(world.send(f"s{i}@{name}"))
    second.stop()
    all_connected(cluster, world)


# Everything is restarted under load.

def test_rolling_restart_under_load(cluster, world, stage, domains):
    """Each process in turn, twice: clients are told only what they may repeat, nothing is lost, and only the restart of
    a shard may double what was on its way."""
    sink = stage.sink(ONE)
    names = [fresh(world, domains, shard) for shard in ("q0", "q1") for _ in range(4)]
    load = Load(cluster.submission, names, smtp=3, grpc=3, mixed=False).start()
    bounces = stage.add(*(lambda b: (b, b.stop))(Bounces(cluster.submission)))
    faults = []
    try:
        load.wait_acked(100)
        for node in cluster.nodes * 2:
            if node.role == "queue":
                faults.append(time.monotonic())
            node.stop()
            if node.role == "queue":
                faults.append(time.monotonic())
            node.start()
            load.wait_acked(100)
    finally:
        load.stop()
    codes = load.codes()
    assert set(codes) <= {*RETRYABLE, 421, 451}, codes
    assert all(e.result == "acked" for e in load.entries.values() if e.via == "grpc" and not e.said)
    all_connected(cluster, world)
    counts = settle(load, [sink], bounces, faults)
    assert counts["acked"] >= 900
    assert not bounces.recipients


# Watching.

def test_events_of_both_shards_are_watched(cluster, world, stage, domains):
    """In order for each shard, none missing and none twice, also over the restart of a shard and from a cursor."""
    stage.sink(ONE)
    a, b = fresh(world, domains, "q0"), fresh(world, domains, "q1")
    got, ids = [], []

    def watch(cursor):
        call = world.api.mail.WatchEvents(mail_pb2.WatchEventsRequest(cursor=cursor), timeout=300)
        stage.add(call, call.cancel)

        def run():
            try:
                for response in call:
                    got.append(response)
            except grpc.RpcError:
                pass
        threading.Thread(target=run, daemon=True).start()
        return call

    def complete():
        seen = {(r.event.message_id, r.event.domain, r.event.type) for r in got}
        return all((i, d, t) in seen for i in ids for d in (a, b)
                   for t in (events_pb2.Event.TYPE_ACCEPTED, events_pb2.Event.TYPE_DELIVERED))

    call = watch("0")
    ids += [world.send(f"r@{a}", f"s@{b}") for _ in range(5)]
    wait_for(complete, 60, "the events of five mails")
    cluster.shards["q1"].restart()
    all_connected(cluster, world)
    ids += [world.send(f"r@{a}", f"s@{b}") for _ in range(5)]
    wait_for(complete, 60, "the events of five more mails")
    call.cancel()
    assert re.fullmatch(r"q0=\d+,q1=\d+", got[-1].cursor)

    # From the middle on: the same events, each once.
    whole = {(r.event.shard, r.event.sequence) for r in got}
    assert len(whole) == len(got)
    first, rest = got[:len(got) // 2], got[len(got) // 2:]
    del got[:]
    watch(first[-1].cursor)
    wait_for(lambda: len(got) >= len(rest), 60, "the second half")
    assert {(r.event.shard, r.event.sequence) for r in got} == {(r.event.shard, r.event.sequence) for r in rest}
    for shard in ("q0", "q1"):
        sequences = [r.event.sequence for r in first + got if r.event.shard == shard]
        assert sequences == sorted(sequences) and sequences
