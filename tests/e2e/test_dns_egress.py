"""What DNS may make us do, and where we never connect to: N08, N09, N15, N16 and X01-X06 of BATTERY."""

import contextlib
import pathlib
import subprocess

import grpc
import pytest

from support.api import events_pb2, field_errors, request
from support.smtp import Client
from support.strace import Strace
from support.wait import wait_for
from support.world import DEAD, World, code_of

GOOD, OTHER, OURS = "20.0.0.21", "20.0.0.22", "20.0.0.5"
PRIVATE = ["10.9.9.1", "172.16.0.9", "192.168.0.9", "169.254.169.254"]  # Besides loopback, which is always there.

pytestmark = pytest.mark.usefixtures("books_add_up")


@pytest.fixture(scope="module")
def private_hosts(module_stage):
    """Receivers at addresses that no mail may go to."""
    for address in PRIVATE:
        subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True)
        module_stage.add(address, lambda a=address: subprocess.run(["ip", "addr", "del", f"{a}/32", "dev", "lo"],
                                                                   check=True))
    return {address: module_stage.sink(address) for address in [*PRIVATE, "127.0.0.1", "::1"]}


@pytest.fixture(scope="module")
def world(module_stage, private_hosts):
    return World(module_stage, {
        "listeners": {"smtp": [{"address": "0.0.0.0:2525"}, {"address": f"{OURS}:25"}]},
        "delivery": {"routes": [{"domain": "routed.test", "to": "[10.9.9.1]:25"}]}})


@contextlib.contextmanager
def no_connection(*sinks):
    """None of the receivers is connected to within."""
    before = [sink.connections for sink in sinks]
    yield
    assert [sink.connections for sink in sinks] == before


