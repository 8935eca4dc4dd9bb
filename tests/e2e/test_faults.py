"""Full disks, broken disks, too few descriptors, wrong configuration at run time, long queues: F01-F07 of BATTERY."""

import os
import select
import signal
import subprocess

import grpc
import pytest

from support.api import admin_pb2, request, retry, retry_after
from support.disk import MIB, LoopDisk
from support.load import RETRYABLE, Bounces, Load, moods, settle
from support.post import mail, token
from support.smtp import Client, send_mail
from support.wait import wait_for
from support.world import DEAD, World, code_of

Code = grpc.StatusCode
ONE, TWO = "20.0.0.21", "20.0.0.22"


@pytest.fixture
def disk(stage):
    disk = LoopDisk(stage.folder)
    return stage.add(disk, disk.stop)


@pytest.fixture
def world(stage, disk):
    """A node whose queue is on a disk of 64 MiB, of which it wants 16 MiB to be free."""
    return World(stage, {"data_dir": str(disk.path / "data"), "queue": {
        "min_free_disk": "16MiB", "min_free_inodes": 500, "write_buffer": "1MiB", "hot_bodies": "4MiB"}})


def refused_for_room(world, domain):
    """Asserts that both doors say so, early, and when to come again."""
    with Client(world.node.smtp) as client:
        client.hello()
        code, text = client.command("MAIL FROM:<alice@ours.test>")
        assert code == 452 and text.startswith("4.3.1"), (code, text)
        assert client.command("NOOP")[0] == 250
    with pytest.raises(grpc.RpcError) as caught:
        world.api.send(request(to=[f"r@{domain}"]))
    assert caught.value.code() == Code.RESOURCE_EXHAUSTED
    assert retry_after(caught.value) > 0


def taken(world, domain):
    """Whether a small mail is accepted now."""
    return code_of(lambda: world.api.send(request(to=[f"r@{domain}"]))) == Code.OK


def test_f01_the_disk_fills_under_load(world, stage, disk):
    """Refused before any harm; deliveries go on and make room, and then mail is taken again."""
    domain = world.domain((10, DEAD))
    accepted, refused = [], None
    with Client(world.node.smtp, timeout=60) as client:
        client.hello()
        while not refused:
            word = token()
            code, text = client.command("MAIL FROM:<alice@ours.test>")
            if code == 250:
                assert client.command(f"RCPT TO:<r@{domain}>")[0] == 250
                code, text = client.message(mail(word, body=("x" * 98 + "\r\n") * 2000))
            if code == 250:
                accepted.append(word)
            elif code == 451:  # RocksDB asks for a pause: that passes.
                wait_for(lambda: "writes are stopped" not in world.node.ready()[1], 30, world.node.ready)
            else:
                refused = code, text
            assert len(accepted) < 400, "64 MiB hold no 400 mails of 200 kB"
    assert refused[0] == 452 and refused[1].startswith("4.3.1"), refused
    assert len(accepted) > 100
    status, reason = world.node.ready()
    assert status == 503 and reason.startswith("not ready: disk: "), reason
    refused_for_room(world, domain)
    assert disk.free() > 4 * MIB, "far from the end"

    sink = stage.sink(DEAD)
    world.api.admin.Flush(admin_pb2.FlushRequest(), timeout=30)
    world.api.wait_empty(120)
    assert sorted(m.header("Subject")[0] for m in sink.mails) == sorted(accepted), "each once, none lost"
    wait_for(lambda: taken(world, domain), 60, lambda: f"intake again: {world.node.ready()}, {disk.free()} free")
    world.api.wait_empty()
    world.api.check()


@pytest.mark.parametrize("what", ["bytes", "inodes"])
def test_f02_less_free_than_wanted(world, stage, disk, what):
    """Refused early, with the reason; what is there is delivered; and it opens again by itself."""
    sink = stage.sink(ONE)
    domain = world.domain((10, ONE))
    world.api.admin.Suspend(admin_pb2.SuspendRequest(domain=domain), timeout=10)
    waiting = [world.send(f"r{i}@{domain}") for i in range(20)]
    if what == "bytes":
        disk.fill(leave=10 * MIB)
    else:
        disk.use_inodes(leave=300)
    wait_for(lambda: world.node.ready()[0] == 503, 30, "not ready")
    reason = world.node.ready()[1]
    assert reason.startswith("not ready: disk: "), reason
    assert ("16MiB wanted" if what == "bytes" else "inodes") in reason, reason
    refused_for_room(world, domain)
    assert world.node.metric("hikyaku_queue_gate_closed") == 1
    world.api.admin.Resume(admin_pb2.ResumeRequest(domain=domain), timeout=10)
    for message_id in waiting:
        world.delivered(message_id)
    assert len(sink.mails) == 20
    disk.clear()
    wait_for(lambda: taken(world, domain), 30, "intake again")
    assert world.node.ready()[0] == 200
    world.api.wait_empty()
    world.api.check()


