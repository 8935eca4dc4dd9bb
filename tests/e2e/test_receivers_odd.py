"""Receivers and DNS servers that are odd, each in a way that has cost mail: long answers, few recipients at once, half answers."""

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from support.api import request
from support.certificates import Identity
from support.world import World

ONE = "20.0.0.41"
DATA_ONLY = ("8BITMIME", "ENHANCEDSTATUSCODES")

pytestmark = pytest.mark.usefixtures("books_add_up")


@pytest.fixture(scope="module")
def authority(module_stage):
    return Identity(module_stage.folder / "pki", "authority", authority=True)


@pytest.fixture(scope="module")
def world(module_stage, authority):
    # No retry comes to the rescue within a test.
    return World(module_stage, {
        "dns": {"timeout": "3s"}, "queue": {"retry": {"min": "1h", "max": "2h"}},
        "delivery": {"tls": {"ca_file": str(authority.files[0])},
                     "routes": [{"domain": "*", "tenant": "strict", "tls": {"policy": "verify"}}]}})


# Answers that are longer than they may be: the code counts, the text is cut.

LONG = {"a line of 100 kB": lambda code: f"{code} {'x' * 100_000}",
        "3000 lines": lambda code: "".join(f"{code}-line {i}\r\n" for i in range(3000)) + f"{code} end"}


@pytest.mark.parametrize("how", LONG)
def test_a_mail_that_was_taken_at_length_is_not_sent_again(world, stage, how):
    sink = stage.sink(ONE, script=lambda at, *_: LONG[how]("250") if at == "dot" else None)
    outcome = world.delivered(world.send(f"r@{world.domain((10, ONE))}")).outcome
    assert outcome.smtp_code == 250 and len(outcome.text) <= 1024
    assert len(sink.mails) == 1


@pytest.mark.parametrize("how", LONG)
@pytest.mark.parametrize("at", ["MAIL", "RCPT", "dot"])
def test_a_refusal_at_length_is_one(world, stage, at, how):
    stage.sink(ONE, script=lambda stage_, *_: LONG[how]("550") if stage_ == at else None)
    outcome = world.bounced(world.send(f"r@{world.domain((10, ONE))}")).outcome
    assert outcome.smtp_code == 550 and len(outcome.text) <= 1024


# Hosts that take only some recipients at once (RFC 5321 §4.5.3.1.10).

class FewAtOnce:
    """452 from the fourth recipient of a transaction on; `never` is not taken at all."""

    def __init__(self, never=()):
        self.never = never

    def __call__(self, at, argument, session):
        if at != "RCPT":
            return None
        if argument.partition("@")[0] in self.never or len(session.recipients) >= 3:
            return "452 4.5.3 too many recipients"
        return None


@pytest.mark.parametrize("extensions", [None, DATA_ONLY], ids=["everything in one write", "step by step"])
def test_recipients_that_are_too_many_at_once_follow_at_once(world, stage, extensions):
    sink = stage.sink(ONE, script=FewAtOnce(), **({"extensions": extensions} if extensions else {}))
    domain = world.domain((10, ONE))
    recipients = [f"r{i}@{domain}" for i in range(10)]
    events = world.api.wait_event(world.send(*recipients), "DELIVERED", 4)
    assert sorted(r for event in events for r in event.recipients) == recipients
    assert {event.attempts for event in events} == {1}
    assert [len(mail.recipients) for mail in sink.mails] == [3, 3, 3, 1]
    assert sorted(sink.recipients()) == recipients and sink.connections == 1


def test_who_is_always_too_many_waits(world, stage):
    sink = stage.sink(ONE, script=FewAtOnce(never=("r1", "r5")))
    domain = world.domain((10, ONE))
    message_id = world.send(*(f"r{i}@{domain}" for i in range(8)))
    deferred = world.deferred(message_id)
    assert sorted(deferred.recipients) == [f"r1@{domain}", f"r5@{domain}"] and deferred.outcome.smtp_code == 452
    assert sorted(sink.recipients()) == sorted(f"r{i}@{domain}" for i in (0, 2, 3, 4, 6, 7))
    assert sum(line.startswith("MAIL") for _, line in sink.commands) == 3, "the last one brought nothing"


