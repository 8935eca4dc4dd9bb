"""What an operator can see: metrics whose books add up, the pages, a log that is safe to read: L03, L04 of BATTERY."""

import json
import re
import signal
import threading

import grpc
import pytest

from support.api import admin_pb2, request
from support.node import http_get
from support.post import mail, token
from support.smtp import Client, send_mail
from support.wait import port_open, wait_for
from support.world import DEAD, World, answers, code_of

ONE, TWO = "20.0.0.21", "20.0.0.22"


@pytest.fixture
def world(stage):
    return World(stage, {"log": {"level": "debug"}})


def metrics(node):
    """{name: {"type": …, "help": …, "samples": {labels: value}}} of the page, every line of which must be sound."""
    status, text = http_get(node.http, "/metrics")
    assert status == 200
    families = {}
    for line in text.splitlines():
        comment = re.fullmatch(r"# (HELP|TYPE) (\w+) (.+)", line)
        if comment:
            families.setdefault(comment.group(2), {"samples": {}})[comment.group(1).lower()] = comment.group(3)
            continue
        sample = re.fullmatch(r'(\w+?)(_bucket|_sum|_count)?(\{(?:\w+="(?:[^"\\]|\\.)*",?)*\})? (\S+)', line)
        assert sample, line
        name, suffix, labels, value = sample.groups()
        if name not in families:
            name, suffix = name + (suffix or ""), None
        families[name]["samples"][(suffix or "") + (labels or "")] = float(value)
    return families


EXPECTED = {
    "counter": ["hikyaku_queue_accepted_recipients_total", "hikyaku_queue_delivered_recipients_total",
                "hikyaku_queue_deferred_recipients_total", "hikyaku_queue_bounced_recipients_total",
                "hikyaku_queue_expired_recipients_total", "hikyaku_queue_cancelled_recipients_total",
                "hikyaku_queue_ambiguous_total", "hikyaku_queue_commits_total",
                "hikyaku_submission_accepted_messages_total", "hikyaku_submission_refused_total",
                "hikyaku_delivery_attempts_total", "hikyaku_delivery_connections_total", "hikyaku_dns_lookups_total"],
    "gauge": ["hikyaku_queue_queued_recipients", "hikyaku_queue_deliveries", "hikyaku_queue_oldest_age_seconds",
              "hikyaku_queue_gate_closed", "hikyaku_queue_free_disk_bytes", "hikyaku_queue_domains",
              "hikyaku_delivery_in_flight", "hikyaku_submission_sessions"],
    "histogram": ["hikyaku_queue_commit_group_size", "hikyaku_queue_sync_seconds", "hikyaku_submission_accept_seconds",
                  "hikyaku_queue_end_to_end_seconds", "hikyaku_delivery_seconds"],
}


def books(world):
    return {name: world.node.metric(f"hikyaku_queue_{name}_recipients_total") or 0
            for name in ("accepted", "delivered", "bounced", "expired", "cancelled")}


