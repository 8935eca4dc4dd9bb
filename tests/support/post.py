"""A node with a DNS and the receivers it delivers to, for modules whose tests share them."""

import contextlib
import secrets

from support.smtp import Client, send_mail
from support.wait import wait_for

CHUNKING = "20.0.0.10"  # Receives with every extension that Hikyaku knows.
PLAIN = "20.0.0.11"     # Receives by DATA: without CHUNKING, 8BITMIME and SMTPUTF8.

# "ok.test" may be written to; the others are where a mail would turn up if an attack worked.
ZONE = {
    "ok.test": {"MX": [(10, "mx.ok.test")]},
    "mx.ok.test": {"A": [CHUNKING]},
    "plain.test": {"MX": [(10, "mx.plain.test")]},
    "mx.plain.test": {"A": [PLAIN]},
    "out.test": {"MX": [(10, "mx.ok.test")]},
    "evil.test": {"MX": [(10, "mx.ok.test")]},
    "x.test": {"MX": [(10, "mx.ok.test")]},
}


def token():
    """A word that no other mail holds."""
    return secrets.token_hex(8)


def mail(subject, body="Hello.\r\n", sender="alice@ours.test", to="r@ok.test", headers=()):
    """A small message, as bytes with CRLF. `headers`: further lines."""
    lines = [f"From: <{sender}>", f"To: <{to}>", f"Subject: {subject}", *headers]
    head = "\r\n".join(lines) + "\r\n\r\n"
    return head.encode() + (body.encode() if isinstance(body, str) else body)


class Post:
    def __init__(self, stage, config=None, zone=None, plain=False, node=None):
        self.dns = stage.dns({**ZONE, **(zone or {})})
        self.sink = stage.sink(CHUNKING)
        self.sinks = [self.sink]
        if plain:
            self.plain = stage.sink(PLAIN, extensions=("PIPELINING", "ENHANCEDSTATUSCODES", "SIZE 52428800"))
            self.sinks.append(self.plain)
        self.node = node or stage.node(config)
        self.api = stage.api(self.node)

    @property
    def smtp(self):
        return self.node.smtp

    def client(self, hello=True, **options):
        """A session that has said EHLO."""
        client = Client(self.smtp, **options)
        if hello:
            client.hello()
        return client

    def mails(self, word):
        """The mails that hold this word."""
        word = word.encode() if isinstance(word, str) else word
        return [mail for sink in self.sinks for mail in list(sink.mails) if word in mail.data]

    def wait_mails(self, word, count=1, timeout=60):
        """The `count` mails with this word, when they are there; more are a failure."""
        found = wait_for(lambda: (lambda m: m if len(m) >= count else None)(self.mails(word)), timeout,
                         lambda: f"{count} mails with {word!r}; the log:\n{self.node.process.tail()}")
        assert len(found) == count, [m.raw[:400] for m in found]
        return found

    def wait_mail(self, word, timeout=60):
        return self.wait_mails(word, 1, timeout)[0]

    def accepted(self):
        """Recipients that the queue ever took; its books must add up."""
        return sum(shard.accepted_total for shard in self.api.check())

    def alive(self):
        """A fresh session still sends a mail, and it arrives."""
        word = token()
        code, text = send_mail(self.smtp, "alice@ours.test", ["alive@ok.test"], mail(word, to="alive@ok.test"))
        assert code == 250, (code, text)
        self.wait_mail(word)

    @contextlib.contextmanager
    def nothing_sent(self):
        """Nothing that happens within reaches the queue or a receiver."""
        self.api.wait_empty()
        queued, received = self.accepted(), sum(len(sink.mails) for sink in self.sinks)
        yield
        assert self.accepted() == queued
        assert sum(len(sink.mails) for sink in self.sinks) == received
