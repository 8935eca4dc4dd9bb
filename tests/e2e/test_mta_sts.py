"""MTA-STS (RFC 8461): policies over real HTTPS, and what hosts see of the mail that they forbid: BATTERY T23."""

import socket
import subprocess
import time

import pytest

from support.api import admin_pb2
from support.certificates import Identity
from support.node import BINARY, Cluster
from support.policy_host import PATH, PolicyHost, policy
from support.post import token
from support.wait import wait_for
from support.world import World

WEB = "20.0.0.30"
HOSTS = {"good": "20.0.0.31", "selfsigned": "20.0.0.32", "expired": "20.0.0.33", "wrongname": "20.0.0.34",
         "clear": "20.0.0.35"}


class Publisher:
    """An authority, a policy host, and receivers of each kind as mx.KIND.test. Domains are made by the tests."""

    def __init__(self, stage):
        folder = stage.folder / "tls"
        self.authority = Identity(folder, "authority", authority=True, days=100)
        issued = {"issuer": self.authority}
        made = {
            "good": Identity(folder, "good", ["mx.good.test"], **issued),
            "selfsigned": Identity(folder, "selfsigned", ["mx.selfsigned.test"]),
            "expired": Identity(folder, "expired", ["mx.expired.test"], days=-1, **issued),
            "wrongname": Identity(folder, "wrongname", ["mx.other.test"], **issued),
        }
        self.sinks = {kind: stage.sink(address, tls=made[kind].context() if kind in made else None)
                      for kind, address in HOSTS.items()}
        self.folder = folder
        self.web = PolicyHost(folder, self.authority, WEB)
        stage.add(self.web, self.web.stop)

    def config(self, **tls):
        return {"delivery": {"tls": {"ca_file": str(self.authority.files[0]), **tls}}}

    def domain(self, dns, kind, text=None, **answer):
        """A fresh domain with its MX at a host of this kind, which announces `text`; enforce for that host by default."""
        name = f"{token()}.test"
        dns.zone[f"mx.{kind}.test"] = {"A": [HOSTS[kind]]}
        dns.zone[name] = {"MX": [(10, f"mx.{kind}.test")]}
        dns.zone[f"mta-sts.{name}"] = {"A": [WEB]}
        announce(dns, name, "1")
        self.web.publish(name, policy(mx=[f"mx.{kind}.test"]) if text is None else text, **answer)
        return name


def announce(dns, name, version):
    dns.zone[f"_mta-sts.{name}"] = {"TXT": [f'"v=STSv1; id={version};"']}


@pytest.fixture(scope="module")
def publisher(module_stage):
    return Publisher(module_stage)


@pytest.fixture(scope="module")
def world(module_stage, publisher):
    return World(module_stage, publisher.config())


@pytest.fixture(autouse=True)
def empty(world):
    yield
    world.purge()


def send(world, domain):
    return world.send(f"{token()}@{domain}")


def delivered(world, domain):
    return world.delivered(send(world, domain)).outcome


def deferred(world, domain):
    return world.deferred(send(world, domain)).outcome


def test_enforce_delivers_to_a_host_that_proves_itself(world, publisher):
    domain = publisher.domain(world.dns, "good")
    outcome = delivered(world, domain)
    assert outcome.tls.verified and outcome.tls.policy == f"verify by MTA-STS of {domain}", outcome
    assert publisher.web.asked.count((f"mta-sts.{domain}", PATH)) == 1
    delivered(world, domain)
    assert publisher.web.count(domain) == 1
    assert world.node.metric("hikyaku_mta_sts_fetches_total", result="ok") >= 1
    assert world.node.metric("hikyaku_mta_sts_policies_total", mode="enforce") >= 2


WHY = {"selfsigned": ("4.7.5", "self signed certificate"), "expired": ("4.7.5", "certificate has expired"),
       "wrongname": ("4.7.5", "not for mx.wrongname"), "clear": ("4.7.4", "does not offer TLS")}


@pytest.mark.parametrize("kind", WHY)
def test_enforce_sends_nothing_to_a_host_that_does_not(world, publisher, kind):
    domain = publisher.domain(world.dns, kind)
    seen = len(publisher.sinks[kind].commands)
    outcome = deferred(world, domain)
    code, why = WHY[kind]
    assert outcome.enhanced_code == code and why in outcome.text, outcome
    assert f"the policy is verify by MTA-STS of {domain}" in outcome.text
    assert not any(line.startswith("MAIL") for _, line in publisher.sinks[kind].commands[seen:])


def test_enforce_does_not_connect_to_a_host_that_is_not_listed(world, publisher):
    """The attack that MTA-STS is for: DNS says another MX. Its certificate is good, for itself."""
    domain = publisher.domain(world.dns, "good", policy(mx=["mx.elsewhere.test", "*.mx.good.test"]))
    seen = publisher.sinks["good"].connections
    outcome = deferred(world, domain)
    assert outcome.enhanced_code == "4.7.5", outcome
    assert outcome.text == f"the MTA-STS policy of {domain} does not list its MX host mx.good.test"
    assert publisher.sinks["good"].connections == seen


