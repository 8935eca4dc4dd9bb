"""A node whose DNS zone grows by a fresh domain for each scenario, so that no cached answer belongs to another one."""

import itertools
import signal

import grpc

from support.api import admin_pb2, mail_pb2, request
from support.wait import wait_for

DEAD = "20.0.0.60"  # Nobody ever listens here: connections are refused.


def answers(script, stage="RCPT"):
    """A Sink's script by local part. A list is used up, one answer a try; its last one stays."""
    left = {word: list(given) if isinstance(given, list) else [given] for word, given in script.items()}

    def reply(at, argument, session):
        if at != stage:
            return None
        given = left.get(argument.partition("@")[0])
        if not given:
            return None
        return given.pop(0) if len(given) > 1 else given[0]
    return reply


def in_turn(*given, stage):
    """A Sink's script: these answers at this stage, one after the other, and then the usual ones."""
    left = list(given)
    return lambda at, argument, session: left.pop(0) if at == stage and left else None


class World:
    def __init__(self, stage, config=None, node=None, dns=None):
        self.serial = itertools.count(1)
        self.dns = dns or stage.dns()
        self.node = node or stage.node(config)
        self.api = stage.api(self.node)

    def domain(self, *hosts, word="d"):
        """The name of a fresh domain with an MX for each (preference, address or list of addresses)."""
        name = f"{word}{next(self.serial)}.test"
        records = []
        for number, (preference, addresses) in enumerate(hosts, 1):
            host = f"mx{number}.{name}"
            self.dns.zone[host] = self.addresses(*([addresses] if isinstance(addresses, str) else addresses))
            records.append((preference, host))
        self.dns.zone[name] = {"MX": records}
        return name

    def lead_to(self, receivers):
        """DNS for the domain of each receiver (support.receivers)."""
        for receiver in receivers:
            self.dns.zone[receiver.domain] = {"MX": [(10, f"mx.{receiver.domain}")]}
            self.dns.zone[f"mx.{receiver.domain}"] = {"A": [receiver.address]}

    @staticmethod
    def addresses(*addresses):
        """A zone's entry with these addresses, of either family."""
        return {"A": [a for a in addresses if ":" not in a], "AAAA": [a for a in addresses if ":" in a]}

    def send(self, *recipients, **fields):
        """A mail by gRPC; its id."""
        return self.api.send(request(to=recipients, **fields)).message_id

    def send_all(self, requests, timeout=120):
        """Many mails over one stream, each of which must be accepted; their ids in order."""
        items = (mail_pb2.SendMailStreamRequest(tag=i, request=r) for i, r in enumerate(requests))
        ids = {}
        for answer in self.api.mail.SendMailStream(items, timeout=timeout):
            assert answer.HasField("response"), answer
            ids[answer.tag] = answer.response.message_id
        return [ids[tag] for tag in sorted(ids)]

    def delivered(self, message_id, timeout=60):
        """The one DELIVERED event of a message."""
        return self.one(message_id, "DELIVERED", timeout)

    def bounced(self, message_id, timeout=60):
        return self.one(message_id, "BOUNCED", timeout)

    def deferred(self, message_id, timeout=60):
        """The first DEFERRED event of a message."""
        return self.api.wait_event(message_id, "DEFERRED", timeout=timeout)[0]

    def one(self, message_id, kind, timeout):
        found = self.api.wait_event(message_id, kind, timeout=timeout)
        assert len(found) == 1, found
        return found[0]

    def queues(self):
        return self.api.admin.ListQueues(admin_pb2.ListQueuesRequest(limit=1000), timeout=10).queues

    def purge(self):
        """Ends whatever waits, so that the next test starts with an empty queue."""
        def empty():
            for queue in self.queues():
                if queue.suspended:
                    self.api.admin.Resume(admin_pb2.ResumeRequest(domain=queue.domain), timeout=10)
                if queue.ready + queue.leased + queue.scheduled:
                    self.api.admin.Purge(admin_pb2.PurgeRequest(domain=queue.domain), timeout=30)
            return self.api.queued() == 0
        wait_for(empty, 60, lambda: f"an empty queue: {self.queues()}")

    def reload(self, changes):
        """Changes the configuration by SIGHUP, and waits until the node has taken it over."""
        before = self.node.log().count('"event":"reloaded"')
        self.node.write_config(changes)
        self.node.process.signal(signal.SIGHUP)
        wait_for(lambda: self.node.log().count('"event":"reloaded"') > before, 30,
                 lambda: f"a reload\n{self.node.process.tail()}")


def code_of(call):
    """The status code that a call ends with; OK where it does not fail."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK
