"""Relaying through a host that demands a login, from chosen sources and through proxies, and what `explain` says of it: issue 4 §3."""

import subprocess

import pytest

from support.certificates import Identity
from support.dovecot import Dovecot
from support.node import BINARY
from support.relay import Haproxy, Microsocks, PostfixRelay
from support.wait import wait_for
from support.world import World

RELAY, USERS, PROXY, FAR = "20.0.0.41", "20.0.0.42", "20.0.0.43", "20.0.0.44"
FIRST, SECOND, NEW = "20.0.0.45", "20.0.0.46", "20.0.0.47"
NAME = "relay.test"

pytestmark = pytest.mark.usefixtures("books_add_up")


@pytest.fixture(scope="module")
def users(module_stage):
    server = Dovecot(USERS, {"app": "right secret"})
    module_stage.add(server, server.stop)
    return server.start()


@pytest.fixture(scope="module")
def authority(module_stage):
    return Identity(module_stage.folder / "pki", "ca", authority=True)


@pytest.fixture(scope="module")
def relay(module_stage, users, authority):
    identity = Identity(module_stage.folder / "pki", "relay", names=[NAME], issuer=authority)
    server = PostfixRelay(NAME, RELAY, identity, users.auth)
    module_stage.add(server, server.stop)
    return server.start()


@pytest.fixture(scope="module")
def secrets(module_stage):
    folder = module_stage.folder / "secrets"
    folder.mkdir()
    for name, word in (("right", "right secret"), ("wrong", "wrong secret"), ("turning", "wrong secret")):
        (folder / name).write_text(word + "\n")
    return folder


@pytest.fixture(scope="module")
def proxies(module_stage):
    for proxy, login in ((Microsocks(PROXY, 1080), ()), (Microsocks(PROXY, 1081), ("me", "pw")), (Haproxy(PROXY, 5000), ())):
        module_stage.add(proxy, proxy.stop)
        proxy.start(*login)


@pytest.fixture(scope="module")
def world(module_stage, relay, authority, secrets, proxies):
    def auth(name="right", **more):
        return {"user": "app", "password_file": str(secrets / name), **more}

    (secrets / "socks").write_text("pw\n")
    world = World(module_stage, {"delivery": {
        "tls": {"ca_file": str(authority.files[0])},
        "routes": [
            {"domain": "sub.test", "to": f"[{NAME}]:587", "auth": auth()},
            {"domain": "tls.test", "to": f"[{NAME}]:465", "auth": auth()},
            {"domain": "plain.test", "to": f"[{NAME}]:587", "auth": auth(mechanisms=["plain"])},
            {"domain": "login.test", "to": f"[{NAME}]:587", "auth": auth(mechanisms=["login"])},
            {"domain": "wrong.test", "to": f"[{NAME}]:587", "auth": auth("wrong")},
            {"domain": "turning.test", "to": f"[{NAME}]:587", "auth": auth("turning")},
            {"domain": "missing.test", "to": f"[{NAME}]:587", "auth": auth("missing")},
            {"domain": "clear.test", "to": f"[{NAME}]:2587", "tls": {"policy": "none"}, "auth": auth(allow_clear=True)},
            {"domain": "denied.test", "to": f"[{NAME}]:2587", "auth": auth()},
            {"domain": "nologin.test", "to": f"[{NAME}]:587"},
            {"domain": "socks.test", "to": "smtp:", "sources": "socks"},
            {"domain": "sockslogin.test", "to": "smtp:", "sources": "sockslogin"},
            {"domain": "sockswrong.test", "to": "smtp:", "sources": "sockswrong"},
            {"domain": "haproxy.test", "to": "smtp:", "sources": "haproxy"},
            {"domain": "both.test", "sources": "both"},
            {"domain": "warm.test", "sources": "warm"},
        ],
        "source_pools": [
            {"name": "socks", "sources": [{"proxy": f"socks5:{PROXY}:1080", "helo": "socks.ours.test"}]},
            {"name": "sockslogin", "sources": [{"proxy": f"socks5:{PROXY}:1081", "proxy_user": "me",
                                                "proxy_password_file": str(secrets / "socks")}]},
            {"name": "sockswrong", "sources": [{"proxy": f"socks5:{PROXY}:1081", "proxy_user": "me",
                                                "proxy_password_file": str(secrets / "wrong")}]},
            {"name": "haproxy", "sources": [{"proxy": f"haproxy:{PROXY}:5000", "address": FIRST, "helo": "ha.ours.test"}]},
            {"name": "both", "sources": [{"address": FIRST, "helo": "one.ours.test"},
                                         {"address": SECOND, "helo": "two.ours.test", "weight": 3}]},
            {"name": "warm", "sources": [{"address": NEW, "helo": "new.ours.test",
                                          "warm_up": {"start": "2020-01-01", "days": [1] * 10000}}]},
        ]}})
    world.dns.zone[NAME] = world.addresses(RELAY)
    for word in ("socks", "sockslogin", "sockswrong", "haproxy", "both", "warm"):
        world.dns.zone[f"{word}.test"] = {"MX": [(10, "mx.far.test")]}
    world.dns.zone["mx.far.test"] = world.addresses(FAR)
    return world