def test_f03_the_disk_becomes_read_only(world, stage, disk):
    """4xx and UNAVAILABLE, no crash; after the disk is mended nothing that was acknowledged is lost."""
    sinks = [stage.sink(ONE, script=moods())]
    domain = world.domain((10, ONE))
    bounces = stage.add(*(lambda b: (b, b.stop))(Bounces(world.node)))
    load = Load(world.node, [domain], smtp=2, grpc=2, doubtful={451}).start()
    try:
        load.wait_acked(200)
        pid = world.node.process.pid
        disk.read_only()
        wait_for(lambda: world.node.ready()[0] == 503, 30, "not ready")
        wait_for(lambda: any(isinstance(code, int) for code in load.codes()), 30, "a refusal by SMTP")
        acked = load.acked()
        assert not taken(world, domain)
        with Client(world.node.smtp) as client:
            client.hello()
            assert 400 <= client.command("MAIL FROM:<alice@ours.test>")[0] < 500
        assert world.node.ready()[0] == 503
        assert world.node.process.running() and world.node.process.pid == pid
        assert load.acked() == acked, "nothing is acknowledged that cannot be kept"
    finally:
        load.stop()
    assert all(code in RETRYABLE or isinstance(code, int) and 400 <= code < 500 for code in load.codes()), load.codes()
    world.node.process.signal(signal.SIGTERM)
    wait_for(lambda: not world.node.process.running(), 18, "its end, without waiting for what cannot be recorded")
    disk.unmount()
    subprocess.run(["e2fsck", "-p", disk.image], check=False, capture_output=True, timeout=60)
    disk.mount()
    world.node.start()
    settle(load, sinks, bounces, window=60, faults=[mail.time for sink in sinks for mail in sink.mails][-1:])
    world.api.wait_empty()
    world.api.check()


def test_f07_few_descriptors_and_a_thousand_clients(stage):
    """256 descriptors: some clients wait or are told 421; when they are gone all is well, and mail was never lost."""
    node = stage.node({"limits": {"connections_per_client": 0}}, wrap=["prlimit", "--nofile=256:256"])
    world = World(stage, node=node)
    sink = stage.sink(ONE)
    domain = world.domain((10, ONE))
    before = world.send(f"before@{domain}")
    world.delivered(before)
    free = 256 - len(os.listdir(f"/proc/{world.node.process.pid}/fd"))
    clients = []
    try:
        for _ in range(1000):
            clients.append(Client(world.node.smtp, banner=False, timeout=30))
        waiting, greeted, poller = {client.socket.fileno(): client for client in clients}, 0, select.poll()
        for number in waiting:
            poller.register(number, select.POLLIN)

        def listen():
            nonlocal greeted
            for number, _ in poller.poll(0):
                poller.unregister(number)
                greeted += waiting[number].line().startswith((b"220", b"421"))
            return greeted > 0.8 * free
        wait_for(listen, 30, lambda: f"{greeted} greeted of {free} that have room")
        # Those inside are served.
        clients[0].socket.settimeout(30)
        clients[0].hello()
        clients[0].envelope("alice@ours.test", f"inside@{domain}")
        assert clients[0].message(mail(token()))[0] == 250
        assert world.node.process.running()
    finally:
        for client in clients:
            client.close()
    wait_for(lambda: world.node.ready()[0] == 200, 60, "ready")
    assert send_mail(world.node.smtp, "alice@ours.test", [f"after@{domain}"], mail(token()))[0] == 250
    retry(lambda: world.send(f"rpc@{domain}"))
    world.api.wait_empty(90)
    assert sorted(r.partition("@")[0] for r in sink.recipients()) == ["after", "before", "inside", "rpc"]
    world.api.check()


# Reload.

@pytest.fixture
def plain(stage):
    return World(stage)


def rcpt_code(world, source, recipient):
    with Client(("20.0.0.5", 2525), source=(source, 0)) as client:
        client.hello()
        client.command("MAIL FROM:<alice@ours.test>")
        return client.command(f"RCPT TO:<{recipient}>")[0]


def test_reload_takes_over_what_it_can(plain, stage):
    """Trusted networks and routes, while mail flows; sessions and connections go on."""
    one, two = stage.sink(ONE), stage.sink(TWO)
    domain = plain.domain((10, ONE))
    assert rcpt_code(plain, "20.0.0.30", f"r@{domain}") == 550
    load = Load(plain.node, [domain], smtp=2, grpc=2, mixed=False).start()
    bounces = stage.add(*(lambda b: (b, b.stop))(Bounces(plain.node)))
    load.wait_acked(50)
    with Client(plain.node.smtp) as session:
        session.hello()
        plain.reload({"trusted_networks": ["127.0.0.0/8", "20.0.0.30/32"],
                      "delivery": {"routes": [{"domain": domain, "to": f"[{TWO}]:25"}]}})
        assert rcpt_code(plain, "20.0.0.30", f"r@{domain}") == 250
        assert rcpt_code(plain, "20.0.0.31", f"r@{domain}") == 550
        session.envelope("alice@ours.test", f"session@{domain}")
        assert session.message(mail(token(), headers=["X-Token: none"]))[0] == 250
    wait_for(lambda: f"session@{domain}" in two.recipients(), 30, "the new route")
    load.wait_acked(50)
    plain.reload({"trusted_networks": ["127.0.0.0/8"], "delivery": {"routes": []}})
    assert rcpt_code(plain, "20.0.0.30", f"r@{domain}") == 550
    load.wait_acked(50)
    load.stop()
    assert not load.codes(), "no client noticed"
    two.mails = [m for m in two.mails if m.header("X-Token") != ["none"]]
    settle(load, [one, two], bounces)


@pytest.mark.parametrize("wrong", ["nosuchkey: 1\n", "delivery: {routes: [{domain: \"..\", to: x}]}\n", ": : :\n", ""],
                         ids=["unknown key", "bad route", "no YAML", "empty"])
def test_a_wrong_file_is_refused_and_the_old_one_stays(plain, stage, wrong):
    sink = stage.sink(ONE)
    domain = plain.domain((10, ONE))
    plain.node.config_file.write_text(wrong)
    plain.node.process.signal(signal.SIGHUP)
    wait_for(lambda: '"event":"reload_refused"' in plain.node.log(), 30, "a word about it")
    assert '"event":"reloaded"' not in plain.node.log()
    plain.delivered(plain.send(f"r@{domain}"))
    assert len(sink.mails) == 1 and plain.node.ready()[0] == 200
    plain.reload({})


def test_a_key_that_needs_a_restart_is_named(plain):
    plain.reload({"io_threads": 3, "limits": {"recipients": 7}})
    wait_for(lambda: plain.node.log().count('"event":"reload_needs_restart"') >= 2, 20, plain.node.process.tail)
    assert '"key":"io_threads"' in plain.node.log() and '"key":"limits' in plain.node.log()
    assert code_of(lambda: plain.send(*(f"r{i}@nosuch.test" for i in range(8)))) == Code.OK, "the old limit"
    plain.node.restart()
    retry(plain.queues)
    assert code_of(lambda: plain.send(*(f"r{i}@nosuch.test" for i in range(8)))) == Code.INVALID_ARGUMENT


# Long queues.

@pytest.mark.memory
def test_memory_does_not_grow_with_the_queue(stage):
    """30,000 mails of 4 kB that wait: 120 MB on the disk, next to nothing in memory."""
    world = World(stage, {"queue": {"window": 1000, "hot_bodies": "4MiB", "block_cache": "8MiB", "write_buffer": "4MiB",
                                    "retry": {"min": "1h", "max": "4h"}}, "dns": {"max_ttl": "1h"}})
    domains = [world.domain((10, DEAD)) for _ in range(10)]

    def add(count):
        goal = world.api.queued() + count * len(domains)
        for domain in domains:
            subprocess.run(["smtp-source", "-d", "-s", "10", "-m", str(count), "-l", "4000", "-f", "alice@ours.test",
                            "-t", f"load@{domain}", "127.0.0.1:2525"], check=True, capture_output=True, timeout=120)
        wait_for(lambda: world.api.queued() >= goal, 120, lambda: f"{goal} queued: {world.api.queued()}")

    add(400)
    before = world.node.rss_mib()
    add(2600)
    after = world.node.rss_mib()
    assert world.api.queued() == 30_000
    assert after - before < 40, f"{before:.0f} MiB with 4,000 mails, {after:.0f} MiB with 30,000"
    shard = world.api.check()[0]
    assert (shard.deliveries, shard.recipients, shard.accepted_total) == (30_000, 30_000, 30_000)
    assert world.node.rss_mib() - before < 60, "nor by the check"
