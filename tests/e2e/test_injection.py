"""Nothing in a field of the API may become a header, a line, a part or a recipient of its own: BATTERY 2.4."""

import email
import email.policy
import re
import signal

import grpc
import pytest

from support.api import field_errors, mail_pb2, request
from support.post import Post, token
from support.process import Process
from support.wait import wait_for

BREAKING = {  # Payloads that hold a line end or a NUL: refused in every field that becomes a header or an address.
    "I1": "x\r\nBcc: v@evil.test", "I2": "x\nX-Inj: 1", "I3": "x\rX-Inj: 1", "I4": "x\r\n\r\nbody", "I5": "x\0y",
    "I10": "x\r\n .\r\nMAIL", "I13": "a\r\n.\r\nRCPT TO:<b@evil.test>"}
ODD = {  # Payloads that are text: they arrive as they are, or are refused.
    "I6": "x\u560a\u560dX-Inj: 1", "I7": "x\u2028X-Inj: 1", "I8": "x\u0085X-Inj: 1", "I9": "=?utf-8?q?=0d=0aX-Inj:_1?=",
    "I11": '"><b@evil.test>'}


def put(message, field, text):
    """Sets the field of this path."""
    content = message.content
    if field == "content.subject":
        content.subject = text
    elif field.startswith("content.headers[0]"):
        content.headers.add(**{"name": "X-Note", "value": "v", field.rpartition(".")[2]: text})
    elif field.startswith("content.attachments[0]"):
        content.attachments.add(**{"filename": "f.txt", "content": b"abc", field.rpartition(".")[2]: text})
    elif field in ("content.from.address", "content.from.display_name"):
        setattr(getattr(content, "from"), field.rpartition(".")[2], text)
    elif field == "content.sender.display_name":
        content.sender.address = "secretary@ours.test"
        content.sender.display_name = text
    elif field == "envelope_sender":
        message.envelope_sender = text
    else:
        kind = re.fullmatch(r"content\.(\w+)\[0\]\.(\w+)", field)
        mailboxes = getattr(content, kind.group(1))
        del mailboxes[:]
        setattr(mailboxes.add(address="r@ok.test"), kind.group(2), text)


HEADER_FIELDS = ["content.subject", "content.from.display_name", "content.sender.display_name",
                 "content.to[0].display_name", "content.cc[0].display_name", "content.bcc[0].display_name",
                 "content.reply_to[0].display_name", "content.headers[0].value", "content.attachments[0].filename",
                 "content.attachments[0].content_type", "content.attachments[0].content_id"]
ADDRESS_FIELDS = ["content.from.address", "content.to[0].address", "content.cc[0].address", "content.bcc[0].address",
                  "content.reply_to[0].address", "envelope_sender"]


@pytest.fixture(scope="module")
def post(module_stage):
    return Post(module_stage)


@pytest.fixture(autouse=True)
def still_alive(post):
    yield
    post.alive()
    for received in post.sink.mails:
        assert not [r for r in received.recipients if r.endswith("@evil.test")]
        assert received.sender in ("alice@ours.test", "")


def refused(post, message, field, code=grpc.StatusCode.INVALID_ARGUMENT):
    """Asserts that the message is refused, and for this field."""
    with pytest.raises(grpc.RpcError) as caught:
        post.api.send(message)
    assert caught.value.code() == code, caught.value
    assert field in field_errors(caught.value), (field, field_errors(caught.value), caught.value.details())
    assert field in caught.value.details() or len(field_errors(caught.value)) > 1
    assert caught.value.details().isprintable()


def parsed(received):
    """As Python's parser sees it; what it calls a defect is one."""
    message = email.message_from_bytes(received.data, policy=email.policy.default)
    assert not message.defects, message.defects
    for part in message.walk():
        assert not part.defects, part.defects
    return message