def test_l03_the_books_of_the_metrics_add_up(world, stage):
    """accepted = delivered + bounced + expired + cancelled + queued, exactly, and the store agrees."""
    stage.sink(ONE, script=answers({"hard": "550 5.1.1 no", "soft": ["450 4.2.0 later", None]}))
    good, down = world.domain((10, ONE)), world.domain((10, DEAD))
    for i in range(20):
        world.send(f"ok{i}@{good}", f"hard@{good}", f"soft@{good}", f"r{i}@gone.test")
        assert send_mail(world.node.smtp, "alice@ours.test", [f"s{i}@{good}", f"t@{down}"], mail(token()))[0] == 250
    purged = world.domain((10, DEAD))
    world.deferred(world.send(f"a@{purged}", f"b@{purged}"))
    purge = admin_pb2.PurgeRequest(domain=purged)
    wait_for(lambda: world.api.admin.Purge(purge, timeout=10).purged == 1, 20, "a purge")
    world.reload({"queue": {"lifetime": "2s"}})
    expiring = world.send(f"late@{down}")
    world.one(expiring, "EXPIRED", 60)
    wait_for(lambda: all(q.domain == down for q in world.queues() if q.ready + q.leased + q.scheduled), 60, "the rest")

    found = books(world)
    assert found == {"accepted": 20 * 6 + 3, "delivered": 20 * 3, "bounced": 20 * 2, "expired": 1, "cancelled": 2}
    assert world.node.metric("hikyaku_queue_queued_recipients") == 20
    shard = world.api.check()[0]
    assert {name: getattr(shard, f"{name}_total") for name in found} == found
    assert shard.recipients == 20
    wait_for(lambda: world.node.metric("hikyaku_queue_deliveries") == 20, 20, "twenty deliveries that wait")
    # Another life: the books go on.
    for end in (world.node.stop, world.node.kill):
        end()
        world.node.start()
        assert books(world) == found
        assert world.node.metric("hikyaku_queue_queued_recipients") == 20


def test_the_metrics_are_complete_and_described(world, stage):
    stage.sink(ONE, script=answers({"hard": "550 5.1.1 no"}))
    domain = world.domain((10, ONE))
    for _ in range(10):
        world.delivered(world.send(f"ok@{domain}"))
    assert send_mail(world.node.smtp, "alice@ours.test", [f"ok@{domain}"], mail(token()))[0] == 250
    world.bounced(world.send(f"hard@{domain}"))
    assert code_of(lambda: world.send("bad")) == grpc.StatusCode.INVALID_ARGUMENT
    world.api.wait_empty()
    found = metrics(world.node)
    for kind, names in EXPECTED.items():
        for name in names:
            assert name in found, name
            assert found[name]["type"] == kind and len(found[name]["help"]) > 10, found[name]
    assert all(name.startswith(("hikyaku_", "exposer_")) for name in found)
    # No word of the outside is a label.
    labels = "".join(label for family in found.values() for label in family["samples"])
    assert domain not in labels and "alice" not in labels
    metric = world.node.metric
    assert metric("hikyaku_submission_accepted_messages_total", protocol="grpc") == 11
    assert metric("hikyaku_submission_accepted_messages_total", protocol="smtp") == 1
    assert metric("hikyaku_submission_accept_seconds_count") == 12
    assert metric("hikyaku_queue_end_to_end_seconds_count") == 11
    assert metric("hikyaku_delivery_attempts_total", result="delivered") == 11
    assert metric("hikyaku_delivery_attempts_total", result="bounced") == 1
    assert metric("hikyaku_queue_commits_total") == metric("hikyaku_queue_sync_seconds_count")
    assert metric("hikyaku_queue_commit_group_size_sum") >= 24, "an enqueue and a verdict for each mail"
    for name in ("hikyaku_queue_sync_seconds", "hikyaku_submission_accept_seconds"):
        assert metric(f"{name}_bucket", le="+Inf") == metric(f"{name}_count") > 0


