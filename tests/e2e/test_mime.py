"""Content arrives as it was given, in a form that the next host can take: BATTERY 2.10, D14, D17 and D18."""

import email
import email.message
import email.policy
import email.utils
import hashlib
import quopri
import random
import re

import grpc
import pytest

from support.api import field_errors, mail_pb2, request
from support.post import Post, mail, token
from support.smtp import Client

UTF8_ONLY = "20.0.0.12"   # 8BITMIME and SMTPUTF8, by DATA.
EIGHT_BIT = "20.0.0.13"   # 8BITMIME without SMTPUTF8.
CONFIG = {"limits": {"message_size": "40MiB"}}
SIZE = "SIZE 52428800"


class MimePost(Post):
    """Four receivers, by what they offer."""

    def __init__(self, stage):
        super().__init__(stage, CONFIG, plain=True, zone={
            "utf8.test": {"MX": [(10, "mx.utf8.test")]}, "mx.utf8.test": {"A": [UTF8_ONLY]},
            "eight.test": {"MX": [(10, "mx.eight.test")]}, "mx.eight.test": {"A": [EIGHT_BIT]},
            "xn--bcher-kva.test": {"MX": [(10, "mx.plain.test")]}})
        self.sinks.append(stage.sink(UTF8_ONLY, extensions=("8BITMIME", "SMTPUTF8", SIZE)))
        self.sinks.append(stage.sink(EIGHT_BIT, extensions=("8BITMIME", SIZE)))


@pytest.fixture(scope="module")
def post(module_stage):
    return MimePost(module_stage)


@pytest.fixture(autouse=True)
def still_alive(post):
    yield
    post.alive()


def by_smtp(post, data, recipient="r@ok.test", parameters=""):
    """The reply to the final dot of this message."""
    with post.client() as client:
        assert client.command(f"MAIL FROM:<alice@ours.test>{parameters}")[0] == 250
        assert client.command(f"RCPT TO:<{recipient}>".encode())[0] == 250
        assert client.command("DATA")[0] == 354
        client.send(re.sub(rb"(?m)^\.", b"..", data) + b".\r\n")
        return client.reply()


def parsed(received):
    message = email.message_from_bytes(received.data, policy=email.policy.default)
    for part in message.walk():
        assert not part.defects, (part.defects, received.data[:2000])
    return message


def leaves(message):
    """The decoded content of every part that is not a multipart."""
    return [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]


def assert_lines(received, limit=998):
    assert max(len(line) for line in received.raw.split(b"\r\n")) <= limit
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", received.raw)


# M01: long lines.

@pytest.mark.parametrize("length,code", [(998, 250), (999, 554), (2048, 554), (1 << 20, 554)])
@pytest.mark.parametrize("where", ["body", "header"])
def test_m01_long_lines_by_smtp(post, where, length, code):
    word = token()
    if where == "body":
        data = mail(word, body=b"x" * length + b"\r\n")
    else:
        data = mail(word, headers=["X-Long: " + "x" * (length - 8)])
    got, text = by_smtp(post, data)
    assert got == code, text
    if code == 250:
        received = post.wait_mail(word)
        assert_lines(received)
        assert (b"x" * (length - 8)) in received.data
    else:
        assert text.startswith("5.6.0 ")
        assert not post.mails(word)


@pytest.mark.parametrize("length", [998, 999, 2048, 1 << 20])
@pytest.mark.parametrize("field", ["text", "html"])
def test_m01_long_lines_by_api(post, field, length):
    word = token()
    message = request(subject=word, to=["r@ok.test", "r@plain.test"])
    line = "y" * length
    message.content.text = line + "\n"
    if field == "html":
        message.content.html = f"<p>{line}\n"
    post.api.send(message)
    for received in post.wait_mails(word, 2):
        assert_lines(received)
        contents = leaves(parsed(received))
        assert contents[0].replace(b"\r\n", b"\n") == line.encode() + b"\n"
        if field == "html":
            assert contents[1].replace(b"\r\n", b"\n") == f"<p>{line}\n".encode()


