"""LMTP with STARTTLS (RFC 2033, 3207) to real Dovecots, with good certificates and each kind of bad one, under each policy."""

import signal
import time

import pytest

from support.api import request
from support.certificates import Identity
from support.dovecot import Dovecot
from support.post import token
from support.wait import wait_for
from support.world import World

# Each certificate, and what is said of it.
FLAWS = {"good": "", "selfsigned": "self signed", "expired": "expired", "othername": "not for"}
POLICIES = ("opportunistic", "require", "verify")

pytestmark = pytest.mark.usefixtures("books_add_up")


def identity(folder, authority, flaw, host):
    return Identity(folder, host, ["elsewhere.test" if flaw == "othername" else host],
                    None if flaw == "selfsigned" else authority, -1 if flaw == "expired" else 10)


@pytest.fixture(scope="module")
def boxes(module_stage):
    """A Dovecot for each certificate, and one without TLS."""
    folder = module_stage.folder / "pki"
    authority = Identity(folder, "authority", authority=True)
    started = {}
    for number, flaw in enumerate((*FLAWS, "clear"), 61):
        box = Dovecot(f"20.0.0.{number}", {"ann": "a", "bob": "b"})
        if flaw != "clear":
            box.identity = identity(folder, authority, flaw, f"box.{flaw}.test")
        module_stage.add(box, box.stop)
        started[flaw] = box.start()
    return started, authority


@pytest.fixture(scope="module")
def world(module_stage, boxes):
    started, authority = boxes
    routes = [{"domain": f"{flaw}.test", "tenant": policy, "to": f"lmtp:[box.{flaw}.test]:24", "tls": {"policy": policy}}
              for flaw in started for policy in POLICIES]
    socket = f"lmtp:unix:{started['selfsigned'].socket}"
    routes += [{"domain": "socket.test", "to": socket},
               {"domain": "socket.test", "tenant": "require", "to": socket, "tls": {"policy": "require"}}]
    world = World(module_stage, {"queue": {"retry": {"min": "1h", "max": "2h"}},
                                 "delivery": {"tls": {"ca_file": str(authority.files[0])}, "routes": routes}})
    for flaw, box in started.items():
        world.dns.zone[f"box.{flaw}.test"] = {"A": [box.address]}
    return world


def send(world, policy, *recipients):
    word = token()
    return world.api.send(request(subject=word, tenant=policy, to=recipients)).message_id, word


def kept(box, word, user="ann"):
    return any(word.encode() in mail for mail in box.mails(user))


def refused(world, box, message_id, word, code, text):
    """The mail waits for this reason, and the box has seen nothing of it."""
    outcome = world.deferred(message_id).outcome
    assert outcome.enhanced_code == code and text in outcome.text, outcome
    time.sleep(0.2)  # What it had taken would be stored by now.
    assert not kept(box, word)


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("policy", ["opportunistic", "require"])
def test_whoever_it_is_the_mail_is_encrypted_and_marked(world, boxes, policy, flaw):
    box = boxes[0][flaw]
    message_id, word = send(world, policy, f"ann@{flaw}.test")
    outcome = world.delivered(message_id).outcome
    assert outcome.smtp_code == 250 and "Saved" in outcome.text
    assert outcome.tls.version == "TLSv1.3" and outcome.tls.verified == (flaw == "good"), outcome
    assert FLAWS[flaw] in outcome.tls.unverified_reason, outcome
    # Dovecot's own word on it. Its line shows that LMTP went on after TLS with a new LHLO.
    mail, = (mail for mail in box.mails("ann") if word.encode() in mail)
    received = mail[:mail.index(b"for <ann@")]
    assert b"with LMTPS" in received and b"mail.ours.test" in received, received


@pytest.mark.parametrize("flaw", FLAWS)
def test_verify_takes_the_good_one_alone(world, boxes, flaw):
    box = boxes[0][flaw]
    message_id, word = send(world, "verify", f"ann@{flaw}.test")
    if flaw == "good":
        assert world.delivered(message_id).outcome.tls.verified
        assert kept(box, word)
    else:
        refused(world, box, message_id, word, "4.7.5", FLAWS[flaw])


@pytest.mark.parametrize("policy", POLICIES)
def test_without_tls(world, boxes, policy):
    box = boxes[0]["clear"]
    message_id, word = send(world, policy, "ann@clear.test")
    if policy == "opportunistic":
        assert not world.delivered(message_id).outcome.HasField("tls")
        assert kept(box, word)
    else:
        refused(world, box, message_id, word, "4.7.4", f"the policy is {policy} by delivery.routes")


def test_each_recipient_is_judged_after_tls_too(world, boxes):
    message_id, word = send(world, "verify", "bob@good.test", "nobody@good.test", "broken@good.test")
    delivered, bounced, deferred = world.delivered(message_id), world.bounced(message_id), world.deferred(message_id)
    assert list(delivered.recipients) == ["bob@good.test"] and delivered.outcome.tls.verified
    assert list(bounced.recipients) == ["nobody@good.test"] and bounced.outcome.tls.verified
    assert list(deferred.recipients) == ["broken@good.test"] and deferred.outcome.smtp_code // 100 == 4
    assert kept(boxes[0]["good"], word, "bob")


def test_a_socket_has_tls_where_its_row_asks_for_it(world, boxes):
    """By default it goes without: nobody stands in between."""
    for tenant, version in (("default", ""), ("require", "TLSv1.3")):
        message_id, word = send(world, tenant, "ann@socket.test")
        assert world.delivered(message_id).outcome.tls.version == version
        assert kept(boxes[0]["selfsigned"], word)


def test_a_socket_cannot_prove_a_name(world):
    """So a row that asks for it could never deliver: it is refused, and the table stays."""
    before = world.node.config["delivery"]["routes"]
    world.node.write_config({"delivery": {"routes": [*before, {"domain": "x.test", "to": "lmtp:unix:/x", "tls": {"policy": "verify"}}]}})
    world.node.process.signal(signal.SIGHUP)
    wait_for(lambda: "a socket has no name to prove" in world.node.log(), 30, world.node.log)
    world.reload({"delivery": {"routes": before}})
    world.delivered(send(world, "default", "ann@socket.test")[0])