# DNS answers that do not say that there is nothing: no bounce.

def record(name, kind, *values):
    return dns.rrset.from_text(f"{name}.", 5, "IN", kind, *values)


def aliases(domain, count, *records):
    """`domain` leads over `count` aliases to these records."""
    names = [domain, *(f"l{i}.{domain}" for i in range(1, count + 1))]
    return [record(name, "CNAME", f"{target}.") for name, target in zip(names, names[1:])] + [
        record(names[-1], kind, value) for kind, value in records]


def reply(query, answer=(), authority=(), flags=0):
    made = dns.message.make_response(query, recursion_available=True)
    made.flags |= flags
    made.answer.extend(answer)
    made.authority.extend(authority)
    return made.to_wire()


@pytest.fixture
def says(world):
    """says(domain, function of the query → wire): what the server answers for every type of this name."""
    usual, special = world.dns.answer, {}

    def answer(data, transport):
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        return special[name](query) if name in special else usual(data, transport)
    world.dns.answer = answer
    yield special.__setitem__
    world.dns.answer = usual


HALF = {
    "loop": lambda d: lambda q: reply(q, [record(d, "CNAME", f"x.{d}."), record(f"x.{d}", "CNAME", f"{d}.")]),
    "its own alias": lambda d: lambda q: reply(q, [record(d, "CNAME", f"{d}.")]),
    "too many aliases": lambda d: lambda q: reply(q, aliases(d, 17)),
    "referral": lambda d: lambda q: reply(q, authority=[record("test", "NS", "ns.test.")]),
    "alias that ends in a referral": lambda d: lambda q: reply(q, aliases(d, 1), [record("test", "NS", "ns.test.")]),
    "cut over TCP too": lambda d: lambda q: reply(q, flags=dns.flags.TC),
}


@pytest.mark.parametrize("what", HALF)
def test_half_an_answer_is_waited_out(world, says, what):
    domain = f"half{next(world.serial)}.test"
    says(domain, HALF[what](domain))
    event = world.deferred(world.send(f"r@{domain}"))
    assert event.outcome.enhanced_code == "4.4.3", event.outcome


def test_sixteen_aliases_lead_to_the_mail_host(world, stage, says):
    sink = stage.sink(ONE)
    domain, host = f"far{next(world.serial)}.test", f"mx{next(world.serial)}.test"
    world.dns.zone[host] = {"A": [ONE]}
    says(domain, lambda q: reply(q, aliases(domain, 16, ("MX", f"10 {host}."))))
    world.delivered(world.send(f"r@{domain}"))
    assert sink.recipients() == [f"r@{domain}"]


def test_servers_beside_the_soa_say_that_there_is_nothing(world, says):
    domain = f"none{next(world.serial)}.test"
    says(domain, lambda q: reply(q, authority=[record("test", "SOA", "ns.test. a.test. 1 2 3 4 5"),
                                               record("test", "NS", "ns.test.")]))
    assert world.bounced(world.send(f"r@{domain}")).outcome.enhanced_code == "5.1.2"


# Certificates that an authority has issued for the name, and that prove nothing since they could be forged.

WEAK = {"a short key": ("1024 bits", {"key": rsa.generate_private_key(65537, 1024)}),
        "SHA-1": ("by SHA1", {"digest": hashes.SHA1()})}


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("what", WEAK)
def test_a_weak_certificate_proves_nothing(world, stage, authority, tmp_path, what):
    text, options = WEAK[what]
    domain = world.domain((10, ONE))
    sink = stage.sink(ONE, tls=Identity(tmp_path, "mx", [f"mx1.{domain}"], authority, **options).context())
    waits = world.deferred(world.api.send(request(to=[f"r@{domain}"], tenant="strict")).message_id).outcome
    assert waits.enhanced_code == "4.7.5" and text in waits.text, waits
    assert not sink.mails
    tls = world.delivered(world.send(f"r@{domain}")).outcome.tls
    assert tls.version and not tls.verified and text in tls.unverified_reason, tls