def test_next_mx_that_is_listed_gets_the_mail(world, publisher):
    domain = publisher.domain(world.dns, "good")
    world.dns.zone["mx.selfsigned.test"] = {"A": [HOSTS["selfsigned"]]}
    world.dns.zone[domain] = {"MX": [(5, "mx.selfsigned.test"), (10, "mx.good.test")]}
    assert delivered(world, domain).remote_host.startswith("mx.good.test")


@pytest.mark.parametrize("mode", ["testing", "none"])
def test_other_modes_block_nothing(world, publisher, mode):
    domain = publisher.domain(world.dns, "selfsigned", policy(mode, mx=["mx.elsewhere.test"]))
    assert delivered(world, domain).tls.policy == "opportunistic by delivery.tls"
    assert publisher.web.count(domain) == 1


BROKEN = {
    "redirect": {"status": 302, "headers": {"Location": "https://mta-sts.good.test/x"}},
    "missing": {"status": 404},
    "page": {"headers": {"Content-Type": "text/html"}},
    "large": {"text": policy(mx=["mx.elsewhere.test"]) + "x" * (64 << 10)},
    "nonsense": {"text": "version: STSv1\nmode: enforce\n"},
}


@pytest.mark.parametrize("how", BROKEN)
def test_answer_that_is_no_policy_is_none(world, publisher, how):
    answer = {"text": policy(mx=["mx.elsewhere.test"]), **BROKEN[how]}
    domain = publisher.domain(world.dns, "selfsigned", **answer)
    assert delivered(world, domain).tls.policy == "opportunistic by delivery.tls"
    delivered(world, domain)
    assert publisher.web.count(domain) == 1, "a fetch that failed is not repeated at once"
    assert publisher.web.count("good.test") == 0, "no redirect is followed"


@pytest.mark.parametrize("how", ["selfsigned", "expired", "wrongname"])
def test_policy_host_must_prove_itself(world, publisher, how):
    domain = publisher.domain(world.dns, "selfsigned")
    name = "mta-sts.other.test" if how == "wrongname" else f"mta-sts.{domain}"
    bad = Identity(publisher.folder, f"web-{how}", [name], issuer=None if how == "selfsigned" else publisher.authority,
                   days=-1 if how == "expired" else 10)
    publisher.web.publish(domain, policy(mx=["mx.elsewhere.test"]), identity=bad)
    before = world.node.metric("hikyaku_mta_sts_fetches_total", result="certificate") or 0
    assert delivered(world, domain).tls.policy == "opportunistic by delivery.tls"
    assert publisher.web.count(domain) == 0
    assert world.node.metric("hikyaku_mta_sts_fetches_total", result="certificate") == before + 1


def test_policy_host_at_a_forbidden_address_is_not_asked(world, publisher):
    """A recipient's domain must not make us ask hosts of our own network."""
    domain = publisher.domain(world.dns, "selfsigned")
    world.dns.zone[f"mta-sts.{domain}"] = {"A": ["127.0.0.1", "10.0.0.1"]}
    before = world.node.metric("hikyaku_mta_sts_fetches_total", result="unreachable") or 0
    delivered(world, domain)
    assert world.node.metric("hikyaku_mta_sts_fetches_total", result="unreachable") == before + 1


def test_new_id_brings_the_new_policy(world, publisher):
    """A domain that moves to another MX says so: its mail waits for one attempt, which brings the policy."""
    domain = publisher.domain(world.dns, "good", policy(mx=["mx.elsewhere.test"]))
    message = send(world, domain)
    assert "does not list" in world.deferred(message).outcome.text
    publisher.web.publish(domain, policy(mx=["mx.good.test"]))
    announce(world.dns, domain, "2")
    assert world.delivered(message).outcome.tls.policy == f"verify by MTA-STS of {domain}"
    assert publisher.web.count(domain) == 2


@pytest.mark.parametrize("answer", ["SERVFAIL", "TIMEOUT"])
def test_dns_that_fails_for_the_record_costs_little(world, publisher, answer):
    domain = publisher.domain(world.dns, "selfsigned")
    world.dns.zone[f"_mta-sts.{domain}"] = answer
    begin = time.monotonic()
    delivered(world, domain)
    assert time.monotonic() - begin < 15
    asked = world.dns.count(f"_mta-sts.{domain}")
    delivered(world, domain)
    if answer == "TIMEOUT":
        assert world.dns.count(f"_mta-sts.{domain}") == asked, "the record rests"
    assert publisher.web.count(domain) == 0


