"""The gRPC API for who sends: what SendMail promises, and what it refuses by name. G01 and G02 of BATTERY."""

import threading
import time

import grpc
import pytest
from google.protobuf import timestamp_pb2

from support.api import admin_pb2, events_pb2, mail_pb2, request, retry
from support.calls import at, fails, seconds
from support.post import Post, token
from support.wait import wait_for

Code = grpc.StatusCode
DOWN = "20.0.0.44"  # Nothing listens there.


@pytest.fixture(scope="module")
def post(module_stage):
    return Post(module_stage, {"queue": {"retry": {"min": "30s", "max": "60s"}}, "limits": {"recipients": 100}}, zone={
        "down.test": {"MX": [(10, "mx.down.test")]}, "mx.down.test": {"A": [DOWN]}})


@pytest.fixture(autouse=True)
def still_alive(post):
    yield
    post.alive()


# SendMail.

def test_send_mail_and_its_whole_record(post):
    word = token()
    message = request(subject=word, to=["r@ok.test", "S@OUT.test"], tenant="shop", stream="receipts",
                      tags=["a", "b"], metadata={"order": "17"}, envelope_sender="bounces@ours.test")
    begin = time.time()
    answer = post.api.send(message)
    assert len(answer.message_id) == 26 and answer.message_id == answer.message_id.lower()
    assert answer.message_id_header == f"{answer.message_id}@mail.ours.test"
    assert [(r.address, r.accepted, r.reason) for r in answer.recipients] == [("r@ok.test", True, ""),
                                                                              ("S@OUT.test", True, "")]
    assert not answer.replayed
    assert sorted(m.recipients[0] for m in post.wait_mails(word, 2)) == ["S@out.test", "r@ok.test"]
    assert all(m.sender == "bounces@ours.test" for m in post.mails(word))
    delivered = post.api.wait_event(answer.message_id, "DELIVERED", 2)

    record = post.api.get(answer.message_id)
    assert (record.message_id, record.message_id_header) == (answer.message_id, answer.message_id_header)
    assert (record.tenant, record.sender) == ("shop", "bounces@ours.test")
    assert record.size_bytes == len(post.mails(word)[0].data)
    assert begin - 5 < seconds(record.accept_time) < time.time() + 5
    assert sorted((d.domain, d.shard, d.state) for d in record.deliveries) == [
        ("ok.test", "q0", mail_pb2.DeliveryStatus.STATE_FINISHED), ("out.test", "q0", mail_pb2.DeliveryStatus.STATE_FINISHED)]
    assert post.api.states(answer.message_id) == {"r@ok.test": "DELIVERED", "S@out.test": "DELIVERED"}
    kinds = [events_pb2.Event.Type.Name(e.type)[5:] for e in record.events]
    assert sorted(kinds) == ["ACCEPTED", "ACCEPTED", "DELIVERED", "DELIVERED"] and kinds[0] == "ACCEPTED"
    for event in delivered:
        assert (event.tenant, event.stream, list(event.tags), dict(event.metadata)) == (
            "shop", "receipts", ["a", "b"], {"order": "17"})
        assert (event.outcome.smtp_code, event.outcome.enhanced_code, event.attempts) == (250, "2.0.0", 1)
        assert event.outcome.remote_host == "mx.ok.test [20.0.0.10]:25"
        assert event.outcome.text


def test_get_message_by_its_header(post):
    message = request()
    answer = post.api.send(message)
    for written in (answer.message_id_header, f"<{answer.message_id_header}>"):
        got = post.api.mail.GetMessage(mail_pb2.GetMessageRequest(message_id_header=written), timeout=10)
        assert got.message_id == answer.message_id
    got = post.api.mail.GetMessage(mail_pb2.GetMessageRequest(message_id=answer.message_id.upper()), timeout=10)
    assert got.message_id == answer.message_id


@pytest.mark.parametrize("key,code,fields", [
    ({"message_id": "0" * 26}, Code.NOT_FOUND, []), ({"message_id_header": "no@such"}, Code.NOT_FOUND, []),
    ({"message_id": "short"}, Code.INVALID_ARGUMENT, ["message_id"]), ({}, Code.INVALID_ARGUMENT, ["message_id"])])
