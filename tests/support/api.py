"""The gRPC API from Python, with stubs made from the .proto files at first use."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

# A channel on which no call is under way learns only so often that it is connected again. gRPC's own 5 s are the whole life
# of a node that is killed over and over.
os.environ.setdefault("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "50")

import grpc  # noqa: E402

from support.wait import wait_for  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _load():
    """Compiles the public protos once a run, into a folder that goes with it."""
    out = tempfile.TemporaryDirectory(prefix="hikyaku-protos-")
    protos = sorted(str(p.relative_to(ROOT / "proto")) for folder in ("hikyaku/v1", "google/rpc")
                    for p in (ROOT / "proto" / folder).glob("*.proto"))
    subprocess.run(["protoc", f"-I{ROOT / 'proto'}", f"--python_out={out.name}", f"--grpc_python_out={out.name}",
                    "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin", *protos], check=True)
    # Debian's googleapis package may bring a package google.rpc of its own; ours are the same messages.
    import google
    google.__path__.append(f"{out.name}/google")
    sys.path.insert(0, out.name)
    return out


_folder = _load()

from hikyaku.v1 import admin_pb2, admin_pb2_grpc, events_pb2, mail_pb2, mail_pb2_grpc  # noqa: E402

TERMINAL = {events_pb2.RECIPIENT_STATE_DELIVERED, events_pb2.RECIPIENT_STATE_BOUNCED,
            events_pb2.RECIPIENT_STATE_EXPIRED, events_pb2.RECIPIENT_STATE_CANCELLED,
            events_pb2.RECIPIENT_STATE_SUPPRESSED}


def request(sender="alice@ours.test", to=("bob@ok.test",), subject="Hello", text="Hi.\n", **fields):
    """A SendMailRequest of the usual kind; `fields` go beside its content."""
    content = mail_pb2.Content(subject=subject, text=text)
    content.to.extend(mail_pb2.Mailbox(address=address) for address in to)
    getattr(content, "from").address = sender
    return mail_pb2.SendMailRequest(content=content, **fields)


def field_errors(error):
    """The field paths of a status's BadRequest."""
    from google.rpc import error_details_pb2, status_pb2
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        for detail in status_pb2.Status.FromString(value).details:
            bad = error_details_pb2.BadRequest()
            if detail.Unpack(bad):
                return [violation.field for violation in bad.field_violations]
    return []


def retry_after(error):
    """Seconds of a status's RetryInfo."""
    from google.rpc import error_details_pb2, status_pb2
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.RetryInfo()
                if detail.Unpack(info):
                    return info.retry_delay.seconds + info.retry_delay.nanos / 1e9
    return None


class Api:
    """Both services of one node."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address, options=[
            ("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500),
            ("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)])
        self.mail = mail_pb2_grpc.MailServiceStub(self.channel)
        self.admin = admin_pb2_grpc.AdminServiceStub(self.channel)

    def close(self):
        self.channel.close()

    def send(self, message=None, timeout=30, **fields):
        return self.mail.SendMail(message or request(**fields), timeout=timeout)

    def get(self, message_id):
        return self.mail.GetMessage(mail_pb2.GetMessageRequest(message_id=message_id), timeout=10)

    def events(self, message_id, kind=None):
        """The message's events, of one type ("DELIVERED") or all."""
        try:
            found = self.get(message_id).events
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return []
            raise
        return [e for e in found if kind is None or e.type == events_pb2.Event.Type.Value("TYPE_" + kind)]

    def wait_event(self, message_id, kind, count=1, timeout=30):
        """The first `count` events of this type, once they are there."""
        return wait_for(lambda: (lambda found: found if len(found) >= count else None)(self.events(message_id, kind)),
                        timeout, lambda: f"{count} x {kind} of {message_id}: {self.get(message_id)}")

    def states(self, message_id):
        """{recipient: state word} as GetMessage tells."""
        return {r.address: events_pb2.RecipientState.Name(r.state)[len("RECIPIENT_STATE_"):]
                for d in self.get(message_id).deliveries for r in d.recipients}

    def queued(self):
        """Deliveries that wait or are in work, over all shards."""
        answer = retry(lambda: self.admin.ListQueues(admin_pb2.ListQueuesRequest(limit=1000), timeout=10))
        return sum(q.ready + q.leased + q.scheduled for q in answer.queues)

    def wait_empty(self, timeout=60):
        wait_for(lambda: self.queued() == 0, timeout, lambda: f"an empty queue: {self.queued()} wait")

    def check(self):
        """Asserts every invariant of every shard; the shards' counts."""
        answer = retry(lambda: self.admin.CheckQueue(admin_pb2.CheckQueueRequest(), timeout=60))
        problems = [f"{shard.shard}: {problem}" for shard in answer.shards for problem in shard.problems]
        assert not problems and not answer.missing_shards, (problems, answer.missing_shards)
        return answer.shards


def retry(call, timeout=30):
    """Repeats `call` while it says UNAVAILABLE, as a client should."""
    end = time.monotonic() + timeout
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() > end:
                raise
            time.sleep(0.2)
