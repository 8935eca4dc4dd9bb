"""TLS on the way out: the ladder of policies at hosts with good certificates, bad ones and none, over real sockets and
against servers that others wrote. What a policy forbids is shown by what the host saw: no MAIL."""

import ssl
import time

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from support.certificates import Identity
from support.post import token
from support.receivers import AiosmtpdTls, PostfixTls
from support.wait import wait_for
from support.world import World

HOSTS = {"good": "20.0.0.41", "selfsigned": "20.0.0.42", "expired": "20.0.0.43", "wrongname": "20.0.0.44",
         "clear": "20.0.0.45", "refusing": "20.0.0.46", "broken": "20.0.0.47", "old": "20.0.0.48"}
POLICIES = ("opportunistic", "require", "verify")


class Hosts:
    """One receiver for each kind, as mx.KIND.test; mail for POLICY.KIND.test goes there under that policy."""

    def __init__(self, stage):
        self.authority = Identity(stage.folder / "tls", "authority", authority=True, days=100)
        made = {
            "good": self.issued(stage, "good"),
            "selfsigned": Identity(stage.folder / "tls", "selfsigned", ["mx.selfsigned.test"]).context(),
            "expired": self.issued(stage, "expired", days=-1),
            "wrongname": self.issued(stage, "wrongname", names=["mx.other.test"]),
            "refusing": self.issued(stage, "refusing"),
            "broken": self.issued(stage, "broken"),
            "old": self.issued(stage, "old", maximum_version=ssl.TLSVersion.TLSv1_2),
        }
        self.sinks = {kind: stage.sink(address, tls=made.get(kind)) for kind, address in HOSTS.items()}
        self.sinks["refusing"].script = lambda at, *_: "454 4.7.0 not now" if at == "STARTTLS" else None
        self.sinks["broken"].script = lambda at, *_: "220 go ahead\r\n500 this is not TLS" if at == "STARTTLS" else None

    def issued(self, stage, kind, names=None, days=10, **options):
        names = names or [f"mx.{kind}.test"]
        return Identity(stage.folder / "tls", kind, names, issuer=self.authority, days=days).context(**options)

    def zone(self):
        zone = {f"mx.{kind}.test": {"A": [address]} for kind, address in HOSTS.items()}
        for kind in HOSTS:
            zone.update({f"{policy}.{kind}.test": {"MX": [(10, f"mx.{kind}.test")]} for policy in POLICIES})
        return zone

    def routes(self):
        return [{"domain": f"{policy}.{kind}.test", "tls": {"policy": policy}}
                for policy in POLICIES[1:] for kind in HOSTS]


@pytest.fixture(scope="module")
def hosts(module_stage):
    return Hosts(module_stage)


@pytest.fixture(scope="module")
def world(module_stage, hosts):
    world = World(module_stage, {"delivery": {
        "routes": hosts.routes(), "tls": {"ca_file": str(hosts.authority.files[0]), "clear_text_after": "2s"}}})
    world.dns.zone.update(hosts.zone())
    return world


@pytest.fixture(autouse=True)
def empty(world):
    yield
    world.purge()


def send(world, domain):
    return world.send(f"{token()}@{domain}")


GOES = {
    "opportunistic": {"good", "selfsigned", "expired", "wrongname", "clear", "refusing", "old"},
    "require": {"good", "selfsigned", "expired", "wrongname", "old"},
    "verify": {"good", "old"},
}
WHY = {"selfsigned": "self signed certificate", "expired": "certificate has expired", "wrongname": "not for mx.wrongname"}


@pytest.mark.parametrize("kind", [kind for kind in HOSTS if kind != "broken"])
@pytest.mark.parametrize("policy", POLICIES)
def test_ladder(world, hosts, policy, kind):
    """BATTERY T20, T22 and the certificates of T23."""
    sink = hosts.sinks[kind]
    before, seen = len(sink.mails), len(sink.commands)
    message = send(world, f"{policy}.{kind}.test")
    if kind in GOES[policy]:
        outcome = world.delivered(message).outcome
        assert len(sink.mails) == before + 1
        assert bool(sink.mails[-1].tls) == (kind not in ("clear", "refusing"))
        if sink.mails[-1].tls:
            assert outcome.tls.version == sink.mails[-1].tls == ("TLSv1.2" if kind == "old" else "TLSv1.3")
            assert outcome.tls.verified == (kind in ("good", "old"))
            assert WHY.get(kind, "") in outcome.tls.unverified_reason
            assert outcome.tls.policy.startswith(policy)
        else:
            assert not outcome.HasField("tls")
        return
    outcome = world.deferred(message).outcome
    assert len(sink.mails) == before
    assert not any(line.startswith("MAIL") for _, line in sink.commands[seen:]), sink.commands[seen:]
    assert outcome.enhanced_code == ("4.7.4" if kind in ("clear", "refusing") else "4.7.5")
    assert f"the policy is {policy} by delivery.routes[" in outcome.text and f"({policy}.{kind}.test)" in outcome.text
    assert WHY.get(kind, "") in outcome.text