def test_get_message_that_is_not_there(post, key, code, fields):
    fails(lambda: post.api.mail.GetMessage(mail_pb2.GetMessageRequest(**key), timeout=10), code, *fields)


def test_the_null_sender(post):
    word = token()
    answer = post.api.send(request(subject=word, envelope_sender="<>"))
    assert post.wait_mail(word).sender == ""
    assert post.api.get(answer.message_id).sender == ""


def test_recipients_refused_one_by_one(post):
    """Address literals are refused; the others of the message are taken, and told apart."""
    word = token()
    answer = post.api.send(request(subject=word, to=["u@[10.0.0.1]", "r@ok.test", "u@[IPv6:::1]"]))
    assert [(r.address, r.accepted, r.reason[:5]) for r in answer.recipients] == [
        ("u@[10.0.0.1]", False, "5.1.2"), ("r@ok.test", True, ""), ("u@[IPv6:::1]", False, "5.1.2")]
    assert post.wait_mail(word).recipients == ["r@ok.test"]
    assert [list(e.recipients) for e in post.api.events(answer.message_id, "ACCEPTED")] == [["r@ok.test"]]


def test_no_recipient_could_be_accepted(post):
    with post.nothing_sent():
        fails(lambda: post.api.send(request(to=["u@[10.0.0.1]", "v@[127.0.0.1]"])), Code.INVALID_ARGUMENT,
              "content.to[0].address", "content.to[1].address")


# G01.

def test_g01_no_recipients(post):
    with post.nothing_sent():
        fails(lambda: post.api.send(request(to=[])), Code.INVALID_ARGUMENT, "content.to")
        fails(lambda: post.api.send(mail_pb2.SendMailRequest(
            envelope_sender="a@ours.test", raw=mail_pb2.RawMessage(data=b"From: a@ours.test\n\nx\n"))),
            Code.INVALID_ARGUMENT, "raw.recipients")


def test_g01_nothing_to_say(post):
    with post.nothing_sent():
        fails(lambda: post.api.send(mail_pb2.SendMailRequest()), Code.INVALID_ARGUMENT, "message")
        fails(lambda: post.api.send(request(text="")), Code.INVALID_ARGUMENT, "content.text")
        message = request()
        message.content.ClearField("from")
        fails(lambda: post.api.send(message), Code.INVALID_ARGUMENT, "content.from")
        message = mail_pb2.SendMailRequest(raw=mail_pb2.RawMessage())
        fails(lambda: post.api.send(message), Code.INVALID_ARGUMENT, "raw.data", "raw.recipients", "envelope_sender")


def test_g01_recipients_up_to_the_limit(post):
    word = token()
    answer = post.api.send(request(subject=word, to=[f"r{i}@ok.test" for i in range(100)]))
    assert len(answer.recipients) == 100
    wait_for(lambda: sum(len(m.recipients) for m in post.mails(word)) == 100, 60, "100 recipients")
    with post.nothing_sent():
        message = request(to=[f"r{i}@ok.test" for i in range(60)])
        for i in range(41):
            message.content.bcc.add(address=f"b{i}@ok.test")
        error = fails(lambda: post.api.send(message), Code.INVALID_ARGUMENT, "content.to")
        assert "101" in error.details() and "100" in error.details()


def test_g01_unknown_fields_are_ignored(post):
    """A newer client may say more than this server knows."""
    word = token()
    data = request(subject=word).SerializeToString() + b"\xf2\x3f\x05hello" + b"\xf8\x3f\x2a"
    call = post.api.channel.unary_unary("/hikyaku.v1.MailService/SendMail", bytes, mail_pb2.SendMailResponse.FromString)
    assert call(data, timeout=30).message_id
    post.wait_mail(word)


@pytest.mark.parametrize("data", [b"\x0b" * 100 + b"\x0c" * 100, b"\x0b" * 100_000, b"\x0a\xff\xff\xff\xff\x0f", b"\xff" * 50],
                         ids=["nested groups", "very deep", "length beyond the end", "no protobuf"])
def test_g01_bytes_that_are_no_request(post, data):
    call = post.api.channel.unary_unary("/hikyaku.v1.MailService/SendMail", bytes, bytes)
    with post.nothing_sent(), pytest.raises(grpc.RpcError) as caught:
        call(data, timeout=30)
    assert caught.value.code() == Code.INVALID_ARGUMENT and caught.value.details()


@pytest.mark.parametrize("method", ["/hikyaku.v1.MailService/Nothing", "/hikyaku.v9.MailService/SendMail", "/nothing",
                                    "/hikyaku.internal.v1.QueueService/Enqueue"])
@pytest.mark.parametrize("data", [b"", b"\xff" * 50], ids=["empty", "no protobuf"])
def test_a_method_that_does_not_exist(post, method, data):
    call = post.api.channel.unary_unary(method, bytes, bytes)
    error = fails(lambda: call(data, timeout=30), Code.UNIMPLEMENTED)
    assert "no such method" in error.details()


def test_g01_one_mailbox_gets_one_mail(post):
    """The domain's case and script do not matter, the local part's case does (RFC 5321 §2.4)."""
    word = token()
    message = request(subject=word, to=["r@ok.test", "r@OK.test", "R@ok.test", "r@ok.test"])
    message.content.cc.add(address="r@ok。test")
    answer = post.api.send(message)
    assert [r.accepted for r in answer.recipients] == [True] * 5
    post.api.wait_event(answer.message_id, "DELIVERED")
    wait_for(lambda: post.api.queued() == 0, 30, "an empty queue")
    assert sorted(r for m in post.mails(word) for r in m.recipients) == ["R@ok.test", "r@ok.test"]


@pytest.mark.parametrize("fields,path", [
    ({"tenant": "a b"}, "tenant"), ({"tenant": "a" * 65}, "tenant"), ({"stream": "ü"}, "stream"),
    ({"tags": ["x"] * 11}, "tags"), ({"tags": ["x" * 65]}, "tags[0]"), ({"tags": ["a", "b\n"]}, "tags[1]"),
    ({"metadata": {str(i): "x" for i in range(21)}}, "metadata"), ({"metadata": {"a": "x" * 4096}}, "metadata"),
    ({"idempotency_key": "k" * 257}, "idempotency_key"), ({"idempotency_key": "a\tb"}, "idempotency_key"),
    ({"idempotency_key": "é"}, "idempotency_key"), ({"priority": 9}, "priority"),
    ({"envelope_sender": "not an address"}, "envelope_sender"), ({"envelope_sender": "< >"}, "envelope_sender")])
def test_g01_fields_beyond_their_rule(post, fields, path):
    with post.nothing_sent():
        fails(lambda: post.api.send(request(**fields)), Code.INVALID_ARGUMENT, path)


def test_g01_every_bad_field_is_told_at_once(post):
    message = request(to=["bad", "r@ok.test", "worse"], subject="a\nb", tenant="?")
    with post.nothing_sent():
        fails(lambda: post.api.send(message), Code.INVALID_ARGUMENT, "content.to[0].address", "content.to[2].address",
              "content.subject", "tenant")


# G02.

