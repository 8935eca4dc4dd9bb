"""The gRPC API for who runs it: the stream of events, the levers on the queue, metrics and pages."""

import http.client
import signal
import threading
import time

import grpc
import pytest

from support.api import admin_pb2, events_pb2, mail_pb2, request, retry
from support.calls import at, fails, seconds
from support.node import http_get
from support.post import Post, token
from support.wait import wait_for

Code = grpc.StatusCode
DOWN = "20.0.0.44"  # Nothing listens there.


@pytest.fixture(scope="module")
def post(module_stage):
    return Post(module_stage, {"queue": {"retry": {"min": "30s", "max": "60s"}}}, zone={
        "down.test": {"MX": [(10, "mx.down.test")]}, "mx.down.test": {"A": [DOWN]},
        "down2.test": {"MX": [(10, "mx.down.test")]}, "down3.test": {"MX": [(10, "mx.down.test")]}})


@pytest.fixture(autouse=True)
def still_alive(post):
    yield
    post.alive()


# WatchEvents.

class Watch:
    """A subscription that collects in the background."""

    def __init__(self, post, **fields):
        self.call = post.api.mail.WatchEvents(mail_pb2.WatchEventsRequest(**fields), timeout=300)
        self.got = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            for response in self.call:
                self.got.append(response)
        except grpc.RpcError:
            pass

    def of(self, message_id):
        return [r for r in list(self.got) if r.event.message_id == message_id]

    def close(self):
        self.call.cancel()
        self.thread.join(30)


def test_watch_from_the_oldest_event_and_on(post):
    answer = post.api.send(request(to=["r@ok.test"]))
    post.api.wait_event(answer.message_id, "DELIVERED")
    watch = Watch(post, cursor="0")
    wait_for(lambda: len(watch.of(answer.message_id)) == 2, 30, "the events of a mail before the watch")
    later = post.api.send(request(to=["r@ok.test"]))
    wait_for(lambda: len(watch.of(later.message_id)) == 2, 30, "the events of a mail after it")
    watch.close()
    sequences = [r.event.sequence for r in watch.got]
    assert sequences == sorted(set(sequences)), "in order, none twice"
    assert [r.event.type for r in watch.of(later.message_id)] == [events_pb2.Event.TYPE_ACCEPTED,
                                                                  events_pb2.Event.TYPE_DELIVERED]


def test_watch_goes_on_where_its_cursor_was(post):
    word = token()
    begin = Watch(post, cursor="0")
    ids = [post.api.send(request(subject=word)).message_id for _ in range(5)]
    wait_for(lambda: all(len(begin.of(i)) == 2 for i in ids), 30, "ten events")
    begin.close()
    whole = [r.event.sequence for r in begin.got]
    middle = begin.got[len(begin.got) - 6]
    again = Watch(post, cursor=middle.cursor)
    wait_for(lambda: len(again.got) >= 5, 30, "five events")
    again.close()
    assert [r.event.sequence for r in again.got[:5]] == whole[-5:]


def test_watch_of_some_types_of_one_tenant(post):
    tenant = token()
    watch = Watch(post, cursor="0", tenant=tenant, types=[events_pb2.Event.TYPE_DELIVERED, events_pb2.Event.TYPE_BOUNCED])
    post.api.send(request(to=["r@ok.test"], tenant="another"))
    ids = [post.api.send(request(to=["r@ok.test"], tenant=tenant)).message_id,
           post.api.send(request(to=["r@nxdomain.test"], tenant=tenant)).message_id]
    wait_for(lambda: all(watch.of(i) for i in ids), 30, "a delivery and a bounce")
    watch.close()
    assert {(r.event.message_id, r.event.type) for r in watch.got} == {
        (ids[0], events_pb2.Event.TYPE_DELIVERED), (ids[1], events_pb2.Event.TYPE_BOUNCED)}


def test_watch_from_now_on(post):
    """An empty cursor: nothing of before. (A mail is repeated until the watch, which begins at some moment, has one.)"""
    old = post.api.send(request())
    post.api.wait_event(old.message_id, "DELIVERED")
    watch, sent = Watch(post), []

    def seen():
        sent.append(post.api.send(request()).message_id)
        return any(watch.of(i) for i in sent)
    wait_for(seen, 30, "an event")
    watch.close()
    assert not watch.of(old.message_id)


@pytest.mark.parametrize("fields,path", [
    ({"cursor": "x;y"}, "cursor"), ({"cursor": "q0=1\n"}, "cursor"), ({"cursor": "q0=+1"}, "cursor"),
    ({"cursor": "q0=1,q0=2"}, "cursor"), ({"types": [1, 99]}, "types[1]"), ({"types": [0]}, "types[0]"),
    ({"tenant": "a b"}, "tenant"), ({"tenant": "a" * 65}, "tenant")], ids=str)
def test_watch_that_asks_for_what_cannot_be(post, fields, path):
    fails(lambda: next(post.api.mail.WatchEvents(mail_pb2.WatchEventsRequest(**fields), timeout=20)), Code.INVALID_ARGUMENT, path)


def test_a_reason_to_suspend_is_short(post):
    def suspend(size):
        return post.api.admin.Suspend(admin_pb2.SuspendRequest(domain="reason.test", reason="r" * size), timeout=10)
    fails(lambda: suspend(1025), Code.INVALID_ARGUMENT, "reason")
    assert not post.api.admin.ListQueues(admin_pb2.ListQueuesRequest(domain="reason.test"), timeout=10).queues
    suspend(1024)
    post.api.admin.Resume(admin_pb2.ResumeRequest(domain="reason.test"), timeout=10)


# The operator's levers.

def deferred_mail(post, domain, count=1):
    """So many messages for a domain that is down, each after its first attempt."""
    ids = [post.api.send(request(to=[f"r{i}@{domain}"])).message_id for i in range(count)]
    for message_id in ids:
        post.api.wait_event(message_id, "DEFERRED")
    return ids


def queue(post, domain):
    found = post.api.admin.ListQueues(admin_pb2.ListQueuesRequest(domain=domain), timeout=10).queues
    return found[0] if found else None


def purge(post, domain):
    return post.api.admin.Purge(admin_pb2.PurgeRequest(domain=domain), timeout=30).purged


def test_lists_tell_what_waits_and_why(post):
    ids = deferred_mail(post, "down.test", 3)
    summary = queue(post, "down.test")
    assert (summary.ready, summary.leased, summary.scheduled, summary.suspended, summary.shard) == (0, 0, 3, False, "q0")
    assert summary.last_failure.kind == events_pb2.Outcome.KIND_TRANSIENT
    assert summary.last_failure.text and summary.last_failure.enhanced_code.startswith("4.")
    assert seconds(summary.next_attempt_time) > time.time()
    listed = post.api.admin.ListDeliveries(admin_pb2.ListDeliveriesRequest(domain="down.test"), timeout=10).deliveries
    assert {d.message_id for d in listed} == set(ids)
    due = [seconds(d.next_attempt_time) for d in listed]
    assert due == sorted(due)
    for delivery in listed:
        assert (delivery.state, delivery.attempts, delivery.sender) == ("scheduled", 1, "alice@ours.test")
        assert delivery.last_outcome.text == summary.last_failure.text
        assert 0 < seconds(delivery.next_attempt_time) - time.time() < 36.1, "30 s, and a fifth of it up or down"
    limited = post.api.admin.ListDeliveries(admin_pb2.ListDeliveriesRequest(limit=2), timeout=10).deliveries
    assert len(limited) == 2
    assert post.api.states(ids[0]) == {"r0@down.test": "DEFERRED"}
    assert purge(post, "down.test") == 3
    for message_id in ids:
        cancelled = post.api.wait_event(message_id, "CANCELLED")
        assert len(cancelled) == 1
    assert queue(post, "down.test") is None or queue(post, "down.test").scheduled == 0


