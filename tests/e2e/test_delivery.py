"""From the queue to the right host, with the right verdict: N01-N06, N13, D01-D12 of BATTERY and docs/failure.md."""

import collections
import itertools
import re
import statistics
import threading
import time

import pytest

from support.api import TERMINAL, events_pb2, request
from support.post import mail, token
from support.process import Process
from support.smtp import send_mail
from support.wait import port_open, wait_for
from support.world import DEAD, World, answers, in_turn

ONE, TWO, THREE = "20.0.0.21", "20.0.0.22", "20.0.0.23"
V6 = "2a00::1"
DATA_ONLY = ("8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 52428800")  # Without PIPELINING and CHUNKING: one step at a time.

pytestmark = pytest.mark.usefixtures("books_add_up")


@pytest.fixture(scope="module")
def world(module_stage):
    return World(module_stage, {
        "queue": {"domain_concurrency": 5}, "dns": {"timeout": "3s"},
        "delivery": {"timeouts": {name: "8s" for name in ("greeting", "hello", "mail", "rcpt", "data", "dot")}}})


# Which host: N01, N02.

def test_n01_the_best_mx_is_asked_first(world, stage):
    sinks = {address: stage.sink(address) for address in (ONE, TWO, THREE)}
    domain = world.domain((30, THREE), (10, ONE), (20, TWO))
    for message_id in [world.send(f"r{i}@{domain}") for i in range(5)]:
        world.delivered(message_id)
    assert {address: len(sink.mails) for address, sink in sinks.items()} == {ONE: 5, TWO: 0, THREE: 0}


def test_n01_the_second_mx_when_the_first_is_down(world, stage):
    sink = stage.sink(TWO)
    domain = world.domain((10, DEAD), (20, TWO))
    event = world.delivered(world.send(f"r@{domain}"))
    assert event.attempts == 1, "in the same attempt"
    assert event.outcome.remote_host == f"mx2.{domain} [{TWO}]:25"
    assert sink.recipients() == [f"r@{domain}"]


def test_n01_three_equal_mx_share_the_load(world, stage):
    sinks = [stage.sink(address) for address in (ONE, TWO, THREE)]
    domain = world.domain((10, ONE), (10, TWO), (10, THREE))
    world.send_all(request(to=[f"r{i}@{domain}"]) for i in range(900))
    wait_for(lambda: sum(len(sink.mails) for sink in sinks) >= 900, 120, lambda: [len(sink.mails) for sink in sinks])
    world.api.wait_empty()
    assert sorted(r for sink in sinks for r in sink.recipients()) == sorted(f"r{i}@{domain}" for i in range(900))
    assert all(250 <= len(sink.mails) <= 350 for sink in sinks), [len(sink.mails) for sink in sinks]


@pytest.mark.parametrize("addresses", [[DEAD, ONE], ["2a00::dead", ONE], [V6, ONE]],
                         ids=["an address is down", "IPv6 cannot be reached", "both families work"])
def test_every_address_of_a_host_is_tried(world, stage, addresses):
    sinks = [stage.sink(address) for address in addresses if address in (ONE, V6)]
    domain = world.domain((10, addresses))
    assert world.delivered(world.send(f"r@{domain}")).attempts == 1
    assert sum(len(sink.mails) for sink in sinks) == 1


@pytest.mark.parametrize("address", [ONE, V6], ids=["A only", "AAAA only"])
def test_n02_no_mx_means_the_domain_itself(world, stage, address):
    sink = stage.sink(address)
    domain = world.domain()
    world.dns.zone[domain] = world.addresses(address)
    event = world.delivered(world.send(f"r@{domain}"))
    assert event.outcome.remote_host == f"{domain} [{address}]:25"
    assert sink.recipients() == [f"r@{domain}"]


# Domains that take no mail: N03, N06.

def test_n03_a_domain_that_does_not_exist(world):
    event = world.bounced(world.send("r@nosuchdomain.test"))
    assert event.outcome.kind == events_pb2.Outcome.KIND_PERMANENT
    assert event.outcome.scope == events_pb2.Outcome.SCOPE_DOMAIN
    assert (event.outcome.enhanced_code, event.outcome.smtp_code, event.attempts) == ("5.1.2", 0, 1)
    assert "nosuchdomain.test" in event.outcome.text
    assert world.dns.count("nosuchdomain.test", "MX") == 1