class Peers:
    """A receiver that also notes who came, and by which name."""

    def __init__(self, stage):
        self.seen = []  # (address, EHLO name)
        self.sink = stage.sink(FAR, script=self.note)

    def note(self, at, argument, session):
        if at == "EHLO":
            self.seen.append((session.rfile.raw._sock.getpeername()[0], argument))


@pytest.fixture(scope="module")
def far(module_stage):
    return Peers(module_stage)


def send(world, domain, **fields):
    return world.send(f"x@{domain}", **fields)


# Logins.

@pytest.mark.parametrize("domain,method,port", [("sub.test", "SCRAM-SHA-256", 587), ("tls.test", "SCRAM-SHA-256", 465),
                                                ("plain.test", "PLAIN", 587), ("login.test", "LOGIN", 587),
                                                ("clear.test", "SCRAM-SHA-256", 2587)])
def test_login_at_a_postfix_that_demands_it(world, relay, domain, method, port):
    before = len(relay.logins())
    event = world.delivered(send(world, domain))
    assert event.outcome.remote_host == f"{NAME} [{RELAY}]:{port}" and event.attempts == 1
    assert (port == 2587) != event.outcome.tls.verified
    wait_for(lambda: relay.logins()[before:] == [method], 20, lambda: f"{method}: {relay.logins()[before:]}")
    wait_for(lambda: any(f"x@{domain}".encode() in mail for mail in relay.mails()), 20, relay.output)


def test_without_a_login_the_relay_says_no(world):
    outcome = world.bounced(send(world, "nologin.test")).outcome
    assert outcome.smtp_code == 554 and outcome.enhanced_code == "5.7.1"


def test_a_refused_login_delays_and_is_not_tried_again_at_once(world, relay):
    message_id = send(world, "wrong.test")
    outcome = world.deferred(message_id).outcome
    assert outcome.smtp_code == 535 and outcome.enhanced_code == "4.7.8"
    assert outcome.text.startswith("the login of delivery.routes[4] (wrong.test) is refused: ")
    refused = relay.output().count("authentication failed")
    world.api.wait_event(message_id, "DEFERRED", count=3)
    assert relay.output().count("authentication failed") == refused, "the next attempts rested"
    log = world.node.log()
    assert '"event":"login_refused"' in log and "wrong secret" not in log and "right secret" not in log


def test_a_new_password_is_taken_without_a_reload(world, secrets):
    message_id = send(world, "turning.test")
    assert world.deferred(message_id).outcome.smtp_code == 535
    (secrets / "turning").write_text("right secret\n")
    assert world.delivered(message_id).outcome.smtp_code == 250


