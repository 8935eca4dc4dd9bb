"""DANE (RFC 7672) end to end: zones that knot signs, an unbound that validates them, receivers over real sockets. What a
policy forbids is shown by what the host saw: no MAIL. BATTERY T27."""

import signal
import subprocess

import dns.flags
import dns.rcode
import pytest

from support.certificates import Identity
from support.node import BINARY
from support.post import token
from support.receivers import PostfixTls
from support.signed_dns import SignedDns, tlsa
from support.wait import wait_for
from support.world import World

# A host for each kind, mx.KIND.dane.test; mail for KIND.dane.test goes there under `dane`, for only-KIND.dane.test under
# `dane_only`.
HOSTS = {kind: f"20.0.0.{number}" for number, kind in enumerate(
    ("ee311", "ee302", "ta201", "both", "mismatch", "talone", "unusable", "unusableclear", "stripped", "refusing",
     "bogus", "servfail", "none", "noneclear", "alias", "promise", "postfix"), 11)}
POSTFIX = HOSTS["postfix"]


class Hosts:
    def __init__(self, stage):
        self.folder = stage.folder / "tls"
        self.authority = Identity(self.folder, "authority", authority=True, days=100)
        self.other = Identity(self.folder, "other", authority=True, days=100)
        # Names and dates matter to authorities alone.
        self.own = {kind: Identity(self.folder, kind, ["elsewhere.test"], days=-1) for kind in HOSTS}
        for kind in ("ta201", "talone"):
            self.own[kind] = Identity(self.folder, kind, [f"mx.{kind}.dane.test"], issuer=self.authority)
        self.add_to_chain("ta201")
        self.sinks = {}
        for kind, address in HOSTS.items():
            if address != POSTFIX:
                clear = kind in ("unusableclear", "stripped", "noneclear")
                options = {"extensions": ("PIPELINING", "REQUIRETLS")} if kind == "promise" else {}
                self.sinks[kind] = stage.sink(address, tls=None if clear else self.own[kind].context(), **options)
        self.sinks["refusing"].script = lambda at, *_: "454 4.7.0 not now" if at == "STARTTLS" else None

    def add_to_chain(self, kind):
        certificate = self.own[kind].files[0]
        certificate.write_bytes(certificate.read_bytes() + self.authority.files[0].read_bytes())

    def records(self):
        """The TLSA records of each kind; of a name elsewhere, a CNAME."""
        own, authority = self.own, self.authority
        return {
            "ee311": ["TLSA " + tlsa(3, 1, 1, own["ee311"])],
            "ee302": ["TLSA " + tlsa(3, 0, 2, own["ee302"])],
            "ta201": ["TLSA " + tlsa(2, 0, 1, authority)],
            "both": ["TLSA " + tlsa(3, 1, 1, self.other), "TLSA " + tlsa(3, 0, 0, own["both"]),
                     "TLSA " + tlsa(1, 1, 1, self.other)],
            "mismatch": ["TLSA " + tlsa(3, 1, 1, self.other)],
            "talone": ["TLSA " + tlsa(2, 1, 1, authority)],  # The host does not send its authority: no path.
            "unusable": ["TLSA " + tlsa(1, 1, 1, own["unusable"]), "TLSA 3 1 1 0123"],
            "unusableclear": ["TLSA " + tlsa(0, 0, 1, authority)],
            "stripped": ["TLSA " + tlsa(3, 1, 1, own["stripped"])],
            "refusing": ["TLSA " + tlsa(3, 1, 1, own["refusing"])],
            "bogus": ["CNAME _25._tcp.mx.bogus.test."],
            "servfail": ["CNAME _25._tcp.mx.broken.test."],
            "promise": ["TLSA " + tlsa(3, 1, 1, own["promise"])],
            "postfix": ["TLSA " + tlsa(3, 1, 1, own["postfix"])],
        }

    def zones(self):
        signed = []
        for kind, address in HOSTS.items():
            signed += [f"{kind} MX 10 mx.{kind}", f"only-{kind} MX 10 mx.{kind}"]
            signed += [f"mx.{kind} A {address}"] if kind != "alias" else ["mx.alias CNAME mx.ee311.unsigned.test."]
        signed += [f"_25._tcp.mx.{kind} {record}" for kind, records in self.records().items() for record in records]
        signed += ["_25._tcp.mx.alias TLSA " + tlsa(3, 1, 1, self.own["ee311"])]
        wrong = tlsa(3, 1, 1, self.other)
        return {
            "dane.test": {"kind": "signed", "records": signed},
            # Nobody signs this one: its records may be anybody's, and are not asked for.
            "unsigned.test": {"kind": "unsigned", "records": [
                "x MX 10 mx.ee311", "only MX 10 mx.ee311", f"mx.ee311 A {HOSTS['ee311']}",
                f"_25._tcp.mx.ee311 TLSA {wrong}", "signedhost MX 10 mx.mismatch.dane.test."]},
            "bogus.test": {"kind": "bogus", "records": [
                "x MX 10 mx", "mx A 20.0.0.11", f"_25._tcp.mx TLSA {tlsa(3, 1, 1, self.own['bogus'])}"]},
            "broken.test": {"kind": "broken"},
        }