def test_refusals_are_counted(world):
    """Each message that was refused, whoever found the fault, once and by its reason; and recipients beside it."""
    def counted(name):
        samples = metrics(world.node).get(f"hikyaku_submission_{name}_total", {"samples": {}})["samples"]
        return {tuple(re.findall(r'="(\w+)"', label)): count for label, count in samples.items()}

    def session(*lines):
        with Client(world.node.smtp) as client:
            client.hello()
            return [client.command(line)[0] for line in lines]

    before, recipients = counted("refused"), counted("refused_recipients")
    sender, recipient, message = "MAIL FROM:<alice@ours.test>", "RCPT TO:<r@ok.test>", mail(token()).decode()
    assert session(sender + " SIZE=99999999") == [552]
    assert session(sender, recipient, "DATA", message + "a\nb\r\n.")[-1] == 550
    assert session(sender, recipient, "DATA", "Subject: nobody's\r\n\r\n.")[-1] == 554
    assert session(sender, recipient, "BDAT 3 LAST\r\na\nb")[-1] == 550
    assert session(sender, "RCPT TO:<r@[10.0.0.1]>", "RCPT TO:<r@>") == [250, 550, 501]
    assert code_of(lambda: world.send("bad")) == grpc.StatusCode.INVALID_ARGUMENT
    assert code_of(lambda: world.send("r@ok.test", text="x" * (25 << 20))) == grpc.StatusCode.RESOURCE_EXHAUSTED
    world.send("r@ok.test", "r@[10.0.0.1]")

    def more(name, then):
        return {labels: count - then.get(labels, 0) for labels, count in counted(name).items() if count != then.get(labels, 0)}
    assert more("refused", before) == {("smtp", "too_large"): 1, ("smtp", "invalid"): 3, ("grpc", "invalid"): 1,
                                       ("grpc", "too_large"): 1}
    assert more("refused_recipients", recipients) == {("smtp", "policy"): 1, ("smtp", "invalid"): 1, ("grpc", "policy"): 1}


def test_readyz_says_that_it_is_stopping(world, stage):
    """While the last transaction ends: alive, not ready, no new mail; and what was under way is delivered."""
    reached, go_on = threading.Event(), threading.Event()
    stage.add(go_on, go_on.set)

    def slow(at, *_):
        if at == "dot":
            reached.set()
            go_on.wait(15)
        return None

    sink = stage.sink(ONE, script=slow)
    domain = world.domain((10, ONE))
    assert http_get(world.node.http, "/readyz") == (200, "ok\n")
    assert http_get(world.node.http, "/healthz")[0] == 200
    world.send(f"r@{domain}")
    assert reached.wait(30)
    session = Client(world.node.smtp)
    stage.add(session, session.close)
    session.hello()
    world.node.process.signal(signal.SIGTERM)
    wait_for(lambda: world.node.ready() == (503, "not ready: stopping\n"), 10, world.node.ready)
    assert http_get(world.node.http, "/healthz")[0] == 200
    assert code_of(lambda: world.api.send(request(to=[f"s@{domain}"]))) == grpc.StatusCode.UNAVAILABLE
    assert session.reply()[0] == 421
    assert not port_open("127.0.0.1", 2525)
    go_on.set()
    assert world.node.process.popen.wait(30) == 0
    assert sink.recipients() == [f"r@{domain}"]
    world.node.start()
    wait_for(lambda: not world.api.queued(), 30, "nothing left")
    assert sink.recipients() == [f"r@{domain}"]


# The log.

HOSTILE = '550 5.1.1 "}\x1b[2J\x07{"level":"error","event":"forged"}\u2028\xff no <script>\\" \x7f\x9b31m'


def lines_of(node):
    """Every line of the log as the JSON that it must be."""
    return [json.loads(line) for line in node.log().splitlines()]


def test_what_a_peer_says_cannot_forge_the_log(world, stage):
    """Nor drive a terminal: not in the log, not in the API's answers."""
    stage.sink(ONE, script=lambda at, *_: HOSTILE if at == "RCPT" else None)
    domain = world.domain((10, ONE))
    message_id = world.send(f"r@{domain}")
    text = world.bounced(message_id).outcome.text
    assert "no <script>" in text
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028]", text), repr(text)
    raw = world.node.process.log.read_bytes()
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", raw)
    records = lines_of(world.node)
    assert not [r for r in records if r["event"] == "forged"]
    told = [r for r in records if r["event"] == "attempt" and r["message"] == message_id]
    assert len(told) == 1 and (told[0]["code"], told[0]["enhanced"]) == (550, "5.1.1")


