"""Mail servers that others wrote take our mail, and store the body byte for byte: README's promise of plain SMTP."""

import email
import email.policy
import hashlib
import secrets

import pytest

from support.api import mail_pb2, request
from support.post import token
from support.receivers import Aiosmtpd, Exim, Haraka, HikyakuSink, OpenSmtpd, Postfix, Sendmail, SmtpSink
from support.smtp import Client
from support.wait import wait_for
from support.world import World

KINDS = {"postfix": Postfix, "opensmtpd": OpenSmtpd, "exim": Exim, "haraka": Haraka, "sendmail": Sendmail, "aiosmtpd": Aiosmtpd,
         "smtp-sink": SmtpSink, "hikyaku-sink": HikyakuSink}

pytestmark = pytest.mark.usefixtures("books_add_up")


@pytest.fixture(scope="module")
def receivers(module_stage):
    """All of them, each at an address and for a domain of its own."""
    started = {}
    for number, (name, kind) in enumerate(KINDS.items(), 21):
        receiver = kind(f"{name}.test", f"20.0.0.{number}")
        module_stage.add(receiver, receiver.stop)
        started[name] = receiver
    for receiver in started.values():
        receiver.start()
    return started


@pytest.fixture(scope="module")
def world(module_stage, receivers):
    # Few connections at once: OpenSMTPD's backlog is so short that the kernel forgets some of twenty: nobody greets.
    world = World(module_stage, {"queue": {"domain_concurrency": 4}, "delivery": {"timeouts": {"greeting": "10s"}}})
    world.lead_to(receivers.values())
    return world


# What a careless relay would change: dots, blanks, long lines, 8-bit text, "From ", blank lines at the end.
BODY = (b"This is a multi-part message.\r\n--b1\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n" + "Grüße, 日本.\r\n".encode() +
        b".\r\n..\r\n...three\r\n.leading\r\ntrailing  \t \r\n \r\nFrom here on\r\n>From there\r\n" +
        b"x" * 998 + b"\r\n=20=3D\r\n-- \r\n\x01\x7f\x1b[31m\r\n\r\n--b1\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nAAECAwQFBgcICQ==\r\n\r\n--b1--\r\n\r\n\r\n.\r\n\r\n")


def whole(word, to):
    """A MIME mail of the hard kind, with CRLF."""
    head = (f"From: Alice <alice@ours.test>\r\nTo: <{to}>\r\nSubject: {word}\r\nMIME-Version: 1.0\r\n"
            'Content-Type: multipart/mixed;\r\n boundary="b1"\r\n\r\n')
    return head.encode() + BODY


def wait_stored(receiver, word, count=1):
    """The `count` mails with this word that the receiver has stored."""
    def found():
        return [mail for mail in receiver.mails() if word.encode() in mail]
    stored = wait_for(lambda: (lambda m: m if len(m) >= count else None)(found()), 60,
                      lambda: f"{count} mails with {word}, {len(found())} there; its log:\n{receiver.output()[-2000:]}")
    assert len(stored) == count
    return stored


def body(mail):
    return mail.split(b"\r\n\r\n", 1)[1]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("via", ["smtp", "grpc"])
def test_the_body_arrives_byte_for_byte(world, receivers, name, via):
    receiver, word = receivers[name], token()
    to = f"r@{receiver.domain}"
    if via == "smtp":
        with Client(world.node.smtp) as client:
            client.hello()
            assert client.command("MAIL FROM:<alice@ours.test> BODY=8BITMIME")[0] == 250
            assert client.command(f"RCPT TO:<{to}>")[0] == 250
            stuffed = whole(word, to).replace(b"\r\n.", b"\r\n..")
            assert client.message(stuffed)[0] == 250
    else:
        world.api.send(mail_pb2.SendMailRequest(envelope_sender="alice@ours.test", raw=mail_pb2.RawMessage(
            data=whole(word, to), recipients=[to])))
    stored = wait_stored(receiver, word)[0]
    assert hashlib.sha256(body(stored)).digest() == hashlib.sha256(BODY).digest(), body(stored)


@pytest.mark.parametrize("name", KINDS)
def test_a_built_mail_is_read_as_it_was_meant(world, receivers, name):
    receiver, word = receivers[name], token()
    files = {"ünïcode 名.bin": bytes(range(256)) * 300, "empty": b"", "random.pdf": secrets.token_bytes(57 * 100)}
    message = request(subject=f"{word} Grüße", to=[f"r@{receiver.domain}"], text="Hallo 日本\n.\n")
    message.content.html = "<p>Hallo 日本</p>\n.\n"
    for filename, content in files.items():
        message.content.attachments.add(filename=filename, content=content)
    world.api.send(message)
    stored = wait_stored(receiver, word)[0]
    parsed = email.message_from_bytes(stored, policy=email.policy.default)
    assert parsed["Subject"] == f"{word} Grüße"
    assert not parsed.defects
    text = {kind: parsed.get_body((kind,)).get_content().replace("\r\n", "\n") for kind in ("plain", "html")}
    assert text == {"plain": "Hallo 日本\n.\n", "html": "<p>Hallo 日本</p>\n.\n"}
    assert {part.get_filename(): part.get_content() for part in parsed.iter_attachments()} == files


@pytest.mark.parametrize("name", KINDS)
def test_many_mails_arrive_once_each(world, receivers, name):
    receiver, word = receivers[name], token()
    world.send_all(request(subject=f"{word} {i:03}.", to=[f"r{i}@{receiver.domain}", f"s{i}@{receiver.domain}"])
                   for i in range(100))
    world.api.wait_empty()
    # Each copy of a mail is stored once: for both recipients together, or for each of them.
    copies = 2 if name in ("postfix", "opensmtpd", "exim") else 1
    stored = wait_stored(receiver, word, 100 * copies)
    for i in range(100):
        assert sum(f"{word} {i:03}.".encode() in mail for mail in stored) == copies
    counted = world.api.check()[0]
    assert counted.bounced_total == 0 and counted.expired_total == 0


@pytest.mark.parametrize("name", ["postfix", "opensmtpd", "exim", "haraka", "aiosmtpd"])
def test_a_recipient_that_they_refuse_bounces(world, receivers, name):
    """Another domain at this server: relaying denied. aiosmtpd takes everybody."""
    receiver = receivers[name]
    domain = world.domain((10, receiver.address))
    message_id = world.send(f"r@{domain}")
    if name == "aiosmtpd":
        world.delivered(message_id)
        return
    event = world.bounced(message_id)
    assert 500 <= event.outcome.smtp_code < 600 and event.outcome.enhanced_code.startswith("5.")
    assert event.attempts == 1