@pytest.fixture(scope="module")
def hosts(module_stage):
    return Hosts(module_stage)


@pytest.fixture(scope="module")
def world(module_stage, hosts):
    server = SignedDns(module_stage.folder, hosts.zones())
    module_stage.add(server, server.stop)
    routes = [{"domain": f"only-{kind}.dane.test", "tls": {"policy": "dane_only"}} for kind in HOSTS]
    routes += [{"domain": "only.unsigned.test", "tls": {"policy": "dane_only"}}]
    return World(module_stage, {"dns": {"validating": True, "timeout": "5s"}, "delivery": {
        "routes": routes, "tls": {"policy": "dane", "clear_text_after": "0s"}}}, dns=server)


@pytest.fixture(autouse=True)
def empty(world):
    yield
    world.purge()


def send(world, domain):
    return world.send(f"{token()}@{domain}")


def dane_results(world, result):
    return world.node.metric("hikyaku_dane_results_total", result=result) or 0


def delivered(world, sink, domain):
    """(outcome, mail) of a mail that goes out."""
    before = len(sink.mails)
    outcome = world.delivered(send(world, domain)).outcome
    assert len(sink.mails) == before + 1
    return outcome, sink.mails[-1]


def held(world, sink, domain):
    """Why a mail waits; the host saw no MAIL, in no session."""
    seen = len(sink.commands)
    outcome = world.deferred(send(world, domain)).outcome
    assert not any(line.startswith("MAIL") for _, line in sink.commands[seen:]), sink.commands[seen:]
    return outcome


def test_the_servers_are_what_the_tests_take_them_for(world):
    proved = world.dns.ask("_25._tcp.mx.ee311.dane.test", "TLSA")
    assert proved.flags & dns.flags.AD and proved.answer, proved
    assert not world.dns.ask("x.unsigned.test", "MX").flags & dns.flags.AD
    assert world.dns.ask("_25._tcp.mx.bogus.test", "TLSA").rcode() == dns.rcode.SERVFAIL
    assert world.dns.ask("_25._tcp.mx.broken.test", "TLSA").rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize("word", ["", "only-"])
@pytest.mark.parametrize("kind", ["ee311", "ee302", "ta201", "both"])
def test_match(world, hosts, kind, word):
    before = dane_results(world, "ok")
    hosts.sinks[kind].hang_up()  # A fresh handshake.
    outcome, mail = delivered(world, hosts.sinks[kind], f"{word}{kind}.dane.test")
    assert mail.tls == "TLSv1.3" and outcome.tls.verified, outcome
    assert outcome.tls.policy == f"dane by TLSA of mx.{kind}.dane.test"
    assert dane_results(world, "ok") > before


@pytest.mark.parametrize("kind", ["mismatch", "talone"])
def test_mismatch(world, hosts, kind):
    before = dane_results(world, "mismatch")
    outcome = held(world, hosts.sinks[kind], f"{kind}.dane.test")
    assert outcome.enhanced_code == "4.7.5", outcome
    assert outcome.text.startswith(f"the policy is dane by TLSA of mx.{kind}.dane.test, but the certificate fits none")
    assert dane_results(world, "mismatch") > before


@pytest.mark.parametrize("kind", ["stripped", "refusing"])
def test_stripped_starttls_is_no_way_to_clear_text(world, hosts, kind):
    """Though clear_text_after is 0s: that is for opportunistic TLS."""
    outcome = held(world, hosts.sinks[kind], f"{kind}.dane.test")
    assert outcome.enhanced_code == "4.7.4" and f"dane by TLSA of mx.{kind}.dane.test" in outcome.text, outcome


def test_unusable_records_ask_for_tls_with_whoever_it_is(world, hosts):
    before = dane_results(world, "unusable")
    outcome, mail = delivered(world, hosts.sinks["unusable"], "unusable.dane.test")
    assert mail.tls and not outcome.tls.verified
    assert outcome.tls.policy == ("require by delivery.tls (dane: none of the TLSA records of mx.unusable.dane.test "
                                  "is of use)")
    assert dane_results(world, "unusable") > before
    assert held(world, hosts.sinks["unusableclear"], "unusableclear.dane.test").enhanced_code == "4.7.4"


@pytest.mark.parametrize("kind", ["bogus", "servfail"])
def test_records_that_cannot_be_had_hold_the_mail(world, hosts, kind):
    before = dane_results(world, "tempfail")
    outcome = held(world, hosts.sinks[kind], f"{kind}.dane.test")
    assert outcome.enhanced_code == "4.7.5", outcome
    assert f"the TLSA records of mx.{kind}.dane.test cannot be looked up" in outcome.text
    assert not hosts.sinks[kind].commands
    assert dane_results(world, "tempfail") > before


def test_bogus_mx_holds_the_mail(world):
    assert world.deferred(send(world, "x.bogus.test")).outcome.enhanced_code == "4.4.3"


def test_no_records_are_no_dane(world, hosts):
    before = dane_results(world, "not_applicable")
    outcome, mail = delivered(world, hosts.sinks["none"], "none.dane.test")
    assert mail.tls and not outcome.tls.verified
    assert "there are no TLSA records of mx.none.dane.test" in outcome.tls.policy
    outcome, mail = delivered(world, hosts.sinks["noneclear"], "noneclear.dane.test")
    assert mail.tls is None
    assert dane_results(world, "not_applicable") > before


def test_insecure_zone_is_not_asked(world, hosts):
    """Its TLSA record is a wrong one, which would hold the mail."""
    before = dane_results(world, "insecure_chain")
    outcome, _ = delivered(world, hosts.sinks["ee311"], "x.unsigned.test")
    assert "DNSSEC does not prove the MX records" in outcome.tls.policy
    # Nor are those of a signed host that an unsigned zone names.
    outcome, _ = delivered(world, hosts.sinks["mismatch"], "signedhost.unsigned.test")
    assert "DNSSEC does not prove the MX records" in outcome.tls.policy
    assert dane_results(world, "insecure_chain") >= before + 2


def test_alias_of_an_unsigned_host_has_the_records_of_its_own_name(world, hosts):
    outcome, _ = delivered(world, hosts.sinks["ee311"], "alias.dane.test")
    assert outcome.tls.verified and outcome.tls.policy == "dane by TLSA of mx.alias.dane.test"


@pytest.mark.parametrize("kind, why", [("none", "there are no TLSA records"), ("unusable", "none of the TLSA records")])
def test_dane_only_holds_what_cannot_be_proved(world, hosts, kind, why):
    outcome = held(world, hosts.sinks[kind], f"only-{kind}.dane.test")
    assert outcome.enhanced_code == "4.7.5" and f"dane_only by delivery.routes[" in outcome.text and why in outcome.text


def test_dane_only_holds_mail_for_an_insecure_zone(world, hosts):
    assert "DNSSEC does not prove" in held(world, hosts.sinks["ee311"], "only.unsigned.test").text


def test_postfix_as_receiver(world, hosts, module_stage):
    receiver = PostfixTls("postfix.dane.test", POSTFIX)
    module_stage.add(receiver, receiver.stop)
    receiver.identity = hosts.own["postfix"]
    receiver.start()
    outcome = world.delivered(send(world, "postfix.dane.test")).outcome
    assert outcome.tls.verified and outcome.tls.policy == "dane by TLSA of mx.postfix.dane.test"
    wait_for(lambda: len(receiver.mails()) == 1, 30, receiver.output)


def test_mail_that_requires_tls_goes_to_a_host_that_dane_proves(world, hosts):
    """RFC 8689 §2: DNSSEC makes the MX's name certain, and the record proves the host."""
    sink = hosts.sinks["promise"]
    outcome = world.delivered(world.send("bob@promise.dane.test", require_tls=True)).outcome
    assert outcome.tls.policy == "dane by TLSA of mx.promise.dane.test"
    assert [line for _, line in sink.commands if line.startswith("MAIL")][-1].endswith(" REQUIRETLS")


def test_explain_tells_why(world):
    def explain(domain):
        return subprocess.run([BINARY, "explain", f"x@{domain}", "--config", world.node.config_file], check=True,
                              capture_output=True, text=True).stdout
    assert "TLSA of mx.ee311.dane.test" in explain("ee311.dane.test")
    assert "there are no TLSA records of mx.none.dane.test" in explain("none.dane.test")
    assert "the host is passed over" in explain("bogus.dane.test")


def test_dane_without_a_validating_resolver_does_not_start(module_stage):
    node = module_stage.node({"delivery": {"tls": {"policy": "dane"}}}, start=False, name="unvalidated")
    node.write_config()
    done = subprocess.run([BINARY, "config", "check", node.config_file], capture_output=True, text=True)
    assert done.returncode == 2 and "dns.validating: true" in done.stderr + done.stdout, done


def test_reload_cannot_make_a_resolver_believed(module_stage, world):
    """The node's resolver was made without: a policy that needs it would see a world of unsigned zones."""
    node = module_stage.node({"listeners": {"grpc": [{"address": "127.0.0.1:7125"}], "smtp": [{"address": "127.0.0.1:2625"}],
                                            "http": [{"address": "127.0.0.1:8125"}]}}, name="reloaded")
    node.write_config({"dns": {"validating": True}, "delivery": {"tls": {"policy": "dane"}}})
    node.process.signal(signal.SIGHUP)
    node.process.wait_until(lambda: "reload_refused" in node.log(), what="a refusal")
    assert "is taken over by a restart alone" in node.log() and '"event":"reloaded"' not in node.log()