@pytest.mark.parametrize("subject", ["x" * 998, "x" * 2048, "word " * 400, "ü" * 500, " leading", "trailing ", "a  b",
                                     "日本語の件名 " * 30, "=?utf-8?q?not_encoded?=", "😀" * 100])
def test_m01_long_and_odd_subjects_by_api(post, subject):
    word = token()
    post.api.send(request(subject=subject, to=["r@plain.test"], text=word))
    received = post.wait_mail(word)
    assert_lines(received)
    head = received.data.split(b"\r\n\r\n", 1)[0]
    assert head.isascii()
    assert all(len(w) <= 75 for w in re.findall(rb"=\?[^?\s]+\?[BbQq]\?[^?\s]*\?=", head))
    assert str(parsed(received)["Subject"]).strip() == subject.strip()


# M02: 8-bit content.

@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1"])
def test_m02_eight_bits_to_a_host_without_8bitmime(post, charset):
    word = token()
    body = "Grüße aus München\r\n.\r\n" * 3
    data = mail(word, headers=["MIME-Version: 1.0", f"Content-Type: text/plain; charset={charset}",
                               "Content-Transfer-Encoding: 8bit"], body=body.encode(charset))
    for recipient in ("r@plain.test", "r@ok.test", "r@eight.test"):
        assert by_smtp(post, data, recipient, " BODY=8BITMIME")[0] == 250
    received = {m.recipients[0]: m for m in post.wait_mails(word, 3)}
    assert received["r@plain.test"].data.isascii()
    assert "BODY=8BITMIME" not in received["r@plain.test"].parameters
    assert leaves(parsed(received["r@plain.test"])) == [body.encode(charset)]
    for recipient in ("r@ok.test", "r@eight.test"):
        assert received[recipient].body == body.encode(charset), "where the host can take it, it travels as it is"
        assert "BODY=8BITMIME" in received[recipient].parameters


def test_m02_eight_bits_in_one_part_of_a_multipart(post):
    word = token()
    body = ("--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nüüü\r\n"
            "--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--b--\r\n").encode()
    data = mail(word, body=body, headers=["MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b",
                                          "Content-Transfer-Encoding: 8bit"])
    assert by_smtp(post, data, "r@plain.test")[0] == 250
    received = post.wait_mail(word)
    assert received.data.isascii()
    assert leaves(parsed(received)) == ["üüü".encode(), b"plain"]


def test_m02_what_cannot_be_converted_bounces(post):
    """A signed part must not change, so a host without 8BITMIME cannot get it: 5.6.3."""
    word = token()
    body = ("--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nüüü\r\n"
            "--b\r\nContent-Type: application/pgp-signature\r\n\r\nsig\r\n--b--\r\n").encode()
    data = mail(word, body=body, headers=[
        f"Message-ID: <{word}@ours.test>", "MIME-Version: 1.0", "Content-Transfer-Encoding: 8bit",
        'Content-Type: multipart/signed; protocol="application/pgp-signature"; micalg=pgp-sha256; boundary=b'])
    code, text = by_smtp(post, data, "r@plain.test")
    assert code == 250
    message_id = re.search(r"[0-9a-z]{26}", text).group(0)
    bounced = post.api.wait_event(message_id, "BOUNCED")[0]
    assert bounced.outcome.enhanced_code == "5.6.3"
    assert not post.mails(word)


def test_m02_text_of_the_api_is_seven_bit_for_everyone(post):
    word = token()
    post.api.send(request(subject=word, to=["r@ok.test", "r@plain.test"], text="Grüße, 日本語, 😀\n.\n"))
    for received in post.wait_mails(word, 2):
        assert received.data.isascii()
        assert leaves(parsed(received)) == ["Grüße, 日本語, 😀\r\n.\r\n".encode()]