def assert_well_formed(received):
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", received.raw)
    assert max(len(line) for line in received.raw.split(b"\r\n")) <= 998
    head = received.data.split(b"\r\n\r\n", 1)[0]
    names = [line.split(b":")[0].lower() for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")]
    assert all(re.fullmatch(rb"[!-9;-~]+", name) for name in names), head
    for once in (b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"mime-version", b"content-type", b"sender",
                 b"reply-to", b"content-transfer-encoding"):
        assert names.count(once) <= 1, (once, head)
    assert b"x-inj" not in names and b"bcc" not in names, head
    return names


@pytest.mark.parametrize("payload", BREAKING.values(), ids=BREAKING.keys())
@pytest.mark.parametrize("field", HEADER_FIELDS + ADDRESS_FIELDS)
def test_h01_line_ends_in_any_field_are_refused(post, field, payload):
    message = request(to=["r@ok.test"])
    put(message, field, f"a@ours.test{payload}" if field in ADDRESS_FIELDS else payload)
    with post.nothing_sent():
        refused(post, message, field)


@pytest.mark.parametrize("payload", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("field", HEADER_FIELDS)
def test_h01_odd_text_arrives_as_text(post, field, payload):
    word = token()
    message = request(subject=word, to=["r@ok.test"])
    put(message, field, payload if field != "content.subject" else f"{word} {payload}")
    try:
        post.api.send(message)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert field in field_errors(error)
        # Text that is only unusual is not refused where text stands.
        assert field.endswith(("content_type", "content_id", "filename"))
        return
    received = post.wait_mail(word)
    assert_well_formed(received)
    message_seen = parsed(received)
    if field == "content.subject":
        assert message_seen["Subject"] == f"{word} {payload}"
    if field == "content.headers[0].value":
        assert str(message_seen["X-Note"]) == payload
    if field == "content.from.display_name":
        assert [a.display_name for a in message_seen["From"].addresses] == [payload]
        assert [a.addr_spec for a in message_seen["From"].addresses] == ["alice@ours.test"]
    if field == "content.to[0].display_name":
        assert [a.addr_spec for a in message_seen["To"].addresses] == ["r@ok.test"]


@pytest.mark.parametrize("payload", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("field", ADDRESS_FIELDS)
def test_h01_odd_text_is_no_address(post, field, payload):
    message = request(to=["r@ok.test"])
    put(message, field, payload)
    with post.nothing_sent():
        refused(post, message, field)


@pytest.mark.parametrize("field", HEADER_FIELDS + ADDRESS_FIELDS)
def test_h01_a_megabyte_is_too_long_for_any_field(post, field):
    message = request(to=["r@ok.test"])
    put(message, field, "a" * (1 << 20) + ("@ok.test" if field in ADDRESS_FIELDS else ""))
    with post.nothing_sent():
        refused(post, message, field)


@pytest.mark.parametrize("field", ["content.subject", "content.from.display_name", "content.to[0].display_name",
                                   "content.headers[0].value", "content.to[0].address"])
def test_h01_bytes_that_are_no_utf8(post, field):
    message = request(to=["r@ok.test"])
    put(message, field, "QQQQ")
    data = message.SerializeToString().replace(b"QQQQ", b"\xff\xfe\xc0\xaf")
    call = post.api.channel.unary_unary("/hikyaku.v1.MailService/SendMail", request_serializer=bytes,
                                        response_deserializer=bytes)
    with post.nothing_sent(), pytest.raises(grpc.RpcError) as caught:
        call(data, timeout=30)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "UTF-8" in caught.value.details()


@pytest.mark.parametrize("name", ["From", "Sender", "To", "Cc", "Date", "Message-ID", "MIME-Version", "Content-Type",
                                  "Content-Transfer-Encoding", "DKIM-Signature", "Received", "Return-Path", "Bcc",
                                  "ARC-Seal", "Authentication-Results", "Subject", "Reply-To", "fROM", "Resent-To"])
def test_h03_headers_that_the_server_writes(post, name):
    message = request(to=["r@ok.test"])
    message.content.headers.add(name=name, value="v@evil.test")
    with post.nothing_sent():
        refused(post, message, "content.headers[0].name")


@pytest.mark.parametrize("name", ["X A", "X:A", "X\tA", "", "é", "a" * 1000, "From ", " X", "X\r\nY", "X\0", ":"])
def test_h04_names_that_are_no_header(post, name):
    message = request(to=["r@ok.test"])
    message.content.headers.add(name=name, value="v")
    with post.nothing_sent():
        refused(post, message, "content.headers[0].name")


BAD_ADDRESSES = ["v@ok.test>\r\nRCPT TO:<w@evil.test", "v@ok.test NOTIFY=SUCCESS", "v@ok.test> SIZE=1", "<v@ok.test",
                 '"a\r\n b"@ok.test', ";sleep 9;@ok.test", "", "v", "@ok.test", "v@ok.test, w@evil.test",
                 "v@ok.test\0@evil.test", "Eve <v@ok.test>", "$(id)@ok.test"]


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_h05_recipients_that_are_no_address(post, address):
    message = request(to=[])
    message.content.to.add(address=address)
    with post.nothing_sent():
        refused(post, message, "content.to[0].address")
    raw = mail_pb2.SendMailRequest(envelope_sender="alice@ours.test")
    raw.raw.data = b"From: a@ours.test\n\nx\n"
    raw.raw.recipients.append(address)
    with post.nothing_sent():
        refused(post, raw, "raw.recipients[0]")


def test_h05_no_address_starts_a_process(post):
    """Under strace: nothing is forked or executed for any of them; the harmless ones arrive as they are."""
    good = ["-oQ/tmp@ok.test", "`id`@ok.test", "|id@ok.test", "/bin/sh@ok.test"]
    trace = Process(["strace", "-f", "-e", "trace=execve,execveat,fork,vfork", "-p", str(post.node.process.pid)],
                    post.node.folder / "strace.log")
    try:
        trace.wait_until(lambda: "attached" in trace.output(), what="strace")
        word = token()
        for address in good:
            post.api.send(request(subject=word, to=[address]))
        post.wait_mails(word, len(good))
        for address in BAD_ADDRESSES:
            message = request(to=[])
            message.content.to.add(address=address)
            with pytest.raises(grpc.RpcError):
                post.api.send(message)
        post.alive()
    finally:
        trace.signal(signal.SIGINT)
        wait_for(lambda: not trace.running(), 20, "strace ends")
    assert sorted(r for m in post.mails(word) for r in m.recipients) == sorted(good)
    assert not re.search(r"exec\w*\(|fork\(", trace.output())


def test_h06_blind_recipients_stay_blind(post):
    word = token()
    message = request(subject=word, to=["z@ok.test"])
    message.content.bcc.add(address="x@ok.test", display_name="Xavier")
    message.content.bcc.add(address="y@out.test")
    post.api.send(message)
    wait_for(lambda: sum(len(m.recipients) for m in post.mails(word)) == 3, 60, "three deliveries")
    for received in post.mails(word):
        text = received.data.lower()
        assert b"bcc" not in text
        assert b"x@ok.test" not in text and b"y@out.test" not in text and b"xavier" not in text
        assert received.header("To") == ["z@ok.test"] or received.header("To") == ["<z@ok.test>"]


@pytest.mark.parametrize("content_type", [
    "text/html\r\nX: y", "text/html; boundary=x", "multipart/mixed", "multipart/mixed; boundary=x", "message/rfc822",
    "message/partial; id=a; number=1; total=2", "text", "text/", "/html", "text/html; charset=\"a\r\nX: y\"", "text/é",
    "text/html; a=1; a=2", "text/html; name*=utf-8''x", "a" * 600 + "/b", "text/html; charset=utf-8\0"])
def test_h08_content_types_that_are_not_safe_for_a_leaf(post, content_type):
    message = request(to=["r@ok.test"])
    message.content.attachments.add(filename="f", content_type=content_type, content="ü".encode())
    with post.nothing_sent():
        refused(post, message, "content.attachments[0].content_type")


@pytest.mark.parametrize("filename", ["../../etc/passwd", "/etc/passwd", "a\\b", "a/b"])
def test_h08_filenames_with_a_path(post, filename):
    message = request(to=["r@ok.test"])
    message.content.attachments.add(filename=filename, content=b"x")
    with post.nothing_sent():
        refused(post, message, "content.attachments[0].filename")


def test_h09_boundaries_cannot_be_guessed(post):
    """Bodies full of boundary lines of an earlier mail; every boundary is new, and none occurs in the content."""
    seen, count = set(), 300
    word, earlier = token(), token()

    def requests():
        for i in range(count):
            message = request(subject=word, to=["r@ok.test"], text=f"--{guess}\n--{guess}--\n{i}\n")
            message.content.html = f"<p>--{guess}\n"
            message.content.attachments.add(filename="a.txt", content_type="text/plain",
                                            content=f"--{guess}\r\n\r\n--{guess}--\r\n".encode())
            yield mail_pb2.SendMailStreamRequest(tag=i, request=message)

    first = request(subject=earlier, to=["r@ok.test"])
    first.content.html = "<p>Hi"
    post.api.send(first)
    guess = parsed(post.wait_mail(earlier)).get_boundary()
    for answer in post.api.mail.SendMailStream(requests(), timeout=120):
        assert answer.WhichOneof("result") == "response", answer
    for received in post.wait_mails(word, count, 120):
        message = parsed(received)
        for part in message.walk():
            if part.is_multipart():
                seen.add(part.get_boundary())
                assert len(re.findall(r"[0-9a-f]", part.get_boundary())) >= 32
                assert guess != part.get_boundary()
        assert [p.get_content_type() for p in message.walk() if not p.is_multipart()] == [
            "text/plain", "text/html", "text/plain"]
    assert len(seen) == 2 * count
