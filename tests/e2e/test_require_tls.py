"""What senders ask of TLS (RFC 8689): REQUIRETLS to hosts that prove themselves and promise it, and TLS-Required: No."""

import subprocess

import pytest

from support.api import mail_pb2
from support.certificates import Identity
from support.node import BINARY
from support.post import mail, token
from support.smtp import Client
from support.wait import wait_for
from support.world import World, code_of

# Each is a domain without MX records, and its own host: a name that no forged MX record can have given.
HOSTS = {"promise": "20.0.0.51", "silent": "20.0.0.52", "selfsigned": "20.0.0.53", "clear": "20.0.0.54", "home": "20.0.0.55"}
USUAL = ("PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "SIZE 52428800")
PROMISE = USUAL + ("REQUIRETLS",)


class Hosts:
    def __init__(self, stage):
        self.authority = Identity(stage.folder / "tls", "authority", authority=True, days=100)

        def identity(kind, issuer=self.authority):
            return Identity(stage.folder / "tls", kind, [f"{kind}.test"], issuer=issuer).context()
        self.sinks = {
            "promise": stage.sink(HOSTS["promise"], tls=identity("promise"), extensions=PROMISE),
            "silent": stage.sink(HOSTS["silent"], tls=identity("silent"), extensions=USUAL),
            "selfsigned": stage.sink(HOSTS["selfsigned"], tls=identity("selfsigned", issuer=None), extensions=PROMISE),
            "clear": stage.sink(HOSTS["clear"], extensions=PROMISE),
            "home": stage.sink(HOSTS["home"], extensions=USUAL),
        }


@pytest.fixture(scope="module")
def hosts(module_stage):
    return Hosts(module_stage)


@pytest.fixture(scope="module")
def world(module_stage, hosts):
    world = World(module_stage, {"delivery": {
        "tls": {"ca_file": str(hosts.authority.files[0])},
        "routes": [{"domain": "strict.test", "to": "[clear.test]:25", "tls": {"policy": "require"}}]}})
    world.dns.zone.update({f"{kind}.test": {"A": [address]} for kind, address in HOSTS.items()})
    world.dns.zone["mx.test"] = {"MX": [(10, "promise.test")]}
    return world


@pytest.fixture(autouse=True)
def empty(world):
    yield
    world.purge()


def mails_said(sink, seen=0):
    return [line for _, line in sink.commands[seen:] if line.startswith("MAIL")]


def test_requiretls_is_said_to_a_host_that_proves_itself_and_promises_it(world, hosts):
    sink = hosts.sinks["promise"]
    outcome = world.delivered(world.send("bob@promise.test", require_tls=True)).outcome
    assert outcome.tls.verified and outcome.tls.policy == "verify by require_tls of the mail"
    assert " REQUIRETLS" in mails_said(sink)[-1] and sink.mails[-1].tls == "TLSv1.3"
    world.delivered(world.send("bob@promise.test"))
    assert "REQUIRETLS" not in mails_said(sink)[-1]


def test_it_bounces_where_no_host_promises_it(world, hosts):
    """§4.2.1: nothing is to be waited for. The report (§5) returns the header alone and is not lost for want of TLS."""
    before = len(hosts.sinks["home"].mails)
    word = token()
    bounced = world.bounced(world.send(
        "bob@silent.test", sender="alice@home.test", subject=word, text="a secret\n", require_tls=True,
        dsn=mail_pb2.DsnOptions(notify_failure=True)))
    assert bounced.outcome.enhanced_code == "5.7.30" and "no mail host of silent.test" in bounced.outcome.text
    assert not mails_said(hosts.sinks["silent"]) and not hosts.sinks["silent"].mails
    wait_for(lambda: len(hosts.sinks["home"].mails) > before, what="the report")
    report = hosts.sinks["home"].mails[-1].data
    assert b"Status: 5.7.30" in report and word.encode() in report and b"a secret" not in report
    assert "REQUIRETLS" not in mails_said(hosts.sinks["home"])[-1]


@pytest.mark.parametrize("recipient,kind,code,words", [
    ("bob@selfsigned.test", "selfsigned", "4.7.5", "self signed certificate"),
    ("bob@clear.test", "clear", "4.7.4", "does not offer TLS"),
    ("bob@mx.test", "promise", "4.7.10", "neither by DNSSEC nor by an MTA-STS policy"),
])
def test_it_waits_for_proof(world, hosts, recipient, kind, code, words):
    sink = hosts.sinks[kind]
    seen = len(sink.commands)
    outcome = world.deferred(world.send(recipient, require_tls=True)).outcome
    assert outcome.enhanced_code == code and words in outcome.text, outcome
    assert not mails_said(sink, seen)


def test_the_command_line_asks_for_it(world, hosts):
    done = subprocess.run([BINARY, "send", "--server", world.node.grpc, "--from", "alice@ours.test", "--to",
                           "bob@promise.test", "--text", "x", "--require-tls", "--wait"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    assert " REQUIRETLS" in mails_said(hosts.sinks["promise"])[-1]


def test_the_same_key_with_and_without_it_is_not_the_same_request(world):
    key = token()
    world.send("bob@promise.test", idempotency_key=key, require_tls=True)
    assert code_of(lambda: world.send("bob@promise.test", idempotency_key=key)).name == "ALREADY_EXISTS"


def test_our_own_listener_has_no_tls_and_does_not_take_it(world):
    with Client(world.node.smtp) as client:
        assert "REQUIRETLS" not in str(client.command("EHLO c.test"))
        assert client.command("MAIL FROM:<alice@ours.test> REQUIRETLS")[0] == 555


@pytest.mark.parametrize("door", ["smtp", "raw", "content"])
def test_tls_required_no(world, hosts, door):
    """§3: seen at every door. What the operator asks for stays: the mail to strict.test waits."""
    sink = hosts.sinks["selfsigned"]
    before = len(sink.mails)
    for recipient in ("bob@selfsigned.test", "bob@strict.test"):
        raw = mail(token(), to=recipient, headers=("TLS-Required: No",))
        if door == "smtp":
            with Client(world.node.smtp) as client:
                client.hello()
                client.envelope("alice@ours.test", recipient)
                message = client.message(raw)[1].split()[-1]
        elif door == "raw":
            message = world.api.send(mail_pb2.SendMailRequest(
                envelope_sender="alice@ours.test", raw=mail_pb2.RawMessage(data=raw, recipients=[recipient]))).message_id
        else:
            request = mail_pb2.SendMailRequest(content=mail_pb2.Content(
                text="x", to=[mail_pb2.Mailbox(address=recipient)],
                headers=[mail_pb2.Header(name="TLS-Required", value="No")], **{"from": mail_pb2.Mailbox(address="a@ours.test")}))
            message = world.api.send(request).message_id
        if recipient == "bob@strict.test":
            assert world.deferred(message).outcome.enhanced_code == "4.7.4"
        else:
            assert world.delivered(message).outcome.tls.policy == "opportunistic by TLS-Required: No of the mail"
    assert len(sink.mails) == before + 1
    assert b"TLS-Required: No" in sink.mails[-1].data
