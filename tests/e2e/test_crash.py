"""kill -9, SIGTERM and the order of the disk: C01, C09 and C12 of BATTERY, with the sets of its crash protocol."""

import random
import re
import time

import pytest

from support.api import admin_pb2, request
from support.load import RETRYABLE, Bounces, Load, moods, settle
from support.post import mail, token
from support.smtp import Client
from support.strace import Strace
from support.wait import wait_for
from support.world import World

ONE, TWO = "20.0.0.21", "20.0.0.22"
PLAIN = ("PIPELINING", "8BITMIME", "SIZE 52428800")  # Without CHUNKING.


@pytest.fixture
def world(stage):
    return World(stage, {"queue": {"write_buffer": "1MiB"}})


@pytest.fixture
def traffic(world, stage):
    """(load, sinks, bounces): mixed clients, mixed recipients, receivers of two kinds; the load has not begun."""
    sinks = [stage.sink(ONE, script=moods()), stage.sink(TWO, script=moods(), extensions=PLAIN)]
    domains = [world.domain((10, address)) for address in (ONE, TWO) for _ in range(3)]
    bounces = stage.add(*(lambda b: (b, b.stop))(Bounces(world.node)))
    return Load(world.node, domains, smtp=3, grpc=3), sinks, bounces


def drained(world):
    """Everything has ended and the books add up: accepted = delivered + bounced + expired, exactly."""
    wait_for(lambda: world.node.ready()[0] == 200, 60, "ready")
    world.api.wait_empty(120)
    shard = world.api.check()[0]
    assert shard.accepted_total == shard.delivered_total + shard.bounced_total
    assert (shard.deliveries, shard.bodies, shard.expired_total) == (0, 0, 0)
    return shard


def test_c01_killed_again_and_again_under_load(world, traffic):
    """kill -9 at any moment, also while it starts: nothing acknowledged is lost, nothing doubled without a reason."""
    load, sinks, bounces = traffic
    load.start()
    kills = []
    try:
        for cycle in range(8):
            load.wait_acked(100)
            time.sleep(random.random() * 0.3)  # The moment is to be any.
            kills.append(time.monotonic())
            world.node.kill()
            if cycle % 4 == 3:  # And once more before it is ready.
                world.node.start(wait=False)
                time.sleep(random.random() * 0.2)
                kills.append(time.monotonic())
                world.node.kill()
            world.node.start()
    finally:
        load.stop()
    counts = settle(load, sinks, bounces, kills)
    assert counts["acked"] >= 800
    assert set(load.codes()) <= {*RETRYABLE}, load.codes()
    shard = drained(world)
    assert shard.accepted_total >= counts["acked"]


def test_c09_sigterm_under_load(world, traffic):
    """What is under way ends or is told to come again; exit 0 within 30 s; nothing lost, and nothing twice."""
    load, sinks, bounces = traffic
    load.start()
    try:
        for _ in range(3):
            load.wait_acked(150)
            begin = time.monotonic()
            world.node.stop()
            assert time.monotonic() - begin < 30
            world.node.start()
        load.wait_acked(50)
    finally:
        load.stop()
    settle(load, sinks, bounces)
    assert set(load.codes()) <= {*RETRYABLE, 421}, load.codes()
    drained(world)


def ordered(calls, word, message_id):
    """Asserts: the log write with this mail ended, then a sync began and ended, and only then any word of it left."""
    written = next(c for c in calls if ".log>" in c.text and word in c.text and "write" in c.name)
    told = next(c for c in calls if message_id in c.text and re.match(r"\w+\(\d+<(?:TCP|socket|TCPv6)", c.text))
    log_file = re.search(r"<([^>]*\.log)>", written.text).group(1)
    syncs = [c for c in calls if c.name in ("fdatasync", "fsync") and log_file in c.text
             and written.end < c.begin and c.end < told.begin]
    assert syncs, f"no sync between line {written.end} and line {told.begin}: {written.text[:80]} … {told.text[:160]}"
    assert all(c.result == 0 for c in syncs)
    sent = [c for c in calls if word in c.text and re.match(r"\w+\(\d+<(?:TCP|socket|TCPv6)", c.text)
            and not c.name.startswith(("recv", "read"))]
    assert sent and all(c.begin > syncs[0].end for c in sent), "nor did the mail itself go on before"


def test_c12_the_answer_follows_the_sync(world, stage):
    """By the kernel's word, for 200 single mails and 100 at once: 250 and OK leave after the mail's sync.

    Each mail has its word twice: the log is cut into blocks of 32 KiB, and a cut may go through one of them.
    """
    stage.sink(ONE)
    domain = world.domain((10, ONE))
    trace = Strace(world.node.process.pid, "write,writev,pwrite64,sendmsg,sendto,fdatasync,fsync", stage.folder,
                   "-y", "-yy", "-s", "1000000")
    stage.add(trace, trace.stop)
    mails = []
    with Client(world.node.smtp, timeout=60) as client:
        client.hello()
        for _ in range(100):
            word = token()
            client.envelope("alice@ours.test", f"r@{domain}")
            code, text = client.message(mail(word, f"{word} twice\r\n"))
            assert code == 250
            mails.append((word, re.search(r"\b[0-9a-z]{26}\b", text).group()))
    for _ in range(100):
        word = token()
        mails.append((word, world.send(f"r@{domain}", subject=word, text=f"{word} twice")))
    words = [token() for _ in range(100)]
    mails += zip(words, world.send_all(request(subject=word, to=[f"r@{domain}"], text=f"{word} twice")
                                       for word in words))
    world.api.wait_empty(120)
    trace.stop()
    calls = trace.calls()
    for word, message_id in mails:
        ordered(calls, word, message_id)


def test_what_waits_survives_a_kill(world):
    """5,000 deliveries wait; the node is ready again within seconds of a kill, and has them all."""
    domain = world.domain((10, ONE))
    world.api.admin.Suspend(admin_pb2.SuspendRequest(domain=domain), timeout=10)
    world.send_all((request(to=[f"r{i}@{domain}"], text="x" * 500) for i in range(5000)), timeout=300)
    world.node.kill()
    world.node.start()
    wait_for(lambda: world.api.queued() == 5000, 30, lambda: world.api.queued())
    shard = world.api.check()[0]
    assert (shard.deliveries, shard.accepted_total) == (5000, 5000)