def test_reply_slipped_in_behind_the_go_ahead_ends_the_session(world, hosts):
    """What stands behind the 220 in clear text was put there by someone between us and the host."""
    sink = hosts.sinks["broken"]
    held = world.deferred(send(world, "opportunistic.broken.test")).outcome
    assert held.enhanced_code == "4.4.2" and "reply to no command" in held.text, held
    assert not any(line.startswith("MAIL") for _, line in sink.commands)


def test_failed_handshake_gives_way_to_clear_text_after_a_while(world, hosts, module_stage):
    sink = module_stage.sink("20.0.0.49", tls=hosts.issued(module_stage, "failing", minimum_version=ssl.TLSVersion.TLSv1,
                                                          maximum_version=ssl.TLSVersion.TLSv1_1))
    world.dns.zone["failing.test"] = {"MX": [(10, "mx.failing.test")]}
    world.dns.zone["mx.failing.test"] = {"A": ["20.0.0.49"]}
    message = send(world, "failing.test")
    held = world.deferred(message).outcome
    assert held.enhanced_code == "4.7.5" and "the TLS handshake failed" in held.text, held
    assert not sink.mails
    assert not world.delivered(message).outcome.HasField("tls")
    assert sink.mails[0].tls is None


def test_implicit_tls(world, hosts, module_stage):
    sink = module_stage.sink("20.0.0.41", port=465, tls=hosts.issued(module_stage, "good"), implicit=True)
    world.reload({"delivery": {"routes": hosts.routes() + [{"domain": "relay.test", "to": "[mx.good.test]:465"}]}})
    outcome = world.delivered(send(world, "relay.test")).outcome
    assert outcome.tls.verified and outcome.tls.policy.startswith("require by delivery.routes[") and "(relay.test)" in outcome.tls.policy
    assert sink.mails[0].tls == "TLSv1.3"
    assert not any(line == "STARTTLS" for _, line in sink.commands)


def test_what_a_domain_asks_for_is_not_lent_to_another(world, hosts):
    """Two domains at one host: the connection of the lenient one is not the strict one's."""
    sink = hosts.sinks["selfsigned"]
    world.delivered(send(world, "opportunistic.selfsigned.test"))
    before = len(sink.mails)
    held = world.deferred(send(world, "verify.selfsigned.test")).outcome
    assert held.enhanced_code == "4.7.5"
    assert len(sink.mails) == before


def test_sessions_are_resumed(world, hosts):
    def resumed():
        return world.node.metric("hikyaku_tls_sessions_resumed_total") or 0
    before = resumed()
    world.delivered(send(world, "verify.good.test"))
    for connection in range(3):
        hosts.sinks["good"].hang_up()
        world.delivered(send(world, "verify.good.test"))
    assert resumed() > before


@pytest.mark.parametrize("kind", [PostfixTls, AiosmtpdTls])
def test_servers_that_others_wrote(world, hosts, module_stage, kind):
    name = kind.__name__.lower()
    address = {"postfixtls": "20.0.0.51", "aiosmtpdtls": "20.0.0.52"}[name]
    identity = Identity(module_stage.folder / "tls", name, [f"mx.{name}.test"], issuer=hosts.authority)
    receiver = kind(f"{name}.test", address)
    module_stage.add(receiver, receiver.stop)
    receiver.identity = identity
    receiver.start()
    world.dns.zone[f"{name}.test"] = {"MX": [(10, f"mx.{name}.test")]}
    world.dns.zone[f"mx.{name}.test"] = {"A": [address]}
    outcome = world.delivered(send(world, f"{name}.test")).outcome
    assert outcome.tls.verified and outcome.tls.version == "TLSv1.3", (outcome, receiver.output())
    wait_for(lambda: len(receiver.mails()) == 1, 30, receiver.output)
    if kind is PostfixTls:
        assert b"using TLSv1.3" in receiver.mails()[0]


def test_policy_that_is_never_met_ends_with_its_own_code(world, hosts):
    """BATTERY T22: at the end of its lifetime the status says that TLS was missing, not only that time was up."""
    message = world.send(f"{token()}@require.clear.test", deliver_by=Timestamp(seconds=int(time.time()) + 4))
    ended = world.one(message, "EXPIRED", 60).outcome
    assert ended.enhanced_code == "5.7.4" and "the host does not offer TLS" in ended.text, ended
    assert not any(line.startswith("MAIL") for _, line in hosts.sinks["clear"].commands[-3:])