def test_a_missing_password_file(world):
    outcome = world.deferred(send(world, "missing.test")).outcome
    assert outcome.enhanced_code == "4.7.0" and "No such file" in outcome.text


def test_no_password_without_proof_of_the_host(world, relay):
    before = len(relay.logins())
    outcome = world.deferred(send(world, "denied.test")).outcome
    assert outcome.enhanced_code == "4.7.4", outcome
    assert len(relay.logins()) == before


# Sources and proxies.

def test_socks(world, far):
    world.delivered(send(world, "socks.test"))
    assert far.seen[-1][1] == "socks.ours.test" and "x@socks.test" in far.sink.recipients()


def test_socks_with_a_login(world, far):
    world.delivered(send(world, "sockslogin.test"))
    assert far.seen[-1][1] == "mail.ours.test" and "x@sockslogin.test" in far.sink.recipients()


def test_socks_that_refuses_the_login_is_to_blame(world):
    outcome = world.deferred(send(world, "sockswrong.test")).outcome
    assert f"proxy {PROXY}:1081: SOCKS proxy: it refuses the user or the password" in outcome.text
    assert outcome.enhanced_code == "4.3.1"


def test_haproxy_sends_from_the_source(world, far):
    world.delivered(send(world, "haproxy.test"))
    assert far.seen[-1] == (FIRST, "ha.ours.test"), far.seen


def test_weighted_pool_with_names(world, far):
    before = len(far.seen)
    for i in range(40):
        world.delivered(world.send(f"x{i}@both.test"))
        far.sink.hang_up()
    seen = far.seen[before:]
    assert set(seen) == {(FIRST, "one.ours.test"), (SECOND, "two.ours.test")}
    assert 18 <= seen.count((SECOND, "two.ours.test")) <= 39, seen


def test_warm_up_bounds_the_day_also_over_a_reload(world, far):
    world.delivered(send(world, "warm.test"))
    assert far.seen[-1] == (NEW, "new.ours.test")
    for again in range(2):
        outcome = world.deferred(send(world, "warm.test")).outcome
        assert outcome.enhanced_code == "4.3.2" and "warm-up plan" in outcome.text
        if again == 0:
            world.reload({"delivery": {"allow_ranges": ["10.9.0.0/16"]}})


# Explain.

def explain(world, address, *arguments):
    done = subprocess.run([BINARY, "explain", address, "--config", world.node.config_file, *arguments], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done
    return done.stdout


def test_explain_a_relay(world, secrets):
    text = explain(world, "ann@sub.test")
    assert f"route    SMTP to {NAME}, port 587  [delivery.routes[0] (sub.test)]" in text
    assert f"host     {NAME} {RELAY}:587  [number 1 to be tried]" in text
    assert "tls      verify  [delivery.routes[0] (sub.test)]" in text
    assert f"login    as app, password from {secrets}/right, only after TLS has proven the host" in text
    assert "source   the address that the kernel chooses, EHLO mail.ours.test" in text
    assert "secret\n" not in text and "right secret" not in text


def test_explain_by_mx_with_a_pool(world):
    text = explain(world, "ann@both.test")
    assert "route    SMTP to the MX hosts of both.test, port 25  [delivery.routes[14] (both.test)]" in text
    assert f"host     mx.far.test {FAR}:25" in text
    assert f"source   {SECOND}, EHLO two.ours.test, weight 3  [pool \"both\" of delivery.routes[14] (both.test)]" in text


def test_explain_what_cannot_be_sent(world):
    assert "5.1.2 no such domain: nowhere.test  [the mail bounces]" in explain(world, "x@nowhere.test")
    assert explain(world, "x@[192.0.2.9]").startswith("refused  550 5.1.2 Address literals are not accepted here")
    done = subprocess.run([BINARY, "explain", "no address", "--config", world.node.config_file], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 2 and "ADDRESS" in done.stderr