def test_silent_policy_host_delays_its_own_mail_alone(world, publisher, module_stage):
    """It takes connections and says nothing; all mails of its domain wait for the one fetch, and then go."""
    silent = socket.create_server(("20.0.0.36", 443))
    module_stage.add(silent, silent.close)
    domain = publisher.domain(world.dns, "selfsigned")
    world.dns.zone[f"mta-sts.{domain}"] = {"A": ["20.0.0.36"]}
    waiting = [send(world, domain) for _ in range(3)]
    wait_for(lambda: world.dns.count(f"mta-sts.{domain}") > 0, what="the fetch to begin")
    for _ in range(5):
        delivered(world, publisher.domain(world.dns, "good"))
    assert not any(world.api.events(message, "DELIVERED") for message in waiting)
    for message in waiting:
        assert world.delivered(message).attempts == 1
    silent.setblocking(False)
    silent.accept()[0].close()
    with pytest.raises(BlockingIOError):
        silent.accept()


def test_domains_at_one_host_do_not_share_connections(world, publisher):
    strict = publisher.domain(world.dns, "good")
    lenient = f"{token()}.test"
    world.dns.zone[lenient] = world.dns.zone[strict]
    publisher.sinks["good"].hang_up()
    assert delivered(world, lenient).tls.policy == "opportunistic by delivery.tls"
    before = publisher.sinks["good"].connections
    assert delivered(world, strict).tls.policy == f"verify by MTA-STS of {strict}"
    assert publisher.sinks["good"].connections == before + 1
    assert delivered(world, lenient).tls.policy == "opportunistic by delivery.tls"
    assert publisher.sinks["good"].connections == before + 1


def test_explain_tells_the_policy(world, publisher):
    def told(domain):
        done = subprocess.run([BINARY, "explain", f"ann@{domain}", "--config", world.node.config_file], capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 0, done
        return done.stdout
    domain = publisher.domain(world.dns, "good")
    text = told(domain)
    assert "mta-sts  enforce, mx mx.good.test, until 20" in text, text
    assert f"[id 1, https://mta-sts.{domain}{PATH}]" in text and f"verify  [MTA-STS of {domain}]" in text, text
    assert "host is passed over: " in told(publisher.domain(world.dns, "good", policy(mx=["mx.elsewhere.test"])))
    assert "not to be had, so none: the answer is 404" in told(publisher.domain(world.dns, "good", status=404))
    assert "mta-sts  none" in told("good.test")


def test_configured_route_and_the_switch(world, publisher):
    """The operator's word comes before the recipient's."""
    routed = publisher.domain(world.dns, "selfsigned", policy(mx=["mx.elsewhere.test"]))
    plain = publisher.domain(world.dns, "clear", policy(mx=["mx.elsewhere.test"]))
    world.reload({"delivery": {"routes": [{"domain": routed, "to": "[mx.selfsigned.test]"},
                                          {"domain": plain, "tls": {"policy": "none"}}]}})
    assert delivered(world, routed).tls.policy == "opportunistic by delivery.tls"
    assert not delivered(world, plain).HasField("tls")
    world.reload({"delivery": {"routes": [], "tls": {"mta_sts": False}}})
    off = publisher.domain(world.dns, "selfsigned", policy(mx=["mx.elsewhere.test"]))
    assert delivered(world, off).tls.policy == "opportunistic by delivery.tls"
    for domain in (routed, plain, off):
        assert world.dns.count(f"_mta-sts.{domain}") == publisher.web.count(domain) == 0
    world.reload({"delivery": {"tls": {"mta_sts": True}}})


def forget_the_web(dns, domain):
    """DNS says nothing of MTA-STS any more, as an attacker would have it, and names another MX."""
    del dns.zone[f"_mta-sts.{domain}"], dns.zone[f"mta-sts.{domain}"]
    dns.zone["mx.selfsigned.test"] = {"A": [HOSTS["selfsigned"]]}
    dns.zone[domain] = {"MX": [(10, "mx.selfsigned.test")]}


def test_policy_outlives_the_process_and_the_policy_host(world, publisher):
    domain = publisher.domain(world.dns, "good")
    delivered(world, domain)
    forget_the_web(world.dns, domain)
    world.node.restart()
    outcome = deferred(world, domain)
    assert outcome.text == f"the MTA-STS policy of {domain} does not list its MX host mx.selfsigned.test"
    assert publisher.web.count(domain) == 1


def test_policy_outlives_a_worker_of_three_services(stage, publisher, world):
    """The shard that owns the domain keeps it, not the worker that fetched it."""
    world.node.stop()
    cluster = Cluster(stage.folder, publisher.config())
    stage.add(cluster, cluster.kill)
    cluster.start()
    several = World.__new__(World)
    several.dns, several.node, several.api = world.dns, cluster.submission, stage.api(cluster.submission)
    # Mail for a shard that is not reached yet goes to the other one, and its policy with it.
    wait_for(lambda: not several.api.admin.ListQueues(admin_pb2.ListQueuesRequest(limit=1)).missing_shards, 60, "both shards")
    domains = [publisher.domain(world.dns, "good") for _ in range(4)]
    for domain in domains:
        assert delivered(several, domain).tls.policy == f"verify by MTA-STS of {domain}"
        forget_the_web(world.dns, domain)
    cluster.delivery.restart()
    for domain in domains:
        assert "does not list its MX host mx.selfsigned.test" in deferred(several, domain).text
        assert publisher.web.count(domain) == 1
    cluster.kill()
    world.node.start()