# M03: SMTPUTF8.

def test_m03_a_utf8_local_part(post):
    word = token()
    answer = post.api.send(request(subject=word, to=["ü@ok.test", "ü@utf8.test"]))
    for received in post.wait_mails(word, 2):
        assert "SMTPUTF8" in received.parameters
        assert received.recipients[0] in ("ü@ok.test", "ü@utf8.test")
    assert set(post.api.states(answer.message_id).values()) <= {"DELIVERED", "QUEUED"}


@pytest.mark.parametrize("domain", ["eight.test", "plain.test"])
def test_m03_a_utf8_local_part_to_a_host_without_smtputf8(post, domain):
    word = token()
    answer = post.api.send(request(subject=word, to=[f"ü@{domain}"]))
    bounced = post.api.wait_event(answer.message_id, "BOUNCED")[0]
    assert bounced.outcome.enhanced_code == "5.6.7"
    assert not post.mails(word)


def test_m03_an_idn_domain_needs_no_smtputf8(post):
    word = token()
    post.api.send(request(subject=word, to=["r@bücher.test"]))
    received = post.wait_mail(word)
    assert received.recipients == ["r@xn--bcher-kva.test"]
    assert "SMTPUTF8" not in received.parameters
    assert received.data.isascii()


def test_m03_smtputf8_by_smtp(post):
    word = token()
    with post.client() as client:
        assert client.command("MAIL FROM:<ü@ours.test>".encode())[0] == 553
        assert client.command("MAIL FROM:<ü@ours.test> SMTPUTF8".encode())[0] == 250
        assert client.command("RCPT TO:<日本@ok.test>".encode())[0] == 250
        assert client.message(mail(word, sender="ü@ours.test"))[0] == 250
    received = post.wait_mail(word)
    assert (received.sender, received.recipients) == ("ü@ours.test", ["日本@ok.test"])
    assert "SMTPUTF8" in received.parameters
    assert " with UTF8SMTP id " in received.header("Received")[0].replace("\t", " ")


# M06: attachments.

@pytest.mark.parametrize("size", [0, 1, 2, 3, 56, 57, 58, 57 * 76, 57 * 76 + 1, 256, 100_000])
def test_m06_attachments_arrive_bit_by_bit(post, size):
    word = token()
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    message = request(subject=word, to=["r@ok.test", "r@plain.test"])
    message.content.attachments.add(filename="ünï.bin", content_type="application/octet-stream", content=content)
    post.api.send(message)
    for received in post.wait_mails(word, 2):
        assert_lines(received, 78)
        message = parsed(received)
        attached = list(message.iter_attachments())
        assert [a.get_filename() for a in attached] == ["ünï.bin"]
        assert attached[0].get_content() == content
        assert attached[0]["Content-Transfer-Encoding"] == "base64"
        encoded = attached[0].get_payload()
        assert max((len(line) for line in encoded.splitlines()), default=0) <= 76


def test_m06_an_attachment_of_25_mb(post):
    word = token()
    content = random.Random(25).randbytes(25_000_000)
    message = request(subject=word, to=["r@ok.test"])
    message.content.attachments.add(filename="big", content=content)
    post.api.send(message, timeout=120)
    received = post.wait_mail(word, 120)
    attached = next(parsed(received).iter_attachments())
    assert hashlib.sha256(attached.get_payload(decode=True)).digest() == hashlib.sha256(content).digest()
    post.sink.mails.remove(received)