def test_n03_a_domain_with_neither_mx_nor_address(world):
    domain = world.domain()
    world.dns.zone[domain] = {"TXT": []}
    event = world.bounced(world.send(f"r@{domain}"))
    assert (event.outcome.enhanced_code, event.attempts) == ("5.1.2", 1)


@pytest.mark.parametrize("preference", [0, 10])
def test_n06_null_mx(world, stage, preference):
    """RFC 7505: at once, and no connection, though the domain has an address."""
    sink = stage.sink(ONE)
    domain = world.domain()
    world.dns.zone[domain] = {"MX": [(preference, ".")], "A": [ONE]}
    event = world.bounced(world.send(f"r@{domain}"))
    assert (event.outcome.enhanced_code, event.attempts) == ("5.1.10", 1)
    assert sink.connections == 0


def test_n06_a_null_mx_beside_a_real_one_is_ignored(world, stage):
    sink = stage.sink(ONE)
    domain = world.domain((10, ONE))
    world.dns.zone[domain]["MX"].insert(0, (0, "."))
    assert world.delivered(world.send(f"r@{domain}")).attempts == 1
    assert sink.recipients() == [f"r@{domain}"]


# DNS in trouble: N05, N13.

@pytest.mark.parametrize("trouble,code", [("SERVFAIL", "4.4.3"), ("REFUSED", "4.4.3"), ("TIMEOUT", "4.4.3")])
def test_n05_the_look_up_of_the_mx_fails_and_recovers(world, stage, trouble, code):
    sink = stage.sink(ONE)
    domain = world.domain((10, ONE))
    good = world.dns.zone[domain]
    world.dns.zone[domain] = trouble
    message_id = world.send(f"r@{domain}")
    assert world.deferred(message_id).outcome.enhanced_code == code
    world.dns.zone[domain] = good
    world.delivered(message_id)
    assert not world.api.events(message_id, "BOUNCED")
    assert sink.recipients() == [f"r@{domain}"]


@pytest.mark.parametrize("trouble,code", [("SERVFAIL", "4.4.3"), ("TIMEOUT", "4.4.3"), (None, "4.4.4"), ({}, "4.4.4")],
                         ids=["SERVFAIL", "silence", "NXDOMAIN", "no address"])
def test_n05_the_look_up_of_every_host_fails_and_recovers(world, stage, trouble, code):
    """Also hosts that do not exist are waited for: zones are repaired."""
    sink = stage.sink(ONE)
    domain = world.domain((10, ONE), (20, ONE))
    hosts = {name: world.dns.zone.pop(name) for name in (f"mx1.{domain}", f"mx2.{domain}")}
    if trouble is not None:
        world.dns.zone.update({name: trouble for name in hosts})
    message_id = world.send(f"r@{domain}")
    assert world.deferred(message_id).outcome.enhanced_code == code
    world.dns.zone.update(hosts)
    world.delivered(message_id)
    assert sink.recipients() == [f"r@{domain}"]


def test_n13_the_resolver_is_silent_for_some_seconds(world, stage):
    """1000 mails meanwhile: none fails for good, all arrive, none twice."""
    sink = stage.sink(ONE)
    domains = [world.domain((10, ONE)) for _ in range(50)]
    def deferred():
        return world.node.metric("hikyaku_queue_deferred_recipients_total")

    before = deferred()
    bounced = world.node.metric("hikyaku_queue_bounced_recipients_total")
    world.dns.silent = True
    try:
        world.send_all(request(to=[f"r{i}@{domains[i % 50]}"]) for i in range(1000))
        wait_for(lambda: deferred() - before >= 1000, 120, lambda: f"every mail tried once: {deferred() - before}")
    finally:
        world.dns.silent = False
    wait_for(lambda: len(sink.mails) >= 1000, 120, lambda: f"1000 mails: {len(sink.mails)}")
    world.api.wait_empty()
    assert sorted(sink.recipients()) == sorted(f"r{i}@{domains[i % 50]}" for i in range(1000))
    assert world.node.metric("hikyaku_queue_bounced_recipients_total") == bounced


# What the peer says: D01, D02, D05, D07, D08, D10.

