"""A node that is killed over and over on one data folder, under mixed load, with the books done every few cycles."""

import collections
import itertools
import random
import subprocess
import time

import grpc

from crash import moments
from crash.books import ENDS, FAULTS, Books, Event
from support.api import Api, admin_pb2, mail_pb2, request, retry
from support.disk import LoopDisk
from support.dns import Dnsmasq
from support.load import Load, moods
from support.node import BINARY, Node
from support.smtp import Sink
from support.wait import wait_for

SINKS = ("20.0.0.21", "20.0.0.22")
PLAIN = ("PIPELINING", "8BITMIME", "SIZE 52428800")  # Without CHUNKING.
OPEN = [f"d{i}.test" for i in range(6)]
HOME = "home.test"  # Where the reports to the senders go.
HELD = [f"held{i}.test" for i in range(2)]  # Suspended until the books are done: what waits through many crashes.

# Small buffers, so that logs are cut, flushed and compacted within a cycle; a small window, so that mail is parked.
QUEUE = {"write_buffer": "128KiB", "hot_bodies": "1MiB", "window": 300, "min_free_disk": "8MiB",
         "retry": {"min": "300ms", "max": "1s"}}


class Broken(AssertionError):
    """A promise was broken."""


class Campaign:
    def __init__(self, folder, kind, seed, round_size=20, say=print, env=None):
        self.folder, self.kind, self.round_size, self.say = folder, kind, round_size, say
        self.random = random.Random(seed)
        self.totals, self.missed, self.faults, self.cursor = collections.Counter(), 0, [], "0"
        self.turns = itertools.cycle(moments.KINDS[kind])
        self.moment = next(self.turns)
        self.disk = LoopDisk(folder, 256, 20000) if kind == "c04" else None
        records = {name: {"MX": [(10, f"mx{i % 2}.test")]} for i, name in enumerate(OPEN + HELD)}
        records[HOME] = {"MX": [(10, "mx0.test")]}
        records.update({f"mx{i}.test": {"A": [address]} for i, address in enumerate(SINKS)})
        self.dns = Dnsmasq(folder, records).start()
        self.sinks = [Sink(address, script=self.script(moods()), **options)
                      for address, options in zip(SINKS, ({}, {"extensions": PLAIN}))]
        for sink in self.sinks:
            sink.on_dot = lambda: None
        data = (self.disk.path if self.disk else folder) / "data"
        self.node = Node(folder, {"data_dir": str(data), "queue": QUEUE, "log": {"level": "warn"}}, env=env)
        self.data = data

    def script(self, mood):
        """Recipients of every mood; now and then a receiver hangs up instead of answering the final dot."""
        dice = random.Random(self.random.random())

        def answer(stage, argument, session):
            if stage != "dot":
                return mood(stage, argument, session)
            session.sink.on_dot()
            return "drop" if dice.random() < 0.005 else None
        return answer

    def close(self):
        self.node.kill()
        for sink in self.sinks:
            sink.stop()
        self.dns.stop()
        if self.disk:
            self.disk.stop()

    # Lives and deaths.

    def begin(self, wait=True):
        if self.disk and not self.node_runs():
            self.disk.power_on()
        traced = wait and self.moment is moments.at_a_call
        self.node.wrap = moments.tracer(self) if traced else []
        self.node.start(wait=wait and not traced)

    def node_runs(self):
        return self.node.process is None or self.node.process.running()

    def kill(self, since=None):
        begin = since or time.monotonic()
        if self.disk:
            self.node.process.freeze()  # A machine without power says nothing, whatever its last sync came to.
            self.disk.cut_power()
        self.node.kill()
        self.faults.append((begin, time.monotonic()))

    def run(self, cycles, enough=lambda totals: True):
        """Goes on by rounds, up to three times as many cycles, until there is enough of what chance decides. Raises Broken at the first
        round whose books do not balance."""
        most = 3 * cycles
        for number in range(1, most + 1):
            if self.node.process is None:
                self.open_round(first=True)
            self.totals[self.moment.__name__] += 1
            self.moment(self)
            if self.load.failure:
                raise self.load.failure
            self.moment = next(self.turns)
            if number % self.round_size == 0 or number in (cycles, most):
                self.settle(number)
                if number >= cycles and enough(self.totals):
                    break
                if number < most:
                    self.open_round()
            else:
                self.begin()
        return self.totals

    # Rounds.

    def open_round(self, first=False):
        if first:
            self.node.start()
        with_api(self.node, lambda api: [retry(lambda d=d: api.admin.Suspend(admin_pb2.SuspendRequest(domain=d),
                                                                            timeout=10)) for d in HELD])
        self.load = Load(self.node, OPEN + HELD, smtp=4, grpc=4, doubtful={451}, seed=self.random.random(),
                         sender=f"alice@{HOME}", told=True).start()

    def settle(self, number):
        """The node is dead. Checks what it left, lets all that waits end, and does the books."""
        self.load.stop()
        if self.disk:
            self.disk.power_on()
        self.check_folder()
        self.node.wrap = []
        self.node.start()
        with_api(self.node, self.drain)
        mails = [mail for sink in self.sinks for mail in sink.mails if mail.header("X-Token")]
        reports = [mail for sink in self.sinks for mail in sink.mails if mail.header("Auto-Submitted")]
        counts, found = Books(self.load.entries, mails, self.events, self.faults, reports).audit()
        self.totals.update(counts)
        self.totals["kills"] += len(self.faults)
        self.totals.update({fault: len(examples) for fault, examples in found.items()})
        for sink in self.sinks:
            sink.mails, sink.commands = [], []
        self.faults = []
        self.say(f"{self.kind} {number}: {summary(self.totals)}")
        if found:
            raise Broken("\n".join(f"{fault}: {len(examples)}, e.g. {examples[:3]}" for fault, examples in found.items()))

    def check_folder(self):
        """The invariants of the store as the kill left it, read without changing anything."""
        done = subprocess.run([BINARY, "queue", "check", "--data-dir", self.data], capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise Broken(f"queue check of the dead node's folder: {done.stdout[:2000]}{done.stderr[:2000]}")

    def drain(self, api):
        for domain in HELD:
            retry(lambda: api.admin.Resume(admin_pb2.ResumeRequest(domain=domain), timeout=10))
        api.wait_empty(120)
        marker = retry(lambda: api.send(request(to=[f"marker@{OPEN[0]}"]))).message_id
        self.events = self.read_events(api, marker)
        api.wait_empty(30)
        shard = api.check()[0]
        ended = shard.delivered_total + shard.bounced_total + shard.expired_total + shard.cancelled_total
        if shard.accepted_total != ended or shard.deliveries or shard.bodies:
            raise Broken(f"accepted = delivered + bounced + expired + cancelled + queued does not hold: {shard}")
        count = {word: self.node.metric(f"hikyaku_queue_{word}_recipients_total") or 0
                 for word in ("accepted", *ENDS.values())}
        if count["accepted"] != sum(count[word] for word in ENDS.values()) or count["accepted"] != shard.accepted_total:
            raise Broken(f"/metrics do not add up, or are not those of the store: {count}; {shard}")

    def read_events(self, api, marker):
        """Every event since the last round, up to the delivery of the marker mail."""
        found = []

        def read():
            wanted = mail_pb2.WatchEventsRequest(cursor=self.cursor, types=[Event.TYPE_ACCEPTED, *ENDS])
            stream = api.mail.WatchEvents(wanted, timeout=180)
            for response in stream:
                self.cursor = response.cursor
                if response.event.message_id != marker:
                    found.append(response.event)
                elif response.event.type == Event.TYPE_DELIVERED:
                    stream.cancel()
                    return True
        wait_for(lambda: retry(read), 200, "the events")
        return found


def with_api(node, work):
    api = Api(node.grpc)
    try:
        return work(api)
    except grpc.RpcError as error:
        raise Broken(f"{error.code()}: {error.details()}") from error
    finally:
        api.close()


def summary(totals):
    words = ("kills", "acked", "repeated", "refused", "unknown", "recovered", "promised", "received", "bounced",
             "reported", "duplicates", *FAULTS)
    return ", ".join(f"{word} {totals[word]}" for word in words)