def test_m06_structure_of_a_message_with_everything(post):
    word = token()
    message = request(subject=word, to=["r@ok.test"], text="plain")
    message.content.html = '<img src="cid:logo@ours.test">'
    message.content.attachments.add(filename="logo.png", content_type="image/png", content=b"\x89PNG",
                                    content_id="logo@ours.test")
    message.content.attachments.add(filename="日本.pdf", content_type="application/pdf", content=b"%PDF")
    message.content.cc.add(address="c@ok.test", display_name="Zoë, \"the\" C")
    message.content.reply_to.add(address="back@ours.test")
    message.content.headers.add(name="X-Campaign", value="Frühling")
    getattr(message.content, "from").display_name = "Ālice"
    answer = post.api.send(message)
    received = post.wait_mails(word, 1)[0]
    seen = parsed(received)
    kinds = [part.get_content_type() for part in seen.walk()]
    assert kinds == ["multipart/mixed", "multipart/related", "multipart/alternative", "text/plain", "text/html",
                     "image/png", "application/pdf"] or kinds == [
        "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png",
        "application/pdf"]
    image = next(p for p in seen.walk() if p.get_content_type() == "image/png")
    assert image["Content-ID"] == "<logo@ours.test>"
    assert image.get_content_disposition() == "inline"
    pdf = next(p for p in seen.walk() if p.get_content_type() == "application/pdf")
    assert (pdf.get_filename(), pdf.get_content_disposition()) == ("日本.pdf", "attachment")
    assert [(a.display_name, a.addr_spec) for a in seen["Cc"].addresses] == [('Zoë, "the" C', "c@ok.test")]
    assert [(a.display_name, a.addr_spec) for a in seen["From"].addresses] == [("Ālice", "alice@ours.test")]
    assert [a.addr_spec for a in seen["Reply-To"].addresses] == ["back@ours.test"]
    assert str(seen["X-Campaign"]) == "Frühling"
    assert seen["Message-ID"] == f"<{answer.message_id_header}>"
    assert seen["MIME-Version"] == "1.0"
    assert email.utils.parsedate_to_datetime(seen["Date"]) is not None


# M09: headers that no mail may have.

@pytest.mark.parametrize("head", [
    "Subject: no from", "From: <a@ours.test>\r\nFrom: <b@ours.test>", "From: <>", "From: ", "From: nobody",
    "From: undisclosed:;", "From: <a@ours.test>\r\nno colon here", " continuation first\r\nFrom: <a@ours.test>",
    "From: <a@ours.test>\r\nBad Name: x", "From: <a@ours.test>\r\n: no name",
    "From: <a@ours.test>\r\nSubject: one\r\nsubject: two", "From: <a@ours.test>\r\nTo: <r@ok.test>\r\nTo: <s@ok.test>",
    "From: <a@ours.test>\r\nContent-Type: text/plain\r\nContent-Type: text/html",
    "From: <a@ours.test>\r\n" + "X: y\r\n" * 1001 + "X: y", "From: <a@ours.test>\r\n" + ("X: " + "y" * 900 + "\r\n") * 400 + "X: y"],
    ids=["no From", "two From", "null From", "empty From", "word From", "empty group", "no colon", "continuation",
         "blank in name", "no name", "two Subject", "two To", "two Content-Type", "1000 fields", "400 KB"])
def test_m09_headers_that_are_refused(post, head):
    with post.nothing_sent():
        code, text = by_smtp(post, head.encode() + b"\r\n\r\nbody\r\n")
        assert code in (550, 554) and text.startswith("5.6.0 "), (code, text)
        raw = mail_pb2.SendMailRequest(envelope_sender="alice@ours.test")
        raw.raw.data = head.encode() + b"\r\n\r\nbody\r\n"
        raw.raw.recipients.append("r@ok.test")
        with pytest.raises(grpc.RpcError) as caught:
            post.api.send(raw)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert field_errors(caught.value) == ["raw.data"]


# D14: a corpus.

WORDS = "alpha beta Grüße naïve 日本語 😀 = == =20 From >From . .. -- \t tab".split(" ")


def random_text(rng):
    return "\n".join(" ".join(rng.choices(WORDS, k=rng.randint(0, 40))) for _ in range(rng.randint(1, 20))) + "\n"