def test_d01_each_recipient_has_its_own_verdict(world, stage):
    sink = stage.sink(ONE, script=answers({"b": ["450 4.2.0 later", None], "c": "550 5.1.1 no such user"}))
    domain = world.domain((10, ONE))
    a, b, c = (f"{name}@{domain}" for name in "abc")
    message_id = world.send(a, b, c)
    delivered = world.api.wait_event(message_id, "DELIVERED", 2)
    assert [list(event.recipients) for event in delivered] == [[a], [b]]
    deferred, bounced = world.api.events(message_id, "DEFERRED"), world.api.events(message_id, "BOUNCED")
    assert [list(event.recipients) for event in deferred] == [[b]]
    assert [list(event.recipients) for event in bounced] == [[c]]
    assert (bounced[0].outcome.smtp_code, bounced[0].outcome.enhanced_code) == (550, "5.1.1")
    assert (delivered[0].attempts, delivered[1].attempts) == (1, 2)
    assert world.api.states(message_id) == {a: "DELIVERED", b: "DELIVERED", c: "BOUNCED"}
    assert [mail.recipients for mail in sink.mails] == [[a], [b]], "a once, b alone"
    assert sum(event.type == events_pb2.Event.TYPE_BOUNCED for event in world.api.events(message_id)) == 1


@pytest.mark.parametrize("extensions", [None, DATA_ONLY], ids=["everything in one write", "step by step"])
@pytest.mark.parametrize("reply,kind", [("451 4.3.0 no", "DEFERRED"), ("551 5.7.1 no", "BOUNCED")])
def test_d02_all_recipients_refused(world, stage, reply, kind, extensions):
    options = {"extensions": extensions} if extensions else {}
    sink = stage.sink(ONE, script=lambda at, *_: reply if at == "RCPT" else None, **options)
    domain = world.domain((10, ONE))
    recipients = [f"{name}@{domain}" for name in "abc"]
    event = world.api.wait_event(world.send(*recipients), kind)[0]
    assert sorted(event.recipients) == recipients, "one event for all"
    assert (event.outcome.smtp_code, event.outcome.text[-2:]) == (int(reply[:3]), "no")
    assert not sink.mails
    if extensions:
        assert not [line for _, line in sink.commands if line.startswith("DATA")]


@pytest.mark.parametrize("reply", ["550 5.1.1 no", "421 4.3.2 down", "hang"])
def test_d05_what_the_first_host_says_decides_whether_the_second_is_asked(world, stage, reply):
    stage.sink(ONE, script=lambda at, *_: reply if at == ("connect" if reply == "hang" else "RCPT") else None)
    second = stage.sink(TWO)
    domain = world.domain((10, ONE), (20, TWO))
    message_id = world.send(f"r@{domain}")
    if reply.startswith("5"):
        assert world.bounced(message_id).attempts == 1
        assert second.connections == 0
    else:
        assert world.delivered(message_id).attempts == 1
        assert second.recipients() == [f"r@{domain}"]


@pytest.mark.parametrize("reply,kind,code,enhanced", [
    ("550 5.1.1 no such user here", "BOUNCED", 550, "5.1.1"), ("550 no such user here", "BOUNCED", 550, "5.0.0"),
    ("450 5.1.1 no such user here", "DEFERRED", 450, "4.0.0"), ("550 4.2.0 no such user here", "BOUNCED", 550, "5.0.0"),
    ("452 4.2.2 no such user here", "DEFERRED", 452, "4.2.2"), ("552 no such user here", "DEFERRED", 552, "4.0.0"),
    ("599 no such user here", "BOUNCED", 599, "5.0.0"), ("250-x\r\n250 x", "DELIVERED", 250, "2.0.0"),
    ("550-5.1.1 no such\r\n550 5.1.1 user here", "BOUNCED", 550, "5.1.1")])
def test_d07_the_basic_code_decides(world, stage, reply, kind, code, enhanced):
    stage.sink(ONE, script=lambda at, *_: reply if at == "RCPT" else None)
    outcome = world.api.wait_event(world.send(f"r@{world.domain((10, ONE))}"), kind)[0].outcome
    assert outcome.smtp_code == code
    assert outcome.enhanced_code == enhanced or kind == "DELIVERED", outcome.enhanced_code
    if kind != "DELIVERED":
        assert "no such" in outcome.text and "user here" in outcome.text, outcome.text


@pytest.mark.parametrize("at,reply", [("connect", "554 5.7.1 go away"), ("EHLO", "421 4.3.2 busy"),
                                      ("EHLO", "451 4.3.0 no")])
def test_d08_a_host_that_will_not_talk_to_us(world, stage, at, reply):
    """Its refusal is about us: the next host is asked; and alone it only makes the mail wait."""
    stage.sink(ONE, script=lambda stage_, *_: reply if stage_ == at else None)
    second = stage.sink(TWO)
    assert world.delivered(world.send(f"r@{world.domain((10, ONE), (20, TWO))}")).attempts == 1
    assert len(second.mails) == 1
    message_id = world.send(f"r@{world.domain((10, ONE))}")
    event = world.deferred(message_id)
    assert (event.outcome.kind, event.outcome.smtp_code) == (events_pb2.Outcome.KIND_TRANSIENT, int(reply[:3]))
    assert reply[10:] in event.outcome.text
    assert not world.api.events(message_id, "BOUNCED")


def test_d08_a_host_that_knows_no_ehlo(world, stage):
    sink = stage.sink(ONE, script=lambda at, *_: "502 5.5.1 what?" if at == "EHLO" else None)
    domain = world.domain((10, ONE))
    assert world.delivered(world.send(f"r@{domain}")).attempts == 1
    verbs = [line.split()[0] for _, line in sink.commands]
    assert verbs[:5] == ["EHLO", "HELO", "MAIL", "RCPT", "DATA"]
    assert sink.mails[0].parameters == ""


def test_d10_a_message_larger_than_the_host_takes(world, stage):
    sink = stage.sink(ONE, extensions=("PIPELINING", "CHUNKING", "SIZE 2000"))
    domain = world.domain((10, ONE))
    event = world.bounced(world.send(f"r@{domain}", text="x" * 70 + "\n" * 2500))
    assert (event.outcome.enhanced_code, event.outcome.scope, event.attempts) == (
        "5.3.4", events_pb2.Outcome.SCOPE_MESSAGE, 1)
    assert not [line for _, line in sink.commands if line.startswith(("MAIL", "DATA", "BDAT"))]
    world.delivered(world.send(f"r@{domain}", text="short"))


# D03: Postfix's own sink, in every mood at every stage.

MOODS = {"f": "refuses for good", "r": "refuses for now", "q": "hangs up", "Q": "says 421"}
STAGES = ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "."]
CELLS = list(itertools.product(MOODS, STAGES))


@pytest.mark.parametrize("mood,at", CELLS, ids=[f"{MOODS[mood]} at {at}" for mood, at in CELLS])
def test_d03_matrix(world, stage, mood, at):
    first = f"20.0.0.{31 + CELLS.index((mood, at))}"
    peer = Process(["smtp-sink", "-4", "-u", "root", f"-{mood}", at, f"{first}:25", "100"],
                   stage.folder / "smtp-sink.log")
    stage.add(peer, peer.kill)
    peer.wait_until(lambda: port_open(first, 25))
    second = stage.sink(TWO)
    domain = world.domain((10, first), (20, TWO))
    message_id = world.send(f"r@{domain}")

    if mood == "f" and at in ("MAIL", "RCPT", "DATA", "."):
        event = world.bounced(message_id)
        assert (event.outcome.smtp_code, event.outcome.enhanced_code, event.attempts) == (500, "5.3.0", 1)
        assert second.connections == 0
        return
    if mood == "f" and at == "EHLO":
        assert world.delivered(message_id).outcome.remote_host == f"mx1.{domain} [{first}]:25", "HELO did it"
        return
    if mood == "q" and at == ".":
        event = world.deferred(message_id)
        assert event.outcome.ambiguous and event.outcome.remote_host.startswith(f"mx1.{domain}")
        assert second.connections == 0, "it may have arrived: no other host is asked now"
        peer.kill()
    event = world.delivered(message_id)
    assert event.outcome.remote_host == f"mx2.{domain} [{TWO}]:25"
    assert event.attempts == 1 or (mood, at) == ("q", ".")
    assert not world.api.events(message_id, "BOUNCED")
    assert second.recipients() == [f"r@{domain}"]


# D11, D12: limits and fairness.