def refused_connections():
    """Connections of this network that were refused, as the kernel counts them."""
    lines = pathlib.Path("/proc/self/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("Tcp:"))
    return int(values[names.index("AttemptFails")])


# How much DNS can make us do: N08, N09, N16.

def test_n08_hundreds_of_hosts_that_are_all_down(world):
    """10 hosts of 4 addresses are looked at, 10 connections tried, within a minute: docs/failure.md."""
    domain = world.domain()
    addresses = {"A": [f"20.0.0.{n}" for n in range(50, 60)]}
    world.dns.zone.update({f"h{i}.{domain}": addresses for i in range(500)})
    world.dns.zone[domain] = {"MX": [(10, f"h{i}.{domain}") for i in range(500)]}
    before = refused_connections()
    message_id = world.send(f"r@{domain}")
    event = world.deferred(message_id, timeout=90)
    assert 1 < refused_connections() - before <= 10
    assert event.outcome.enhanced_code == "4.4.1"
    accepted = world.api.events(message_id, "ACCEPTED")[0]
    assert event.time.ToDatetime().timestamp() - accepted.time.ToDatetime().timestamp() < 60
    asked = {name for _, name, kind, _ in list(world.dns.asked) if name.endswith("." + domain) and kind in ("A", "AAAA")}
    assert len(asked) <= 10, asked


def test_n09_a_truncated_answer_is_asked_for_again_by_tcp(world, stage):
    sink = stage.sink(GOOD)
    domain = world.domain((10, GOOD))
    world.dns.zone[domain + "/tcp"] = world.dns.zone[domain]
    world.dns.zone[domain] = "TRUNCATE"
    assert world.delivered(world.send(f"r@{domain}")).attempts == 1
    assert [via for _, name, _, via in world.dns.asked if name == domain] == ["udp", "tcp"]
    assert len(sink.mails) == 1


def test_n09_a_large_answer_comes_by_tcp(world, stage):
    """100 hosts, of which the best one works."""
    stage.sink(GOOD)
    domain = world.domain((1, GOOD))
    world.dns.zone[domain]["MX"] += [(10, f"host-with-a-long-name-{i}.{domain}") for i in range(100)]
    assert world.delivered(world.send(f"r@{domain}")).attempts == 1
    assert ("tcp" in {via for _, name, _, via in world.dns.asked if name == domain})


def test_n09_truncated_and_tcp_does_not_answer(world):
    domain = world.domain((10, GOOD))
    world.dns.zone[domain] = "TRUNCATE_ONLY"
    event = world.deferred(world.send(f"r@{domain}"))
    assert (event.outcome.kind, event.outcome.enhanced_code) == (events_pb2.Outcome.KIND_TRANSIENT, "4.4.3")


def test_n16_a_thousand_recipients_of_one_domain_cost_few_queries(world, stage):
    sink = stage.sink(GOOD)
    domain = world.domain((10, GOOD))
    before = len(world.dns.asked)
    world.send(*(f"r{i}@{domain}" for i in range(1000)))
    wait_for(lambda: len(sink.recipients()) >= 1000, 60, lambda: f"1000 recipients: {len(sink.recipients())}")
    assert len(set(sink.recipients())) == len(sink.recipients()) == 1000
    assert len(world.dns.asked) - before <= 10, world.dns.asked[before:]


# Names: N15.

def test_n15_one_domain_in_all_its_spellings(world, stage):
    sink = stage.sink(GOOD)
    world.dns.zone["xn--bcher-kva.test"] = {"MX": [(10, "mx.xn--bcher-kva.test")]}
    world.dns.zone["mx.xn--bcher-kva.test"] = {"A": [GOOD]}
    message_id = world.send("a@bücher.test", "b@BÜCHER.test", "c@bücher。test", "d@XN--BCHER-KVA.TEST")
    world.delivered(message_id)
    record = world.api.get(message_id)
    assert [d.domain for d in record.deliveries] == ["xn--bcher-kva.test"], "one delivery at one shard"
    assert sorted(sink.recipients()) == [f"{name}@xn--bcher-kva.test" for name in "abcd"]
    assert all(name.isascii() and name == name.lower() for _, name, _, _ in world.dns.asked)


@pytest.mark.parametrize("domain", ["xn--a.test", "x" * 64 + ".test", "a..test", ".test", "a b.test",
                                    "\u0600.test", ".".join(["a" * 60] * 5) + ".test", ""])
def test_n15_names_that_dns_cannot_carry(world, domain):
    """An error of the client's, told at once."""
    with pytest.raises(grpc.RpcError) as caught:
        world.api.send(request(to=[f"r@{domain}"]))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert field_errors(caught.value) == ["content.to[0].address"]
    with Client(world.node.smtp) as client:
        client.hello()
        client.command("MAIL FROM:<alice@ours.test>" + ("" if domain.isascii() else " SMTPUTF8"))
        assert client.command(f"RCPT TO:<r@{domain}>")[0] in (501, 553)
        assert client.command("NOOP")[0] == 250


# Where we never connect to: X01, X04, X05.

FORBIDDEN = ["127.0.0.1", "0.0.0.0", *PRIVATE, "::1", "::", "fe80::1", "fd00::9", "::ffff:127.0.0.1", "::ffff:10.9.9.1",
             "64:ff9b::7f00:1", "2002:7f00:1::1", "ff02::1", "224.0.0.1", "255.255.255.255", "100.64.0.1", "198.18.0.1",
             "192.0.2.1", "240.0.0.1"]


def connections_to_port_25(strace):
    """The addresses of every connect() to port 25, in strace's words."""
    return [call.text for call in strace.calls() if call.name == "connect" and "htons(25)" in call.text]


def test_x01_special_addresses_are_never_connected_to(world, stage, private_hosts):
    """By the word of the receivers, and of the kernel: not one connect()."""
    sink = stage.sink(GOOD)
    trace = Strace(world.node.process.pid, "connect", stage.folder)
    stage.add(trace, trace.stop)
    with no_connection(*private_hosts.values()):
        ids = {address: world.send(f"r@{world.domain((10, address))}") for address in FORBIDDEN}
        for address, message_id in ids.items():
            event = world.bounced(message_id)
            assert (event.outcome.enhanced_code, event.attempts) == ("5.7.1", 1), address
            assert event.outcome.scope == events_pb2.Outcome.SCOPE_DOMAIN
        # The trace does see what is allowed.
        world.delivered(world.send(f"r@{world.domain((10, GOOD))}"))
    trace.stop()
    connected = connections_to_port_25(trace)
    assert connected and all(GOOD in text for text in connected), connected
    assert len(sink.mails) == 1


def test_x01_the_domain_itself_may_not_lead_inside(world, private_hosts):
    """Implicit MX, and an address of both kinds."""
    domain = world.domain()
    world.dns.zone[domain] = {"A": ["127.0.0.1", "10.9.9.1"], "AAAA": ["::1"]}
    with no_connection(*private_hosts.values()):
        assert world.bounced(world.send(f"r@{domain}")).outcome.enhanced_code == "5.7.1"


@pytest.mark.parametrize("address", ["u@[127.0.0.1]", "u@[10.9.9.1]", "u@[IPv6:::1]", "u@[IPv6:::ffff:127.0.0.1]",
                                     "u@127.1", "u@2130706433", "u@[0x7f.1]", "u@ok.test:25", "u@ok.test/..",
                                     "u@127.0.0.1", "u@[20.0.0.21]", "u@localhost"])
def test_x04_addresses_that_lead_inside(world, stage, private_hosts, address):
    """Refused, or looked up as the name that it is, which does not exist; never connected to."""
    good = stage.sink(GOOD)
    with no_connection(good, *private_hosts.values()):
        with Client(world.node.smtp) as client:
            client.hello()
            client.command("MAIL FROM:<alice@ours.test>")
            code, text = client.command(f"RCPT TO:<{address}>")
            by_api = code_of(lambda: world.api.send(request(to=[address])))
            if by_api == grpc.StatusCode.OK:
                assert code == 250, "both doors agree"
                assert world.bounced(world.send(address)).outcome.enhanced_code in ("5.1.2", "5.7.1")
            else:
                assert by_api == grpc.StatusCode.INVALID_ARGUMENT
                assert code in (501, 550, 553), (code, text)
    assert by_api != grpc.StatusCode.OK or "[" not in address, "a literal is refused by policy"


def test_x05_of_a_mixed_set_the_public_hosts_are_used(world, stage, private_hosts):
    sink = stage.sink(GOOD)
    with no_connection(*private_hosts.values()):
        for hosts in ([(10, "10.9.9.1"), (20, GOOD)], [(10, ["127.0.0.1", GOOD])], [(10, GOOD), (20, "10.9.9.1")]):
            event = world.delivered(world.send(f"r@{world.domain(*hosts)}"))
            assert event.attempts == 1 and f"[{GOOD}]" in event.outcome.remote_host
    assert len(sink.mails) == 3


def test_x05_a_public_host_that_is_down_beside_a_private_one(world, private_hosts):
    """It waits for the public one."""
    with no_connection(*private_hosts.values()):
        event = world.deferred(world.send(f"r@{world.domain((10, '10.9.9.1'), (20, DEAD))}"))
    assert event.outcome.enhanced_code == "4.4.1"


def test_an_operators_route_opens_the_address_that_it_names(world, private_hosts):
    before = len(private_hosts["10.9.9.1"].mails)
    event = world.delivered(world.send("r@routed.test"))
    assert event.outcome.remote_host == "[10.9.9.1]:25"
    assert len(private_hosts["10.9.9.1"].mails) == before + 1
    assert world.dns.count("routed.test") == 0


def test_an_opened_range_is_open_and_nothing_else(world, private_hosts):
    world.reload({"delivery": {"allow_ranges": ["172.16.0.0/12"]}})
    try:
        with no_connection(private_hosts["192.168.0.9"]):
            world.delivered(world.send(f"r@{world.domain((10, '172.16.0.9'))}"))
            assert world.bounced(world.send(f"r@{world.domain((10, '192.168.0.9'))}")).outcome.enhanced_code == "5.7.1"
    finally:
        world.reload({"delivery": {"allow_ranges": []}})
    with no_connection(private_hosts["172.16.0.9"]):
        assert world.bounced(world.send(f"r@{world.domain((10, '172.16.0.9'))}")).outcome.enhanced_code == "5.7.1"


# We are not our own next hop: X06.

def ours(world, by):
    """A host that is this very server, by its name or by an address that it listens on."""
    if by == "name":
        world.dns.zone["mail.ours.test"] = {"A": [OTHER]}
        return "mail.ours.test"
    world.dns.zone["another-name.test"] = {"A": [OURS]}
    return "another-name.test"


@pytest.mark.parametrize("by", ["name", "address"])
def test_x06_we_are_the_best_host(world, stage, by):
    """5.4.6 at once; no lower host is asked, and nobody talks to himself."""
    other, lower = stage.sink(OTHER), stage.sink(GOOD)
    domain = world.domain((20, GOOD))
    world.dns.zone[domain]["MX"].append((10, ours(world, by)))
    trace = Strace(world.node.process.pid, "connect", stage.folder)
    stage.add(trace, trace.stop)
    with no_connection(other, lower):
        event = world.bounced(world.send(f"r@{domain}"))
    trace.stop()
    assert (event.outcome.enhanced_code, event.attempts) == ("5.4.6", 1)
    assert not connections_to_port_25(trace)


@pytest.mark.parametrize("by", ["name", "address"])
def test_x06_we_are_a_lower_host(world, stage, by):
    """A better host is used; while it is down the mail waits, and comes not back to us nor goes to hosts below us."""
    other, lower = stage.sink(OTHER), stage.sink(GOOD)
    domain = world.domain((10, DEAD), (30, GOOD))
    world.dns.zone[domain]["MX"].append((20, ours(world, by)))
    with no_connection(other, lower):
        message_id = world.send(f"r@{domain}")
        event = world.deferred(message_id)
    assert event.outcome.enhanced_code == "4.4.1" and f"[{DEAD}]" in event.outcome.remote_host
    better = stage.sink(DEAD)
    world.delivered(message_id)
    assert len(better.mails) == 1 and not lower.mails
