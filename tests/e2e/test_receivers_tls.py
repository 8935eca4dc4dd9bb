"""TLS to mail servers that others wrote, with good certificates and each kind of bad one: who is believed, and who is not."""

import time

import pytest

from support.api import request
from support.certificates import Identity
from support.post import token
from support.receivers import Exim, Haraka, PostfixTls
from support.wait import wait_for
from support.world import World

KINDS = {"postfix": PostfixTls, "exim": Exim, "haraka": Haraka}
# Each certificate, and what is said of it.
FLAWS = {"good": "", "selfsigned": "self signed", "expired": "expired", "othername": "not for"}

pytestmark = pytest.mark.usefixtures("books_add_up")


def identity(folder, authority, flaw, name):
    """A certificate for the host `name` with this flaw."""
    names, issuer, days = [name], authority, 10
    if flaw == "selfsigned":
        issuer = None
    elif flaw == "expired":
        days = -1
    elif flaw == "othername":
        names = ["elsewhere.test"]
    return Identity(folder, name, names, issuer, days)


@pytest.fixture(scope="module")
def receivers(module_stage):
    """One for each kind and certificate, each at an address and for a domain of its own."""
    folder = module_stage.folder / "pki"
    authority = Identity(folder, "authority", authority=True)
    started = {}
    for number, (name, flaw) in enumerate(((name, flaw) for name in KINDS for flaw in FLAWS), 61):
        receiver = KINDS[name](f"{flaw}.{name}.test", f"20.0.0.{number}")
        receiver.identity = identity(folder, authority, flaw, f"mx.{receiver.domain}")
        module_stage.add(receiver, receiver.stop)
        started[name, flaw] = receiver.start()
    return started, authority


@pytest.fixture(scope="module")
def world(module_stage, receivers):
    started, authority = receivers
    world = World(module_stage, {
        "queue": {"domain_concurrency": 4, "retry": {"min": "1h", "max": "2h"}},
        "delivery": {"tls": {"ca_file": str(authority.files[0])},
                     "routes": [{"domain": "*", "tenant": "strict", "tls": {"policy": "verify"}}]}})
    world.lead_to(started.values())
    return world


def send(world, receiver, tenant="default"):
    word = token()
    message = request(subject=word, to=[f"r@{receiver.domain}"])
    message.tenant = tenant
    return world.api.send(message).message_id, word


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("name", KINDS)
def test_opportunistic_takes_every_certificate_and_says_what_it_is(world, receivers, name, flaw):
    receiver = receivers[0][name, flaw]
    message_id, word = send(world, receiver)
    tls = world.delivered(message_id).outcome.tls
    assert tls.version in ("TLSv1.2", "TLSv1.3") and tls.verified == (flaw == "good"), tls
    assert FLAWS[flaw] in tls.unverified_reason, tls
    wait_for(lambda: any(word.encode() in mail for mail in receiver.mails()), 30, f"the mail at {name}")


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("name", KINDS)
def test_verify_takes_the_good_one_alone(world, receivers, name, flaw):
    receiver = receivers[0][name, flaw]
    message_id, word = send(world, receiver, "strict")
    if flaw == "good":
        assert world.delivered(message_id).outcome.tls.verified
        return
    outcome = world.deferred(message_id).outcome
    assert outcome.enhanced_code == "4.7.5" and FLAWS[flaw] in outcome.text, outcome
    time.sleep(0.2)  # What it had taken would be stored by now.
    assert not any(word.encode() in mail for mail in receiver.mails())