def test_d11_many_recipients_of_one_domain(world, stage):
    """No more than 100 in a transaction, no more than the domain's limit of 5 deliveries at once, each one once."""
    lock, inside, most = threading.Lock(), set(), [0]

    def script(at, argument, session):
        with lock:
            if at == "MAIL":
                inside.add(session.number)
                most[0] = max(most[0], len(inside))
        if at == "dot":
            time.sleep(0.02)
            with lock:
                inside.discard(session.number)

    sink = stage.sink(ONE, script=script, extensions=DATA_ONLY)
    domain = world.domain((10, ONE))
    recipients = [f"r{i}@{domain}" for i in range(250)]
    message_id = world.send(*recipients)
    others = [f"s{i}@{domain}" for i in range(100)]
    world.send_all(request(to=[address]) for address in others)
    world.api.wait_event(message_id, "DELIVERED", timeout=60)
    world.api.wait_empty()
    assert sorted(sink.recipients()) == sorted(recipients + others)
    sizes = [len(mail.recipients) for mail in sink.mails if mail.recipients[0].startswith("r")]
    assert sorted(sizes) == [50, 100, 100]
    assert 1 < most[0] <= 5


def test_d12_a_domain_that_hangs_does_not_slow_its_neighbour(world, stage):
    release = threading.Event()
    stage.add(release, release.set)

    def hang(at, *_):
        if at == "connect":
            release.wait(60)
        return None

    slow, fast = stage.sink(TWO, script=hang), stage.sink(ONE)
    hanging, quick = world.domain((10, TWO)), world.domain((10, ONE))

    def latencies():
        taken = []
        for _ in range(50):
            begin, count = time.monotonic(), len(fast.mails)
            world.send(f"r@{quick}")
            wait_for(lambda: len(fast.mails) > count, 20, "a mail beside the one that hangs")
            taken.append(fast.mails[-1].time - begin)
        return statistics.quantiles(taken, n=20)[-1]

    alone = latencies()
    world.send_all(request(to=[f"r{i}@{hanging}"]) for i in range(500))
    wait_for(lambda: slow.active == 5, 20, "the limit of the domain that hangs")
    beside = latencies()
    assert slow.active == 5 and not slow.mails, "it hung all the time"
    assert beside < 2 * alone + 1, f"95 of 100 arrived within {alone:.3f} s alone, and within {beside:.3f} s beside it"


# Again and again: retry, expiry, ambiguity.

def test_retry_until_it_works(world, stage):
    """The waits double from 1 s to the cap of 4 s, each within a fifth of that, and none is shorter than the first."""
    sink = stage.sink(ONE, script=answers({"r": ["450 4.2.0 not yet"] * 4 + [None]}))
    domain = world.domain((10, ONE))
    message_id = world.send(f"r@{domain}")
    event = world.delivered(message_id)
    assert event.attempts == 5
    deferred = world.api.events(message_id, "DEFERRED")
    assert [e.attempts for e in deferred] == [1, 2, 3, 4]
    seconds = [e.next_attempt_time.ToDatetime().timestamp() - e.time.ToDatetime().timestamp() for e in deferred]
    for waited, usual in zip(seconds, (1, 2, 4, 4)):
        assert max(1, usual * 0.8) - 0.2 <= waited <= usual * 1.2 + 0.2, seconds
    assert sink.recipients() == [f"r@{domain}"]
    tries = collections.Counter(line for _, line in sink.commands if line.startswith("RCPT"))
    assert list(tries.values()) == [5]


def test_the_lifetime_ends(world):
    """With the reason of the last try. The lifetime is taken over by a reload."""
    domain = world.domain((10, DEAD))
    world.reload({"queue": {"lifetime": "4s"}})
    try:
        short = world.send(f"r@{domain}", f"s@{domain}")
    finally:
        world.reload({"queue": {"lifetime": "5d"}})
    long = world.send(f"r@{domain}")
    event = world.one(short, "EXPIRED", 60)
    assert sorted(event.recipients) == [f"r@{domain}", f"s@{domain}"]
    assert event.outcome.enhanced_code == "4.4.7"
    assert world.api.events(short, "DEFERRED")[-1].outcome.text in event.outcome.text
    assert event.outcome.remote_host == f"mx1.{domain} [{DEAD}]:25"
    accepted = world.api.events(short, "ACCEPTED")[0]
    assert event.time.ToDatetime().timestamp() - accepted.time.ToDatetime().timestamp() >= 3.9
    assert set(world.api.states(short).values()) == {"EXPIRED"}
    assert world.api.states(long) == {f"r@{domain}": "DEFERRED"}


