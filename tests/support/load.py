"""Clients that send mail all the time and keep a ledger of what they were told, and the books at the end.

The sets are those of the crash protocol: what was acknowledged must be delivered or bounced (lost), what was refused
must not arrive (ghost), nothing arrives changed (corrupt) or twice without a reason (dup).
"""

import collections
import dataclasses
import hashlib
import random
import secrets
import threading
import time

import grpc

from support.api import Api, events_pb2, mail_pb2
from support.smtp import Client
from support.wait import wait_for

RETRYABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


@dataclasses.dataclass
class Entry:
    """One mail of a client. result: "acked", "refused" or "unknown" (no answer, or one that promises nothing)."""
    token: str
    via: str
    recipients: list
    sha256: str
    result: str = "unknown"
    said: list = dataclasses.field(default_factory=list)  # Each code that the client was told, but for success.
    time: float = 0


def moods():
    """A Sink's script for the recipients that Load chooses: soft ones work the second time, hard ones never."""
    seen = set()

    def script(stage, argument, session):
        if stage != "RCPT":
            return None
        if argument.startswith("hard."):
            return "550 5.1.1 no such user"
        if argument.startswith("soft.") and argument not in seen:
            seen.add(argument)
            return "450 4.2.0 later"
        return None
    return script


class Load:
    """`domains`: where the mail goes. `mixed`: recipients as moods() knows them, else only good ones. `doubtful`: SMTP
    codes after which the mail may be there all the same (lib/submission/accept.h: a shard did not answer, or its disk
    failed in the middle). `seed`: what is sent, and where to, follows from it. `on_dot`, `on_ack`: called with an entry
    right after its final dot was written (SMTP only), and right after it was acknowledged. `told`: failures of what came
    by SMTP are reported to `sender`, whose domain must then have a receiver."""

    def __init__(self, node, domains, smtp=2, grpc=2, mixed=True, size=2000, doubtful=(), seed=None,
                 sender="alice@ours.test", told=False):
        self.sender, self.notify = sender, "" if told else " NOTIFY=NEVER"
        self.node, self.domains, self.mixed, self.size, self.doubtful = node, domains, mixed, size, doubtful
        self.random = random.Random(seed)
        self.entries = {}
        self.acks = collections.Counter()  # By thread.
        self.stopping = threading.Event()
        self.failure = None
        self.on_dot = self.on_ack = lambda entry: None
        kinds = [self.by_smtp] * smtp + [self.by_grpc] * grpc
        self.threads = [threading.Thread(target=self.guard, args=(kind,), daemon=True) for kind in kinds]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self.threads)
        if self.failure:
            raise self.failure

    def acked(self):
        return sum(list(self.acks.values()))

    def took(self, entry):
        """The client was told so."""
        entry.time, entry.result = time.monotonic(), "acked"
        self.acks[threading.get_ident()] += 1
        self.on_ack(entry)

    def wait_acked(self, more, timeout=60):
        """Until so many more mails are acknowledged."""
        goal = self.acked() + more
        wait_for(lambda: self.acked() >= goal or self.failure, timeout,
                 lambda: f"{goal} acks: {self.acked()}; {self.node.process.tail()}")

    def codes(self):
        """How often clients were told what, but for success."""
        return collections.Counter(code for entry in self.entries.values() for code in entry.said)

    def guard(self, work):
        try:
            while not self.stopping.is_set():
                work()
        except Exception as error:  # The test's thread raises it.
            self.failure = error

    def new(self, via):
        token = secrets.token_hex(8)
        kinds = self.random.choice([["ok"], ["ok", "ok2"], ["soft"], ["ok", "soft"], ["hard"], ["ok", "hard"]]
                                   if self.mixed else [["ok"], ["ok", "ok2"]])
        recipients = [f"{kind}.{token}@{self.random.choice(self.domains)}" for kind in kinds]
        body = (secrets.token_hex(30) + "\r\n") * (self.random.randrange(self.size) // 62 + 1)
        entry = Entry(token, via, recipients, hashlib.sha256(body.encode()).hexdigest())
        self.entries[token] = entry
        data = f"From: <{self.sender}>\r\nSubject: load\r\nX-Token: {token}\r\n\r\n{body}".encode()
        return entry, data

    def by_smtp(self):
        """A session, until it ends."""
        try:
            client = Client(self.node.smtp, timeout=60)
        except OSError:
            time.sleep(0.05)
            return
        with client:
            if client.banner[0] != 220 or client.command("EHLO client.test")[0] != 250:
                return
            while not self.stopping.is_set():
                if not self.one_by_smtp(client, *self.new("smtp")):
                    return

    def one_by_smtp(self, client, entry, data):
        """Whether the session can go on."""
        try:
            for line in [f"MAIL FROM:<{self.sender}>", *(f"RCPT TO:<{r}>{self.notify}" for r in entry.recipients), "DATA"]:
                code, _ = client.command(line)
                if code not in (250, 354):
                    return self.not_taken(entry, code, client)
            client.send(data + b".\r\n")
            self.on_dot(entry)
            code, _ = client.reply()
        except (OSError, AssertionError):
            return False
        if code != 250:
            return self.not_taken(entry, code, client)
        self.took(entry)
        return True

    def not_taken(self, entry, code, client):
        if code == 0:
            return False
        entry.said.append(code)
        entry.result = "unknown" if code in self.doubtful else "refused"
        try:
            return code != 421 and client.command("RSET")[0] == 250
        except OSError:
            return False

    def by_grpc(self):
        """Mails over one channel, over all lives of the node: each is repeated with its key until it is known to be there,
        as clients should, and is one mail."""
        api = Api(self.node.grpc)
        try:
            while not self.stopping.is_set():
                entry, data = self.new("grpc")
                request = mail_pb2.SendMailRequest(envelope_sender=self.sender, idempotency_key=entry.token)
                request.raw.data = data
                request.raw.recipients.extend(entry.recipients)
                while not self.one_by_grpc(api, entry, request) and not self.stopping.is_set():
                    time.sleep(0.05)
        finally:
            api.close()

    def one_by_grpc(self, api, entry, request):
        """Whether this mail is done with."""
        try:
            api.mail.SendMail(request, timeout=30)
        except grpc.RpcError as error:
            entry.said.append(error.code())
            if error.code() in RETRYABLE:
                return False
            entry.result = "refused" if error.code() != grpc.StatusCode.CANCELLED else "unknown"
            return True
        self.took(entry)
        return True


class Bounces:
    """Recipients that ended without a delivery, from the events of every shard."""

    def __init__(self, node):
        self.node, self.recipients, self.stopping, self.call = node, set(), False, None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        cursor, types = "0", [events_pb2.Event.TYPE_BOUNCED, events_pb2.Event.TYPE_EXPIRED]
        while not self.stopping:
            api = Api(self.node.grpc)
            try:
                self.call = api.mail.WatchEvents(mail_pb2.WatchEventsRequest(cursor=cursor, types=types), timeout=5)
                for response in self.call:
                    self.recipients.update(response.event.recipients)
                    cursor = response.cursor
            except grpc.RpcError:
                time.sleep(0.05)
            finally:
                api.close()

    def stop(self):
        self.stopping = True
        if self.call:
            self.call.cancel()
        self.thread.join(30)


def settle(load, sinks, bounces, faults=(), window=5, timeout=120):
    """Waits until all that was acknowledged is accounted for, and asserts the sets. Returns counts for the curious.

    faults: times (monotonic) at which something was killed; only a receipt up to `window` seconds before one may be
    followed by a second one.
    """
    promised = {(e.token, r) for e in load.entries.values() if e.result == "acked" for r in e.recipients}

    def receipts():
        """(token, recipient) → times, of all that the sinks took."""
        found = collections.defaultdict(list)
        for mail in (mail for sink in sinks for mail in list(sink.mails)):
            for recipient in mail.recipients:
                found[mail.header("X-Token")[0], recipient].append(mail.time)
        return found

    def missing():
        return {pair for pair in promised if pair[1] not in bounces.recipients} - set(receipts())

    wait_for(lambda: not missing(), timeout, lambda: f"{len(missing())} of {len(promised)} lost: {list(missing())[:5]}")
    got = receipts()
    refused = {e.token for e in load.entries.values() if e.result == "refused"}
    ghosts = [pair for pair in got if pair[0] in refused]
    offered = {(e.token, r) for e in load.entries.values() for r in e.recipients}
    unexpected = [pair for pair in got if pair not in offered]
    bodies = {(mail.header("X-Token")[0], hashlib.sha256(mail.body).hexdigest())
              for sink in sinks for mail in sink.mails}
    corrupt = [token for token, sha256 in bodies if token in load.entries and load.entries[token].sha256 != sha256]
    assert not ghosts, [(load.entries[pair[0]], got[pair]) for pair in ghosts[:5]]
    assert not unexpected, unexpected[:5]
    assert not corrupt, corrupt[:5]
    twice = {pair: times for pair, times in got.items() if len(times) > 1}
    unexplained = {pair: times for pair, times in twice.items()
                   if not any(min(times) - 0.5 <= fault <= min(times) + window for fault in faults)}
    assert not unexplained, (unexplained, list(faults))
    known = {e.token for e in load.entries.values() if e.result == "unknown"}
    return {"acked": load.acked(), "recovered": len({pair[0] for pair in got} & known), "duplicates": len(twice)}
