"""The operator's routes through the real binary: kinds of next hop, who takes which, sources, logins; issue 4 §3."""

import pathlib

import pytest

from support.api import request
from support.dovecot import Dovecot
from support.post import mail, token
from support.smtp import Client
from support.world import World

BOX, RELAY, OTHER = "20.0.0.31", "20.0.0.32", "20.0.0.33"

pytestmark = pytest.mark.usefixtures("books_add_up")


@pytest.fixture(scope="module")
def dovecot(module_stage):
    server = Dovecot(BOX, {"ann": "a", "bob": "b"})
    module_stage.add(server, server.stop)
    return server.start()


@pytest.fixture(scope="module")
def world(module_stage, dovecot):
    return World(module_stage, {"delivery": {
        "maildir_root": str(module_stage.folder / "capture"),
        "routes": [
            {"domain": "tcp.test", "to": f"lmtp:[{BOX}]:24"},
            {"domain": "socket.test", "to": f"lmtp:unix:{dovecot.socket}"},
            {"domain": "nosocket.test", "to": "lmtp:unix:/nowhere/lmtp"},
            {"domain": "gone.test", "to": "discard:test accounts"},
            {"domain": "capture.test", "to": "maildir:by/domain"},
            {"domain": "no.test", "to": "error:5.1.6 has moved"},
            {"domain": "nosender.test", "sender_domain": "bad.test", "to": "reject:not from you"},
            {"domain": "*", "to": f"[{OTHER}]"},
            {"sender_domain": ".news.test", "to": "maildir:by/sender"},
            {"tenant": "shop", "to": "maildir:by/tenant"},
            {"tenant": "shop", "stream": "bulk", "to": "maildir:by/stream"},
        ]}})


@pytest.fixture(scope="module")
def other(module_stage):
    """Where "*" leads."""
    return module_stage.sink(OTHER)


def captured(world, folder):
    return [f.read_bytes() for f in sorted((pathlib.Path(world.node.config["delivery"]["maildir_root"]) / folder).glob("new/*"))]


# LMTP.

@pytest.mark.parametrize("domain", ["tcp.test", "socket.test"])
def test_lmtp_to_dovecot(world, dovecot, domain):
    word = token()
    before = len(dovecot.mails("ann"))
    event = world.delivered(world.send(f"ann@{domain}"))
    assert event.outcome.remote_host == (f"[{BOX}]:24" if domain == "tcp.test" else f"unix:{dovecot.socket}")
    assert event.outcome.smtp_code == 250 and "Saved" in event.outcome.text
    with Client(world.node.smtp) as client:
        client.hello()
        client.envelope("alice@ours.test", f"ann@{domain}")
        assert client.message(mail(word))[0] == 250
    mails = dovecot.wait_mails("ann", before + 2)
    assert any(word.encode() in m for m in mails)


def test_lmtp_judges_each_recipient_by_itself(world, dovecot):
    """One of them exists, one does not, and one's mailbox cannot be written: known only after the end of the mail."""
    message_id = world.send("bob@tcp.test", "nobody@tcp.test", "broken@tcp.test")
    delivered, bounced = world.delivered(message_id), world.bounced(message_id)
    deferred = world.deferred(message_id)
    assert list(delivered.recipients) == ["bob@tcp.test"]
    assert list(bounced.recipients) == ["nobody@tcp.test"] and bounced.outcome.smtp_code == 550
    assert list(deferred.recipients) == ["broken@tcp.test"] and deferred.outcome.smtp_code // 100 == 4
    assert len(dovecot.mails("bob")) == 1


def test_lmtp_socket_that_is_not_there(world):
    outcome = world.deferred(world.send("ann@nosocket.test")).outcome
    assert outcome.enhanced_code == "4.4.1" and outcome.remote_host == "unix:/nowhere/lmtp"
    assert "No such file" in outcome.text


# Routes that end here.

def test_discard(world):
    event = world.delivered(world.send("x@gone.test"))
    assert (event.outcome.enhanced_code, event.outcome.text) == ("2.0.0", "test accounts")


def test_maildir_keeps_the_envelope_and_every_byte(world):
    message_id = world.send("x@capture.test", "y@capture.test", text="Grüße.\n")
    assert len(world.delivered(message_id).recipients) == 2
    [text] = captured(world, "by/domain")
    head = (b"Return-Path: <alice@ours.test>\r\nX-Envelope-From: <alice@ours.test>\r\nX-Envelope-To: <x@capture.test>\r\n"
            b"X-Envelope-To: <y@capture.test>\r\nX-Hikyaku-Id: " + message_id.encode() + b"\r\n")
    assert text.startswith(head)
    assert b"\r\nMessage-ID: " in text


def test_reject_at_rcpt_by_smtp(world):
    with Client(world.node.smtp) as client:
        client.hello()
        assert client.command("MAIL FROM:<alice@ours.test>")[0] == 250
        assert client.command("RCPT TO:<x@no.test>") == (550, "5.1.6 has moved")
        assert client.command("RCPT TO:<x@gone.test>")[0] == 250


def test_reject_by_grpc(world):
    answer = world.api.send(request(to=["x@no.test", "y@gone.test"]))
    refused = [r for r in answer.recipients if not r.accepted]
    assert [r.address for r in refused] == ["x@no.test"] and "has moved" in str(refused[0])


def test_reject_that_depends_on_the_sender_bounces(world, other):
    event = world.bounced(world.api.send(request(sender="a@bad.test", to=["x@nosender.test"])).message_id)
    assert (event.outcome.enhanced_code, event.outcome.text) == ("5.7.1", "not from you")
    world.delivered(world.api.send(request(sender="a@good.test", to=["x@nosender.test"])).message_id)
    assert "x@nosender.test" in other.recipients()


# Who takes which.

def test_by_sender_tenant_and_stream(world, other):
    before = len(other.mails)
    sends = [(dict(), None), (dict(sender="a@x.news.test"), "by/sender"), (dict(tenant="shop"), "by/tenant"),
             (dict(tenant="shop", sender="a@x.news.test"), "by/tenant"), (dict(tenant="shop", stream="bulk"), "by/stream"),
             (dict(tenant="other", stream="bulk"), None)]
    for fields, folder in sends:
        word = token()
        event = world.delivered(world.api.send(request(to=["x@any.test"], subject=word, **fields)).message_id)
        if folder is None:
            assert event.outcome.remote_host == f"[{OTHER}]:25"
        else:
            assert any(word.encode() in m for m in captured(world, folder)), (fields, event)
    assert len(other.mails) == before + 2


def test_a_reload_changes_the_table(world):
    routes = world.node.config["delivery"]["routes"]
    world.reload({"delivery": {"routes": [{"domain": "turn.test", "to": "discard:first"}, *routes]}})
    assert world.delivered(world.send("x@turn.test")).outcome.text == "first"
    world.reload({"delivery": {"routes": [{"domain": "turn.test", "to": "reject:second"}, *routes]}})
    answer = world.api.send(request(to=["x@turn.test", "y@gone.test"]))
    assert [r.address for r in answer.recipients if not r.accepted] == ["x@turn.test"]
    world.reload({"delivery": {"routes": routes}})