def test_g02_the_limit_of_a_message_is_exact(post):
    limit = 25 << 20
    head = b"From: <alice@ours.test>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\nMessage-ID: <g02@ours.test>\r\n\r\n"

    def raw(size):
        body = (b"x" * 998 + b"\r\n") * ((size - len(head)) // 1000)
        rest = size - len(head) - len(body)
        body += b"y" * (rest - 2) + b"\r\n" if rest >= 2 else b""
        message = mail_pb2.SendMailRequest(envelope_sender="alice@ours.test")
        message.raw.data = (head + body)[:size] if rest >= 2 else head + body + b"z" * rest
        message.raw.recipients.append("r@ok.test")
        assert len(message.raw.data) == size
        return message

    before = len(post.sink.mails)
    post.api.send(raw(limit), timeout=120)
    wait_for(lambda: len(post.sink.mails) > before, 120, "the large mail")
    post.sink.mails.pop()  # 25 MiB that no other test looks at.
    with post.nothing_sent():
        error = fails(lambda: post.api.send(raw(limit + 1), timeout=120), Code.RESOURCE_EXHAUSTED)
        assert str(limit) in error.details()
        message = request(text="x" * (26 << 20))
        fails(lambda: post.api.send(message, timeout=120), Code.RESOURCE_EXHAUSTED)


@pytest.mark.memory
def test_g02_what_a_message_far_beyond_the_limit_took_is_given_back(post):
    """gRPC 1.51 reads it whole before it looks at its size."""
    message = request(text="x" * (60 << 20))
    before = post.node.rss_mib()
    with post.nothing_sent(), pytest.raises(grpc.RpcError) as caught:
        post.api.send(message, timeout=120)
    assert caught.value.code() == Code.RESOURCE_EXHAUSTED
    wait_for(lambda: post.node.rss_mib() - before < 40, 20, lambda: f"{post.node.rss_mib() - before:.0f} MiB given back")


@pytest.mark.memory
def test_g02_a_compression_bomb_costs_no_memory(post):
    """256 MiB of zeros are 256 KiB on the wire."""
    with grpc.insecure_channel(post.node.grpc, options=[
            ("grpc.enable_http_proxy", 0), ("grpc.max_send_message_length", -1)]) as channel:
        call = channel.unary_unary("/hikyaku.v1.MailService/SendMail", bytes, bytes)
        bomb = request(text="x").SerializeToString() + bytes(256 << 20)
        peak, stop = [post.node.rss_mib()], threading.Event()

        def watch():
            while not stop.wait(0.02):
                peak.append(post.node.rss_mib())
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            with post.nothing_sent(), pytest.raises(grpc.RpcError) as caught:
                call(bomb, timeout=120, compression=grpc.Compression.Gzip)
        finally:
            stop.set()
            watcher.join()
    assert caught.value.code() in (Code.RESOURCE_EXHAUSTED, Code.UNIMPLEMENTED)
    assert max(peak) - peak[0] < 100, f"{max(peak) - peak[0]:.0f} MiB"


# What is not built yet is refused by name.

@pytest.mark.parametrize("fields,path", [
    ({"list_unsubscribe": mail_pb2.ListUnsubscribe(mailto="u@ours.test")}, "list_unsubscribe"),
    ({"list_unsubscribe": mail_pb2.ListUnsubscribe()}, "list_unsubscribe")])
def test_fields_that_are_not_built_yet(post, fields, path):
    with post.nothing_sent():
        error = fails(lambda: post.api.send(request(**fields)), Code.UNIMPLEMENTED, path)
        assert path in error.details()
        fails(lambda: post.api.send(request(dry_run=True, **fields)), Code.UNIMPLEMENTED, path)


@pytest.mark.parametrize("service,method,message", [
    ("mail", "ListMessages", mail_pb2.ListMessagesRequest()), ("mail", "CancelMessage", mail_pb2.CancelMessageRequest()),
    ("admin", "ListSuppressions", admin_pb2.ListSuppressionsRequest()),
    ("admin", "AddSuppression", admin_pb2.AddSuppressionRequest()),
    ("admin", "RemoveSuppression", admin_pb2.RemoveSuppressionRequest()), ("admin", "Explain", admin_pb2.ExplainRequest())])
def test_methods_that_are_not_built_yet(post, service, method, message):
    error = fails(lambda: getattr(getattr(post.api, service), method)(message, timeout=10), Code.UNIMPLEMENTED)
    assert method in error.details()


# Idempotency.

def test_the_same_key_gets_the_same_answer(post):
    word = token()
    message = request(subject=word, to=["r@ok.test", "s@out.test"], idempotency_key=word)
    first = post.api.send(message)
    assert not first.replayed
    for _ in range(3):
        again = post.api.send(message)
        assert again.replayed
        again.replayed = False
        assert again == first
    post.wait_mails(word, 2)
    post.api.wait_empty()
    assert len(post.mails(word)) == 2
    assert len(post.api.events(first.message_id, "ACCEPTED")) == 2


@pytest.mark.parametrize("change", ["subject", "text", "to", "metadata", "not_before"])
def test_the_same_key_with_other_content(post, change):
    word = token()
    post.api.send(request(subject=word, idempotency_key=word))
    post.wait_mail(word)
    other = request(subject=word, idempotency_key=word)
    if change == "to":
        other.content.to[0].address = "s@ok.test"
    elif change == "metadata":
        other.metadata["a"] = "b"
    elif change == "not_before":
        other.not_before.CopyFrom(at(60))
    else:
        setattr(other.content, change, "other")
    with post.nothing_sent():
        fails(lambda: post.api.send(other), Code.ALREADY_EXISTS)
        assert post.api.send(request(subject=word, idempotency_key=word)).replayed, "the key still stands for the first"


def test_a_key_belongs_to_its_tenant(post):
    word = token()
    ids = {post.api.send(request(subject=word, idempotency_key=word, tenant=tenant)).message_id
           for tenant in ("", "a", "b")}
    assert len(ids) == 3
    assert post.api.send(request(subject=word, idempotency_key=word, tenant="a")).message_id in ids
    post.wait_mails(word, 3)


def test_a_request_that_is_refused_takes_no_key(post):
    word = token()
    with post.nothing_sent():
        fails(lambda: post.api.send(request(to=["bad"], idempotency_key=word)), Code.INVALID_ARGUMENT,
              "content.to[0].address")
    assert not post.api.send(request(subject=word, idempotency_key=word)).replayed
    post.wait_mail(word)


def test_twins_at_the_same_moment(post):
    """Twenty calls with one key at once: one message, one answer for all."""
    word = token()
    message = request(subject=word, idempotency_key=word)
    calls = [post.api.mail.SendMail.future(message, timeout=60) for _ in range(20)]
    answers = [call.result() for call in calls]
    assert len({a.message_id for a in answers}) == 1
    assert sum(not a.replayed for a in answers) == 1
    post.wait_mail(word)
    post.api.wait_empty()
    assert len(post.mails(word)) == 1


def test_a_key_survives_a_restart(post):
    word = token()
    first = post.api.send(request(subject=word, idempotency_key=word))
    post.wait_mail(word)
    post.node.restart()
    again = retry(lambda: post.api.send(request(subject=word, idempotency_key=word)))
    assert again.replayed and again.message_id == first.message_id
    with post.nothing_sent():
        fails(lambda: post.api.send(request(subject="other", idempotency_key=word)), Code.ALREADY_EXISTS)


# Times.

def test_dry_run_keeps_nothing(post):
    word = token()
    with post.nothing_sent():
        answer = post.api.send(request(subject=word, to=["r@ok.test", "u@[10.0.0.1]"], dry_run=True, idempotency_key=word))
        assert [r.accepted for r in answer.recipients] == [True, False]
        assert len(answer.message_id) == 26
        fails(lambda: post.api.get(answer.message_id), Code.NOT_FOUND)
        fails(lambda: post.api.send(request(to=["bad"], dry_run=True)), Code.INVALID_ARGUMENT, "content.to[0].address")
        fails(lambda: post.api.send(request(subject="\n", dry_run=True)), Code.INVALID_ARGUMENT, "content.subject")
    assert not post.api.send(request(subject=word, to=["r@ok.test", "u@[10.0.0.1]"], idempotency_key=word)).replayed
    post.wait_mail(word)


def test_not_before(post):
    word, due = token(), at(5)
    answer = post.api.send(request(subject=word, not_before=due))
    record = post.api.get(answer.message_id)
    assert [d.state for d in record.deliveries] == [mail_pb2.DeliveryStatus.STATE_SCHEDULED]
    assert abs(seconds(record.deliveries[0].next_attempt_time) - seconds(due)) < 0.01
    assert not post.mails(word)
    post.wait_mail(word)
    delivered = post.api.wait_event(answer.message_id, "DELIVERED")[0]
    assert seconds(delivered.time) >= seconds(due)


def test_not_before_in_the_past_is_now(post):
    word = token()
    post.api.send(request(subject=word, not_before=at(-1000)))
    post.wait_mail(word)


def test_deliver_by_ends_the_tries(post):
    word, end = token(), at(4)
    answer = post.api.send(request(subject=word, to=["r@down.test"], deliver_by=end))
    expired = post.api.wait_event(answer.message_id, "EXPIRED")[0]
    assert seconds(expired.time) >= seconds(end) - 0.01
    assert expired.outcome.enhanced_code and expired.outcome.text
    assert post.api.states(answer.message_id) == {"r@down.test": "EXPIRED"}


@pytest.mark.parametrize("fields,path", [
    ({"not_before": 31 * 86400}, "not_before"), ({"deliver_by": -1}, "deliver_by"),
    ({"not_before": 100, "deliver_by": 50}, "deliver_by")])
def test_times_that_make_no_sense(post, fields, path):
    with post.nothing_sent():
        fails(lambda: post.api.send(request(**{k: at(v) for k, v in fields.items()})), Code.INVALID_ARGUMENT, path)


def test_timestamps_out_of_range(post):
    with post.nothing_sent():
        for stamp in (timestamp_pb2.Timestamp(seconds=1 << 62), timestamp_pb2.Timestamp(nanos=-1)):
            fails(lambda: post.api.send(request(not_before=stamp)), Code.INVALID_ARGUMENT, "not_before")


# SendMailStream.

def test_stream_answers_each_by_its_tag(post):
    word, count = token(), 300

    def requests():
        for i in range(count):
            bad = i % 10 == 3
            yield mail_pb2.SendMailStreamRequest(tag=i * 7, request=request(
                subject=word, to=["bad" if bad else f"r{i}@ok.test"],
                list_unsubscribe=mail_pb2.ListUnsubscribe() if i % 10 == 4 else None))

    answers = {a.tag: a for a in post.api.mail.SendMailStream(requests(), timeout=120)}
    assert sorted(answers) == [i * 7 for i in range(count)]
    for i in range(count):
        answer = answers[i * 7]
        if i % 10 == 3:
            assert answer.error.code == Code.INVALID_ARGUMENT.value[0]
            assert [f.field for f in answer.error.fields] == ["content.to[0].address"]
        elif i % 10 == 4:
            assert answer.error.code == Code.UNIMPLEMENTED.value[0]
            assert [f.field for f in answer.error.fields] == ["list_unsubscribe"]
        else:
            assert answer.response.message_id and [r.accepted for r in answer.response.recipients] == [True]
    found = post.wait_mails(word, count * 8 // 10, 120)
    assert sorted(r for m in found for r in m.recipients) == sorted(
        f"r{i}@ok.test" for i in range(count) if i % 10 not in (3, 4))


def test_stream_answers_come_while_it_is_open(post):
    """A client may wait for an answer before it sends on."""
    more, answered = threading.Semaphore(1), []

    def requests():
        for i in range(5):
            assert more.acquire(timeout=30)
            yield mail_pb2.SendMailStreamRequest(tag=i, request=request())
    for answer in post.api.mail.SendMailStream(requests(), timeout=60):
        answered.append(answer.tag)
        more.release()
    assert answered == [0, 1, 2, 3, 4]


def test_stream_with_a_message_that_cannot_be_read(post):
    """It ends with an error, not as if the client had ended it; what came before is answered and sent."""
    word = token()
    good = mail_pb2.SendMailStreamRequest(tag=7, request=request(subject=word)).SerializeToString()
    call = post.api.channel.stream_stream("/hikyaku.v1.MailService/SendMailStream", bytes, mail_pb2.SendMailStreamResponse.FromString)
    for bad in (b"\xff" * 9, good.replace(word.encode(), b"\xff" * len(word))):
        answers = []
        error = fails(lambda: answers.extend(each.tag for each in call(iter([good, bad, good]), timeout=30)), Code.INVALID_ARGUMENT)
        assert "cannot be read" in error.details()
    post.wait_mails(word, 2)
    lines = [line for line in post.node.log().splitlines() if line]
    assert all(line.startswith("{") for line in lines), "every line of the log is JSON, those of libraries too"


def test_stream_that_is_broken_off_keeps_what_it_answered(post):
    word = token()
    stop = threading.Event()

    def requests():
        for i in range(20):
            yield mail_pb2.SendMailStreamRequest(tag=i, request=request(subject=word))
        stop.wait(30)
    call = post.api.mail.SendMailStream(requests(), timeout=60)
    ids = [next(call).response.message_id for _ in range(20)]
    call.cancel()
    stop.set()
    assert len(set(ids)) == 20
    post.wait_mails(word, 20)