def test_what_a_client_says_cannot_forge_the_log(world):
    evil = b'\x1b[2J"}\n{"level":"error","event":"forged"}\x00\xff'
    with Client(world.node.smtp) as client:
        client.send(b"EHLO " + evil.replace(b"\n", b"\r") + b"\r\n")
        client.reply()
        flat = evil.replace(b"\n", b"")
        for line in (b"MAIL FROM:<" + flat + b">", flat, b"RCPT TO:<a@b.test> " + evil[:4]):
            client.send(line + b"\r\n")
            client.reply()
    assert code_of(lambda: world.send('"}\x1b[2J@x.test')) == grpc.StatusCode.INVALID_ARGUMENT
    assert code_of(lambda: world.api.get('"}\n\x1b')) == grpc.StatusCode.INVALID_ARGUMENT
    raw = world.node.process.log.read_bytes()
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", raw)
    assert not [r for r in lines_of(world.node) if r["event"] == "forged"]


def test_l04_no_word_of_a_mail_is_in_the_log(world, stage):
    """At the level "debug", for every fate: no subject, no body, no attachment, no key, no metadata."""
    stage.sink(ONE, script=answers({"hard": "550 5.1.1 no", "soft": ["450 4.2.0 later", None]}))
    domain = world.domain((10, ONE))
    secret = token()
    message = request(subject=f"{secret}-subject", to=[f"r@{domain}", f"hard@{domain}", f"soft@{domain}"],
                      text=f"{secret}-text", idempotency_key=f"{secret}-key", metadata={"m": f"{secret}-metadata"},
                      tags=[f"{secret}-tag"])
    message.content.html = f"<p>{secret}-html</p>"
    message.content.attachments.add(filename=f"{secret}.pdf", content=f"{secret}-attachment".encode())
    message.content.headers.add(name="X-Secret", value=f"{secret}-header")
    sent = world.api.send(message)
    assert code_of(lambda: world.api.send(request(subject="other", idempotency_key=f"{secret}-key"))) == (
        grpc.StatusCode.ALREADY_EXISTS)
    assert code_of(lambda: world.send("bad", text=f"{secret}-refused", subject=f"{secret}\n")) == (
        grpc.StatusCode.INVALID_ARGUMENT)
    for data in (mail(f"{secret}-smtp", body=f"{secret}-body\r\n"), f"{secret}-no-header\r\n\r\nx\r\n"):
        send_mail(world.node.smtp, "alice@ours.test", [f"r@{domain}"], data)
    with Client(world.node.smtp) as client:
        client.hello()
        client.envelope("alice@ours.test", f"r@{domain}")
        assert client.command("DATA")[0] == 354
        client.send(f"Subject: {secret}-cut\r\n\r\n{secret}-cut")
    world.api.wait_event(sent.message_id, "DELIVERED", 2)
    world.api.wait_empty()
    world.node.restart()
    records = lines_of(world.node)
    assert any(r["event"] == "attempt" for r in records)
    assert secret not in world.node.log()
    assert all(set(r) >= {"time", "level", "event"} for r in records)
    assert {r["level"] for r in records} <= {"debug", "info", "warn"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", r["time"]) for r in records)


def test_every_attempt_is_one_line_that_tells_the_story(world, stage):
    stage.sink(ONE, script=answers({"b": ["451 4.3.0 later", None]}))
    domain = world.domain((10, ONE))
    message_id = world.send(f"a@{domain}", f"b@{domain}")
    world.api.wait_event(message_id, "DELIVERED", 2)
    told = wait_for(lambda: (lambda t: t if len(t) == 2 else None)(
        [r for r in lines_of(world.node) if r["event"] == "attempt" and r["message"] == message_id]), 20, "two lines")
    assert [(r["attempt"], r["delivered"], r["deferred"], r["bounced"]) for r in told] == [(1, 1, 1, 0), (2, 1, 0, 0)]
    assert [(r["kind"], r["code"], r["enhanced"]) for r in told] == [
        ("transient", 451, "4.3.0"), ("delivered", 250, "2.0.0")]
    assert all(r["domain"] == domain and r["remote"] == f"mx1.{domain} [{ONE}]:25" and r["ms"] >= 0 for r in told)