@pytest.mark.parametrize("by", ["domain", "message", "all"])
def test_flush_makes_it_due_now(post, by):
    ids = deferred_mail(post, "down2.test", 2)
    asked = {"domain": {"domain": "down2.test"}, "message": {"message_id": ids[0]}, "all": {}}[by]
    answer = post.api.admin.Flush(admin_pb2.FlushRequest(**asked), timeout=10)
    assert answer.flushed == (1 if by == "message" else 2)
    post.api.wait_event(ids[0], "DEFERRED", 2)
    if by == "message":
        assert len(post.api.events(ids[1], "DEFERRED")) == 1
    else:
        post.api.wait_event(ids[1], "DEFERRED", 2)
    purge(post, "down2.test")


def test_suspend_and_resume(post):
    word = token()
    post.api.admin.Suspend(admin_pb2.SuspendRequest(domain="x.test", reason="test"), timeout=10)
    try:
        answer = post.api.send(request(subject=word, to=["r@x.test"]))
        other = token()
        post.api.send(request(subject=other, to=["r@ok.test"]))
        post.wait_mail(other)
        summary = queue(post, "x.test")
        assert (summary.suspended, summary.ready) == (True, 1)
        record = post.api.get(answer.message_id)
        assert [d.waits_for for d in record.deliveries] == ["suspended"]
        assert post.api.admin.Flush(admin_pb2.FlushRequest(domain="x.test"), timeout=10).missing_shards == []
        post.node.restart()
        post.alive()
        assert not post.mails(word), "suspended after a restart, too"
    finally:
        retry(lambda: post.api.admin.Resume(admin_pb2.ResumeRequest(domain="x.test"), timeout=10))
    post.wait_mail(word)


def test_the_books_add_up(post):
    expired = post.api.send(request(to=["r@down.test"], deliver_by=at(3)))
    post.api.wait_event(expired.message_id, "EXPIRED")
    post.api.wait_empty()
    shard = post.api.check()[0]
    assert shard.shard == "q0"
    assert (shard.deliveries, shard.recipients, shard.bodies) == (0, 0, 0)
    assert shard.accepted_total == (shard.delivered_total + shard.bounced_total + shard.expired_total +
                                    shard.cancelled_total + shard.suppressed_total)
    assert shard.cancelled_total > 0 and shard.expired_total > 0 and shard.bounced_total > 0


def test_metrics_and_pages(post):
    assert http_get(post.node.http, "/healthz")[0] == 200
    assert http_get(post.node.http, "/readyz")[0] == 200
    assert http_get(post.node.http, "/nothing")[0] == 404
    for method, body, code in (("POST", b"body", 405), ("POST", b"", 405), ("DELETE", None, 405)):
        page = http.client.HTTPConnection(post.node.http, timeout=10)
        page.request(method, "/metrics", body=body)
        assert page.getresponse().status == code, method
        page.close()
    status, text = http_get(post.node.http, "/metrics")
    assert status == 200
    for line in text.splitlines():
        assert line.startswith(("hikyaku_", "# ", "exposer_")), line
    before = post.node.metric("hikyaku_submission_accepted_messages_total", protocol="grpc") or 0
    post.api.send(request())
    wait_for(lambda: (post.node.metric("hikyaku_submission_accepted_messages_total", protocol="grpc") or 0) == before + 1, 10,
             "the counter")


def test_deadlines_are_honoured(post):
    """A call whose deadline has passed ends so for the client; the server goes on."""
    post.node.process.freeze()  # It cannot be in time.
    try:
        with pytest.raises(grpc.RpcError) as caught:
            post.api.mail.SendMail(request(), timeout=0.2)
    finally:
        post.node.process.signal(signal.SIGCONT)
    assert caught.value.code() == Code.DEADLINE_EXCEEDED
    assert post.api.mail.SendMail(request(), timeout=30).message_id