def test_a_lost_reply_to_the_dot_is_ambiguous(world, stage):
    """The peer may have it: counted, told, tried again at the same host, and at no other in the same attempt."""
    first = stage.sink(ONE, script=in_turn("drop", stage="dot"))
    second = stage.sink(TWO)
    domain = world.domain((10, ONE), (20, TWO))
    before = world.node.metric("hikyaku_queue_ambiguous_total")
    message_id = world.send(f"r@{domain}")
    event = world.deferred(message_id)
    assert event.outcome.ambiguous
    assert (event.outcome.kind, event.outcome.enhanced_code) == (events_pb2.Outcome.KIND_TRANSIENT, "4.4.2")
    assert second.connections == 0
    assert world.node.metric("hikyaku_queue_ambiguous_total") == before + 1
    event = world.delivered(message_id)
    assert (event.attempts, event.outcome.ambiguous) == (2, False)
    assert first.recipients() == [f"r@{domain}"]


def test_a_connection_lost_before_the_dot_is_not_ambiguous(world, stage):
    sink = stage.sink(ONE, script=in_turn("drop", stage="DATA"), extensions=DATA_ONLY)
    domain = world.domain((10, ONE))
    before = world.node.metric("hikyaku_queue_ambiguous_total")
    message_id = world.send(f"r@{domain}")
    event = world.deferred(message_id)
    assert (event.outcome.enhanced_code, event.outcome.ambiguous) == ("4.4.2", False)
    world.delivered(message_id)
    assert world.node.metric("hikyaku_queue_ambiguous_total") == before
    assert sink.recipients() == [f"r@{domain}"]


@pytest.mark.parametrize("at,reply", [("connect", "220 " + "x" * 1_000_000), ("connect", "no smtp"),
                                      ("EHLO", "250-a\r\n" * 5000), ("RCPT", "350 what now"), ("dot", "999 odd"),
                                      ("connect", "\r\n".join(["220-x"] * 50_000))],
                         ids=["endless line", "no code", "endless EHLO", "wrong class", "odd code", "endless greeting"])
def test_a_hostile_peer_costs_nobody_else(world, stage, at, reply):
    """Nonsense ends the session; the mail waits, or goes to the next host."""
    stage.sink(ONE, script=lambda stage_, *_: reply if stage_ == at else None)
    second = stage.sink(TWO)
    domain = world.domain((10, ONE), (20, TWO))
    message_id = world.send(f"r@{domain}")
    ended = wait_for(lambda: world.api.events(message_id, "DELIVERED") or world.api.events(message_id, "DEFERRED"), 60)
    assert not world.api.events(message_id, "BOUNCED")
    if ended[0].type == events_pb2.Event.TYPE_DELIVERED:
        assert second.recipients() == [f"r@{domain}"]
    else:
        assert ended[0].outcome.ambiguous or at == "RCPT", ended[0]
    assert len(ended[0].outcome.text) <= 1024


# Connections are kept and used again.

def test_connections_are_reused(world, stage):
    sink = stage.sink(ONE)
    domain = world.domain((10, ONE))
    for _ in range(20):
        world.delivered(world.send(f"r@{domain}"))
    assert len(sink.mails) == 20
    assert sink.connections <= 4, "one a thread, and a little"


def test_a_kept_connection_that_the_peer_closed_is_no_failure(world, stage):
    sink = stage.sink(ONE, script=lambda at, *_: None)
    domain = world.domain((10, ONE))
    for _ in range(3):
        event = world.delivered(world.send(f"r@{domain}"))
        assert event.attempts == 1
        sink.hang_up()
    assert len(sink.mails) == 3


# By SMTP, too.

def test_a_mail_by_smtp_for_three_domains(world, stage):
    sinks = {address: stage.sink(address) for address in (ONE, TWO)}
    one, two, gone = world.domain((10, ONE)), world.domain((10, TWO)), "gone.test"
    word = token()
    recipients = [f"a@{one}", f"b@{one}", f"c@{two}", f"d@{gone}"]
    code, text = send_mail(world.node.smtp, "alice@ours.test", recipients, mail(word))
    assert code == 250, text
    message_id = re.search(r"\b[0-9a-z]{26}\b", text).group()
    wait_for(lambda: all(r.state in TERMINAL for d in world.api.get(message_id).deliveries for r in d.recipients), 60)
    assert world.api.states(message_id) == {f"a@{one}": "DELIVERED", f"b@{one}": "DELIVERED", f"c@{two}": "DELIVERED",
                                            f"d@{gone}": "BOUNCED"}
    assert [m.recipients for m in sinks[ONE].mails] == [[f"a@{one}", f"b@{one}"]], "one transaction for one domain"
    assert [m.recipients for m in sinks[TWO].mails] == [[f"c@{two}"]]