def random_message(rng, word):
    """A message as some client would build it: nested, in several encodings and charsets, with random binaries."""
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = "alice@ours.test", "r@ok.test", f"{word} {rng.choice(WORDS)}"
    message.set_content(random_text(rng), cte=rng.choice(["quoted-printable", "base64", "8bit"]))
    if rng.random() < 0.5:
        message.add_alternative(f"<p>{random_text(rng)}", subtype="html", cte=rng.choice(["quoted-printable", "base64"]))
    for _ in range(rng.randint(0, 3)):
        message.add_attachment(rng.randbytes(rng.randint(0, 5000)), maintype="application", subtype="octet-stream",
                               filename=rng.choice(["a.bin", "ü.bin", "日本語.bin", "a b;c.bin", "x" * 200 + ".bin"]))
    if rng.random() < 0.3:
        inner = email.message.EmailMessage(policy=email.policy.SMTP)
        inner["From"], inner["Subject"] = "inner@x.test", "forwarded"
        inner.set_content("inner text\n")
        message.add_attachment(inner)
    return message.as_bytes()


@pytest.mark.parametrize("domain", ["ok.test", "plain.test"])
def test_d14_corpus_by_smtp(post, domain):
    """150 mails a receiver: the body unchanged, or, where it had to be converted, every part decoding to the same."""
    rng, sent, count = random.Random(domain), {}, 150
    word = token()
    with Client(post.smtp) as client:
        client.hello()
        for i in range(count):
            name = f"{word}-{i:03}"
            data = random_message(rng, name)
            sent[name] = data
            client.envelope("alice@ours.test", f"r@{domain}")
            assert client.command("DATA")[0] == 354
            client.send(re.sub(rb"(?m)^\.", b"..", data) + b".\r\n")
            assert client.reply()[0] == 250
    for received in post.wait_mails(word, count, 120):
        name = re.search(rb"%s-\d{3}" % word.encode(), received.data).group(0).decode()
        data = sent.pop(name)
        assert_lines(received)
        if domain == "ok.test" or data.isascii():
            assert received.body == data.split(b"\r\n\r\n", 1)[1]
        else:
            assert received.data.isascii()
        wanted = email.message_from_bytes(data, policy=email.policy.default)
        assert [hashlib.sha256(leaf).digest() for leaf in leaves(parsed(received))] == [
            hashlib.sha256(leaf).digest() for leaf in leaves(wanted)]
    assert not sent


def test_d14_corpus_by_api(post):
    """200 mails of random text, HTML and binaries: every part decodes to what was given."""
    rng, sent, count = random.Random(14), {}, 200
    word = token()

    def requests():
        for i in range(count):
            message = request(subject=f"{word}-{i:03}", to=[rng.choice(["r@ok.test", "r@plain.test"])],
                              text=random_text(rng))
            parts = [message.content.text.replace("\n", "\r\n").encode()]
            if rng.random() < 0.5:
                message.content.html = f"<p>{random_text(rng)}"
                parts.append(message.content.html.replace("\n", "\r\n").encode())
            for _ in range(rng.randint(0, 3)):
                content = rng.randbytes(rng.randint(0, 5000))
                message.content.attachments.add(filename="a.bin", content=content)
                parts.append(content)
            sent[f"{word}-{i:03}"] = parts
            yield mail_pb2.SendMailStreamRequest(tag=i, request=message)

    for answer in post.api.mail.SendMailStream(requests(), timeout=120):
        assert answer.WhichOneof("result") == "response", answer
    for received in post.wait_mails(word, count, 120):
        assert_lines(received)
        message = parsed(received)
        assert [hashlib.sha256(leaf).digest() for leaf in leaves(message)] == [
            hashlib.sha256(part).digest() for part in sent.pop(str(message["Subject"]))]
    assert not sent


# D17, D18: what a submission server does to the header (RFC 6409 §8, RFC 5321 §6.3).

