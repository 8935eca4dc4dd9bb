"""What happens before what, by the kernel's word: C12 and C13 of BATTERY, on the system calls of a running node."""

import collections
import re

import pytest

from support.api import request
from support.post import mail, token
from support.smtp import Client
from support.strace import Strace
from support.world import World

ONE = "20.0.0.21"
CALLS = "write,writev,pwrite64,sendmsg,sendto,read,readv,recvmsg,recvfrom,fdatasync,fsync"
SOCKET = re.compile(r"\w+\(\d+<(?:TCP|socket|TCPv6)")
WORD = re.compile(r"[0-9a-f]{16}|(?<![0-9a-z])[0-9a-z]{26}(?![0-9a-z])")  # Tokens and message ids.


@pytest.fixture
def world(stage):
    return World(stage, {"queue": {"write_buffer": "1MiB"}})


class Trace:
    """The calls of a node from now on; after stop(), those that mention a word, in the order of their beginning."""

    def __init__(self, world, stage):
        self.strace = Strace(world.node.process.pid, CALLS, stage.folder, "-y", "-yy", "-s", "1000000")
        stage.add(self.strace, self.strace.stop)
        self.logged, self.sent, self.read = (collections.defaultdict(list) for _ in range(3))
        self.syncs = []

    def stop(self):
        self.strace.stop()
        for call in sorted(self.strace.calls(), key=lambda c: c.begin):
            reads = call.name.startswith(("recv", "read"))
            if call.name in ("fdatasync", "fsync"):
                assert call.result == 0, call.text
                self.syncs.append(call)
                continue
            kind = (self.logged if ".log>" in call.text[:300] else
                    None if not SOCKET.match(call.text) else self.read if reads else self.sent)
            for word in set(WORD.findall(call.text)) if kind is not None else ():
                kind[word].append(call)

    def sync_of(self, written):
        """The first sync of a log after a write to it."""
        log_file = re.search(r"<([^>]*\.log)>", written.text).group(1)
        found = next((c for c in self.syncs if written.end < c.begin and log_file in c.text), None)
        assert found, f"no sync after line {written.end}: {written.text[:120]}"
        return found


def send_in_each_way(world, address, singles):
    """Sends mail by SMTP, by single calls and by a stream; [(token, message id)]. Each mail has its word several times:
    the log is cut into blocks of 32 KiB, and a cut may go through one of them."""
    mails = []
    with Client(world.node.smtp, timeout=60) as client:
        client.hello()
        for _ in range(singles):
            word = token()
            client.envelope("alice@ours.test", f"{word}@{address(word)}")
            code, text = client.message(mail(word, f"{word} twice\r\n"))
            assert code == 250
            mails.append((word, re.search(r"\b[0-9a-z]{26}\b", text).group()))
    for _ in range(singles):
        word = token()
        mails.append((word, world.send(f"{word}@{address(word)}", subject=word, text=f"{word} twice")))
    words = [token() for _ in range(100)]
    mails += zip(words, world.send_all(request(subject=word, to=[f"{word}@{address(word)}"], text=f"{word} twice")
                                       for word in words))
    return mails


def test_c12_the_answer_follows_the_sync(world, stage):
    """1,000 single mails and 100 at once: 250 and OK leave after the mail's sync, and so does the mail itself."""
    stage.sink(ONE)
    domain = world.domain((10, ONE))
    trace = Trace(world, stage)
    mails = send_in_each_way(world, lambda word: domain, 500)
    world.api.wait_empty(120)
    trace.stop()
    for word, message_id in mails:
        synced = trace.sync_of(trace.logged[word][0])
        told = trace.sent[message_id]
        assert told and all(synced.end < call.begin for call in told), (told[0].text[:200], synced.text)
        assert trace.sent[word] and all(synced.end < call.begin for call in trace.sent[word])


def test_c13_nothing_is_removed_before_the_receiver_has_it(world, stage):
    """1,000 deliveries: between its acceptance and the receiver's 250 nothing about a mail is written to the log."""
    def script(at, argument, session):
        return f"250 2.0.0 taken {session.recipients[0].partition('@')[0]}" if at == "dot" else None
    stage.sink(ONE, script=script)

    def address(word):
        """A domain of the mail's own, so that each record of it has its word in the key."""
        world.dns.zone[f"{word}.test"] = {"MX": [(10, "mx.one.test")]}
        return f"{word}.test"
    world.dns.zone["mx.one.test"] = {"A": [ONE]}
    trace = Trace(world, stage)
    mails = send_in_each_way(world, address, 450)
    world.api.wait_empty(120)
    trace.stop()
    for word, _ in mails:
        taken = next(call for call in trace.read[word] if f"taken {word}" in call.text)
        accepted = trace.sync_of(trace.logged[word][0])
        early = [c for c in trace.logged[word] if accepted.begin < c.begin < taken.begin]
        assert not early, f"written before the receiver's 250: {early[0].text[:200]}"
        assert any(call.begin > taken.end for call in trace.logged[word]), "and after it the verdict is written"
