"""SMTP smuggling: one mail must never become two, neither here nor at the next host. BATTERY 2.2, without DKIM."""

import itertools
import re

import grpc
import pytest

from support.api import field_errors, mail_pb2, request
from support.post import Post, mail, token
from support.smtp import Client

# Spellings of an end of data that some server takes for one; only CRLF . CRLF is.
FALSE_ENDS = [b"\n.\n", b"\n.\r", b"\r.\n", b"\r.\r", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r\n\x00.\r\n",
              b"\r\n.\x00\r\n"]
SECOND_MAIL = (b"MAIL FROM:<x@evil.test>\r\nRCPT TO:<v@ok.test>\r\nDATA\r\nFrom: <x@evil.test>\r\nSubject: smug\r\n\r\n"
               b"x\r\n")


@pytest.fixture(scope="module")
def post(module_stage):
    return Post(module_stage, plain=True)


@pytest.fixture(autouse=True)
def still_alive(post):
    yield
    post.alive()
    for sink in post.sinks:
        assert not any(m.sender == "x@evil.test" for m in sink.mails)
        assert "v@ok.test" not in sink.recipients()


def smuggle(client, sender, recipient, data):
    """Sends `data` as it is, then a final dot and RSET; every reply up to that of RSET."""
    client.envelope(sender, recipient)
    assert client.command("DATA")[0] == 354
    client.send(data + b".\r\nNOOP\r\n")
    replies = [client.reply()]
    replies.append(client.reply())
    return [code for code, _ in replies]


@pytest.mark.parametrize("end", FALSE_ENDS, ids=repr)
def test_s01_a_false_end_refuses_the_whole_mail(post, end):
    with post.client() as client, post.nothing_sent():
        codes = smuggle(client, "alice@ours.test", "r@ok.test", mail("first", body=b"a" + end + SECOND_MAIL))
        assert codes == [550, 250], "one reply to the whole, and then that of NOOP"
        client.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.reply()


@pytest.mark.parametrize("end", FALSE_ENDS, ids=repr)
def test_s01_a_false_end_split_over_segments(post, end):
    with post.client() as client, post.nothing_sent():
        client.envelope("alice@ours.test", "r@ok.test")
        assert client.command("DATA")[0] == 354
        for octet in mail("first", body=b"a") + end + SECOND_MAIL:
            client.send(bytes([octet]))
        client.send(b".\r\n")
        code, text = client.reply()
        assert (code, text[:6]) == (550, "5.6.0 ")


def test_s01_the_true_end_ends(post):
    """The control: what follows CRLF . CRLF is a session, and the test above would have seen it run."""
    word = token()
    second = b"MAIL FROM:<y@ours.test>\r\nRCPT TO:<w@ok.test>\r\nDATA\r\n" + mail(word)
    with post.client() as client:
        client.envelope("alice@ours.test", "r@ok.test")
        assert client.command("DATA")[0] == 354
        client.send(mail(word) + b".\r\n" + second + b".\r\n")
        assert [client.reply()[0] for _ in range(5)] == [250, 250, 250, 354, 250]
    post.wait_mails(word, 2)


ALPHABET = [b"\r", b"\n", b".", b"a", b"\0"]
HEAD = b"From: <alice@ours.test>\r\n\r\n"
ENVELOPE = b"MAIL FROM:<alice@ours.test>\r\nRCPT TO:<exhaustive@ok.test>\r\nDATA\r\n"
TAIL = b"\r\n.\r\n"


def oracle(stream):
    """The ten-line reference: (content of the mail, or None where it must be refused; what is left for commands)."""
    end = 0 if stream.startswith(b".\r\n") else stream.index(TAIL) + 2
    content, rest = stream[:end], stream[end + 3:]
    if b"\0" in content or re.search(rb"\r(?!\n)|(?<!\r)\n", content):
        return None, rest
    return re.sub(rb"(?m)^\.", b"", content), rest


