"""Errors that the disk reports, one at a time, and bytes that it changed. Full and read-only disks: tests/e2e/test_faults.py."""

import time

import pytest

from support.api import admin_pb2, request, retry
from support.load import RETRYABLE, Bounces, Load, moods, settle
from support.post import token
from support.strace import Strace
from support.wait import wait_for
from support.world import World

ONE = "20.0.0.21"


@pytest.fixture
def world(stage):
    return World(stage, {"queue": {"write_buffer": "1MiB"}})


@pytest.fixture
def traffic(world, stage):
    """(load, sinks, bounces); the load has begun."""
    sinks = [stage.sink(ONE, script=moods())]
    domain = world.domain((10, ONE))
    bounces = stage.add(*(lambda b: (b, b.stop))(Bounces(world.node)))
    load = Load(world.node, [domain], smtp=2, grpc=2, doubtful={451}).start()
    stage.ends.append(load.stop)
    load.wait_acked(100)
    return load, sinks, bounces


def logs(world):
    """Options that keep strace to the store's logs: those that are there, and those that will come."""
    return [option for number in range(1, 300) for option in ("-P", world.node.data / "queue" / f"{number:06}.log")]


@pytest.mark.parametrize("call, error", [("fdatasync", "EIO"), ("fdatasync", "ENOSPC"), ("write", "EIO")])
def test_the_disk_reports_errors(world, stage, traffic, call, error):
    """Nothing is acknowledged that may not be on disk; readyz says why; all goes on by itself once the disk does."""
    load, sinks, bounces = traffic
    trace = Strace(world.node.process.pid, call, stage.folder, "-e", f"inject={call}:error={error}", *logs(world))
    stage.add(trace, trace.stop)
    wait_for(lambda: world.node.ready()[0] == 503, 30, "not ready")
    assert world.node.ready()[1].startswith("not ready: store: "), world.node.ready()
    acked, refusals = load.acked(), sum(load.codes().values())
    wait_for(lambda: sum(load.codes().values()) >= refusals + 20, 30, "refusals at both doors")
    assert load.acked() == acked
    trace.stop()
    wait_for(lambda: world.node.ready()[0] == 200, 30, "ready again")
    load.wait_acked(100)
    load.stop()
    codes = load.codes()
    assert all(code in RETRYABLE or isinstance(code, int) and 400 <= code < 500 for code in codes), codes
    settle(load, sinks, bounces)
    world.api.wait_empty(60)
    shard = world.api.check()[0]
    assert shard.accepted_total == shard.delivered_total + shard.bounced_total
    assert world.node.metric("hikyaku_queue_commit_failures_total") >= 1


def test_one_failed_sync_is_not_tried_again(world, stage, traffic):
    """A sync that fails leaves clean pages behind: the next one would succeed and mean nothing."""
    load, sinks, bounces = traffic
    trace = Strace(world.node.process.pid, "fdatasync", stage.folder, "-y", "-e", "inject=fdatasync:error=EIO:when=9",
                   *logs(world))
    stage.add(trace, trace.stop)
    wait_for(lambda: "store_reopened" in world.node.log(), 30, world.node.process.tail)
    load.wait_acked(50)
    load.stop()
    trace.stop()
    calls = trace.calls()
    failed = next(i for i, c in enumerate(calls) if "EIO" in c.text)
    file = calls[failed].text.partition("<")[2].partition(">")[0]
    assert file.endswith(".log") and not any(file in c.text for c in calls[failed + 1:]), "synced again"
    settle(load, sinks, bounces)
    world.api.wait_empty(60)
    world.api.check()


def test_slow_syncs_make_acknowledgements_slow_and_nothing_else(world, stage, traffic):
    load, sinks, bounces = traffic
    trace = Strace(world.node.process.pid, "fdatasync", stage.folder, "-e", "inject=fdatasync:delay_enter=500000",
                   *logs(world))
    stage.add(trace, trace.stop)
    begin = time.monotonic()
    load.wait_acked(4)
    assert time.monotonic() - begin >= 0.5
    for _ in range(5):  # Each would take seconds if it waited for a commit.
        begin = time.monotonic()
        world.api.admin.ListQueues(admin_pb2.ListQueuesRequest(limit=10), timeout=10)
        assert world.node.ready()[0] == 200
        assert time.monotonic() - begin < 3
    load.wait_acked(20, timeout=120)
    trace.stop()
    load.wait_acked(50)
    load.stop()
    assert not load.codes(), "no client was refused"
    settle(load, sinks, bounces)
    world.api.wait_empty(60)
    world.api.check()


def test_a_flipped_byte_in_a_stored_body_is_not_delivered(world, stage):
    """What the disk changed stays in the queue, where it is seen; all other mail goes."""
    sink = stage.sink(ONE)
    domain = world.domain((10, ONE))
    world.api.admin.Suspend(admin_pb2.SuspendRequest(domain=domain), timeout=10)
    words = [token() for _ in range(20)]
    for word in words:
        world.api.send(request(to=[f"r@{domain}"], subject=word, text=f"{word} " + "x" * 3000))
    world.node.stop()
    flipped = 0
    for file in (world.node.data / "queue").glob("*.blob"):
        bytes_ = bytearray(file.read_bytes())
        at = bytes_.find(f"{words[7]} xxx".encode())
        if at >= 0:
            bytes_[at + 500] ^= 1
            file.write_bytes(bytes_)
            flipped += 1
    assert flipped == 1, "the body lies in one blob file, once"
    world.node.start()
    retry(lambda: world.api.admin.Resume(admin_pb2.ResumeRequest(domain=domain), timeout=10))
    others = sorted(set(words) - {words[7]})
    wait_for(lambda: sorted(m.header("Subject")[0] for m in list(sink.mails)) == others, 60,
             lambda: f"{len(sink.mails)} of {len(others)} came")
    wait_for(lambda: world.node.metric("hikyaku_queue_unreadable_total") >= 1, 60, "a word about it")
    assert len(sink.mails) == len(others) and world.api.queued() == 1
    assert "delivery_unreadable" in world.node.log()