def test_d17_missing_fields_are_added(post):
    word = token()
    data = f"From: <alice@ours.test>\r\nSubject: {word}\r\n\r\nx\r\n".encode()
    code, text = by_smtp(post, data)
    assert code == 250
    received = post.wait_mail(word)
    message_id = re.search(r"[0-9a-z]{26}", text).group(0)
    assert received.header("Message-ID") == [f"<{message_id}@mail.ours.test>"]
    assert len(received.header("Date")) == 1
    assert email.utils.parsedate_to_datetime(received.header("Date")[0]) is not None
    trace = received.header("Received")
    assert len(trace) == 1 and f" id {message_id}" in re.sub(r"\s+", " ", trace[0])
    assert received.data.endswith(data), "the rest is as it was"


def test_d17_fields_that_are_there_stay(post):
    word = token()
    data = mail(word, headers=["Date: Thu, 1 Jan 1970 00:00:00 +0000", "Message-ID:\r\n <a.b@ours.test>"])
    assert by_smtp(post, data)[0] == 250
    received = post.wait_mail(word)
    assert received.header("Date") == ["Thu, 1 Jan 1970 00:00:00 +0000"]
    assert len(received.header("Message-ID")) == 1
    assert received.data.endswith(data)


def test_d17_fields_that_must_not_travel_are_removed(post):
    word = token()
    data = mail(word, headers=["Bcc: secret@x.test,\r\n more@x.test", "Return-Path: <old@x.test>", "BCC: z@x.test",
                               "Resent-Bcc: r@x.test", "X-Kept: yes"])
    assert by_smtp(post, data)[0] == 250
    received = post.wait_mail(word)
    for name in ("Bcc", "Return-Path", "Resent-Bcc"):
        assert received.header(name) == []
    assert b"x.test" not in received.data
    assert received.header("X-Kept") == ["yes"]
    assert received.body == b"Hello.\r\n"


@pytest.mark.parametrize("hops,code", [(49, 250), (50, 554), (101, 554)])
def test_d18_loops_end(post, hops, code):
    word = token()
    trace = [f"Received: from h{i}.test by h{i + 1}.test; Thu, 1 Jan 1970 00:00:00 +0000" for i in range(hops)]
    got, text = by_smtp(post, mail(word, headers=trace))
    assert got == code
    if code == 250:
        assert len(post.wait_mail(word).header("Received")) == hops + 1
    else:
        assert text.startswith("5.4.6 ")
        raw = mail_pb2.SendMailRequest(envelope_sender="alice@ours.test")
        raw.raw.data = mail(word, headers=trace)
        raw.raw.recipients.append("r@ok.test")
        with pytest.raises(grpc.RpcError) as caught:
            post.api.send(raw)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "5.4.6" in caught.value.details()
        assert not post.mails(word)


def test_raw_messages_with_lf_become_crlf(post):
    word = token()
    raw = mail_pb2.SendMailRequest(envelope_sender="<>")
    raw.raw.data = f"From: alice@ours.test\nSubject: {word}\n\n.\none\n\ntwo".encode()
    raw.raw.recipients.append("r@ok.test")
    post.api.send(raw)
    received = post.wait_mail(word)
    assert received.sender == ""
    assert received.body == b".\r\none\r\n\r\ntwo\r\n"


def test_quoted_printable_of_the_api_is_what_others_decode(post):
    """Trailing blanks, equal signs and lone dots, by a decoder that is not the parser's."""
    word = token()
    text = "trailing \t \n=3D=\n.\nFrom me, ünto you\n" + "a line that is plain ASCII, as most of it is\n" * 5
    post.api.send(request(subject=word, to=["r@plain.test"], text=text))
    received = post.wait_mail(word)
    assert received.header("Content-Transfer-Encoding") == ["quoted-printable"]
    assert quopri.decodestring(received.body).replace(b"\r\n", b"\n") == text.encode()