def test_s03_every_string_of_six(post):
    """All 19,530 strings over {CR, LF, ., a, NUL} up to length 6, each as the body of a mail, against the oracle."""
    post.api.wait_empty()
    before, expected = len(post.mails(HEAD)), []
    strings = [b"".join(s) for n in range(1, 7) for s in itertools.product(ALPHABET, repeat=n)]
    assert len(strings) == 19530
    client, errors, mails = None, 0, 0
    for begin in range(0, len(strings), 5):
        if client is None or errors > 4 or mails > 70:  # Before the limits of a session.
            if client:
                client.close()
            client, errors, mails = post.client(), 0, 0
        sent, wanted = b"", []
        for string in strings[begin:begin + 5]:
            stream = HEAD + string + TAIL
            content, rest = oracle(stream)
            sent += ENVELOPE + stream
            wanted += [(string, 250), (string, 250), (string, 354), (string, 550 if content is None else 250)]
            # Only CRLF ends a command, too: each such line of the rest is a bad one.
            junk = rest.count(b"\r\n")
            wanted += [(string, 500)] * junk
            errors += junk
            if content is not None:
                expected.append(content.split(b"\r\n\r\n", 1)[1])
        mails += 5
        client.send(sent)
        got = [(string, client.reply()[0]) for string, _ in wanted]
        assert got == wanted
    client.close()
    post.api.wait_empty(120)
    bodies = [m.body for m in post.sink.mails if m.recipients == ["exhaustive@ok.test"]]
    assert sorted(bodies) == sorted(expected)
    assert len(expected) > 250 and before == 0


# What reaches the next host.

LENIENT = {  # Servers that take more than CRLF . CRLF for an end.
    "strict": rb"\r\n\.\r\n",
    "any line end": rb"[\r\n]\.(?:\r\n|\r|\n)",
    "LF dot LF": rb"\n\.\r?\n",
    "NUL is nothing": rb"[\r\n]\0*\.\0*(?:\r\n|\r|\n)",
}


def assert_one_mail(raw):
    """`raw`: what a sink read after 354, without the final dot."""
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", raw), "bare CR or LF"
    assert b"\0" not in raw
    wire = raw + b".\r\n"
    for name, pattern in LENIENT.items():
        assert len(re.findall(pattern, wire)) == 1, (name, wire)
        assert re.search(pattern, wire).end() == len(wire), name


@pytest.mark.parametrize("domain", ["ok.test", "plain.test"])
@pytest.mark.parametrize("end", FALSE_ENDS + [b"\r\n.\r\n"], ids=repr)
def test_s05_text_of_the_api(post, end, domain):
    word = token()
    text = (b"a" + end + SECOND_MAIL.replace(b"v@ok.test", b"v2@ok.test")).decode()
    for fields in ({"text": text}, {"text": "", "html": f"<p>{text}"}):
        message = request(subject=word, to=[f"r@{domain}"])
        message.content.text = fields["text"]
        message.content.html = fields.get("html", "")
        post.api.send(message)
    for received in post.wait_mails(word, 2):
        assert_one_mail(received.raw)
        assert received.sender == "alice@ours.test"
        assert received.recipients == [f"r@{domain}"]
    assert not [r for sink in post.sinks for r in sink.recipients() if r.startswith("v2@")]


@pytest.mark.parametrize("end", FALSE_ENDS + [b"\r\n.\r\n"], ids=repr)
@pytest.mark.parametrize("field", ["subject", "from", "to", "header"])
def test_s05_header_fields_of_the_api(post, field, end):
    evil = f"a{end.decode()}MAIL FROM:<x@evil.test>"
    message = request()
    if field == "subject":
        message.content.subject = evil
    elif field == "header":
        message.content.headers.add(name="X-Evil", value=evil)
    else:
        mailbox = getattr(message.content, "from") if field == "from" else message.content.to[0]
        mailbox.display_name = evil
    with post.nothing_sent(), pytest.raises(grpc.RpcError) as caught:
        post.api.send(message)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert field_errors(caught.value) == [{"subject": "content.subject", "header": "content.headers[0].value",
                                           "from": "content.from.display_name",
                                           "to": "content.to[0].display_name"}[field]]


@pytest.mark.parametrize("end", FALSE_ENDS, ids=repr)
def test_s05_raw_messages_of_the_api(post, end):
    word = token()
    data = mail(word, body=b"a" + end + b"MAIL FROM:<x@evil.test>\r\n")
    message = mail_pb2.SendMailRequest(envelope_sender="alice@ours.test")
    message.raw.data = data
    message.raw.recipients.append("r@plain.test")
    with post.nothing_sent(), pytest.raises(grpc.RpcError) as caught:
        post.api.send(message)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert field_errors(caught.value) == ["raw.data"]


