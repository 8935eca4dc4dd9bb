"""kill -9, a power cut and SIGTERM under load: short runs of the campaigns of tests/crash/run (C01, C02, C04), and C09."""

import time

import pytest

from crash.campaign import Campaign
from crash.moments import KINDS
from support.api import admin_pb2, request
from support.load import RETRYABLE, Bounces, Load, moods, settle
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


@pytest.mark.parametrize("kind", KINDS)
def test_killed_again_and_again_under_load(stage, kind):
    """20 lives on one data folder, and more until enough calls were cut; what was promised is kept to the last recipient."""
    seed = time.time_ns() % 1_000_000
    print(f"tests/crash/run {kind} 20 --seed {seed}")
    campaign = Campaign(stage.folder, kind, seed, round_size=10)
    stage.ends.append(campaign.close)
    totals = campaign.run(20, enough=lambda totals: totals["repeated"] >= 20)
    assert totals["kills"] >= 20 and totals["acked"] >= 1000 and totals["received"] > totals["acked"] / 2, totals
    assert totals["repeated"] >= 20, "clients repeat over a crash what had no answer, with its key"
    assert campaign.missed <= 3, "the moments that were aimed at are met"


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