@pytest.mark.parametrize("domain", ["ok.test", "plain.test"])
def test_s05_dots_travel_unchanged(post, domain):
    word = token()
    body = b".\r\n..\r\n...\r\n.a\r\na.\r\n.\r\n\r\n.\r\n"
    message = mail_pb2.SendMailRequest(envelope_sender="alice@ours.test")
    message.raw.data = mail(word, body=body)
    message.raw.recipients.append(f"r@{domain}")
    post.api.send(message)
    with post.client() as client:
        client.envelope("alice@ours.test", f"r@{domain}")
        client.command("DATA")
        client.send(re.sub(rb"(?m)^\.", b"..", message.raw.data) + b".\r\n")
        assert client.reply()[0] == 250
    for received in post.wait_mails(word, 2):
        assert_one_mail(received.raw)
        assert received.body == body


def test_s08_a_bare_cr_makes_no_header(post):
    with post.nothing_sent(), post.client() as client:
        client.envelope("alice@ours.test", "r@ok.test")
        assert client.message(b"From: <alice@ours.test>\r\nSubject: a\rBcc: v@x.test\r\n\r\nx\r\n")[0] == 550


def test_s09_an_empty_message_is_refused(post):
    with post.nothing_sent(), post.client() as client:
        client.envelope("alice@ours.test", "r@ok.test")
        assert client.command("DATA")[0] == 354
        client.send(b".\r\n")
        assert client.reply()[0] in (550, 554)
        assert client.command("NOOP")[0] == 250


@pytest.mark.parametrize("start", [b"\n.\r\n", b"..\r\n", b".a\r\n", b"\r\n.\n"], ids=repr)
def test_s09_no_early_end_at_the_start(post, start):
    with post.nothing_sent(), post.client() as client:
        assert smuggle(client, "alice@ours.test", "r@ok.test", start + SECOND_MAIL)[0] in (550, 554)


@pytest.mark.parametrize("body", [b"a\nb\r\n", b"a\rb\r\n", b"a\0b\r\n", b"a\r", b"a\n", b"a\r\n.\r\n\n.\r\n"], ids=repr)
def test_s11_chunks_with_bad_lines(post, body):
    data = mail("chunk", body=body)
    with post.nothing_sent(), post.client() as client:
        client.envelope("alice@ours.test", "r@ok.test")
        client.send(f"BDAT {len(data)} LAST\r\n".encode() + data)
        code, text = client.reply()
        assert (code, text[:6]) == (550, "5.6.0 ")
        assert client.command("NOOP")[0] == 250


@pytest.mark.parametrize("domain", ["ok.test", "plain.test"])
@pytest.mark.parametrize("body", [b"no line end", b"", b".", b"\r\n.\r\n.", b"a\r\n.\r\nMAIL FROM:<x@evil.test>\r\n"],
                         ids=repr)
def test_s11_chunks_without_a_last_crlf(post, body, domain):
    word = token()
    data = mail(word, body=body)
    with post.client() as client:
        client.envelope("alice@ours.test", f"r@{domain}")
        client.send(f"BDAT {len(data)} LAST\r\n".encode() + data)
        assert client.reply()[0] == 250
    received = post.wait_mail(word)
    assert_one_mail(received.raw)
    assert received.body == body + (b"" if body.endswith(b"\r\n") or not body else b"\r\n")


def test_a_line_split_between_two_chunks_is_one_line(post):
    word = token()
    data = mail(word, body=b"a\r\n")
    with post.client() as client:
        client.envelope("alice@ours.test", "r@ok.test")
        for octet in data[:-1]:
            client.send(b"BDAT 1\r\n" + bytes([octet]))
            assert client.reply()[0] == 250
        client.send(b"BDAT 1 LAST\r\n\n")
        assert client.reply()[0] == 250
    assert post.wait_mail(word).body == b"a\r\n"


def test_a_message_of_one_dot_line_after_another_session_state(post):
    """A dot on its own line as a command is no end of anything."""
    with Client(post.smtp) as client:
        client.hello()
        assert client.command(".")[0] == 500
        client.envelope("alice@ours.test", "r@ok.test")
        assert client.command(".")[0] == 500
        assert client.message(mail(token()))[0] == 250
