"""Who may relay: the trusted networks alone, and nobody else by any spelling. BATTERY 2.3, the plain state."""

import shutil
import subprocess

import pytest

from support.post import Post, mail, token
from support.smtp import Client

OURS = "mx.ours.test"
IP = "20.0.0.1"  # The address at which strangers reach the node.
STRANGER = ("20.0.0.50", 0)

SENDERS = {"R01": "<>", "R02": "<s@out.test>", "R03": f"<s@{OURS}>", "R04": f"<s@[{IP}]>", "R06": "<s@localhost>",
           "R07": "<alice@ours.test>"}
RECIPIENTS = {
    "R08": f"<v%out.test@{OURS}>", "R09": f"<v%out.test@[{IP}]>", "R12": f"<v@out.test@{OURS}>",
    "R14": f'<"v@out.test"@{OURS}>', "R16": f"<@{OURS}:v@out.test>", "R17": f"<@[{IP}]:v@out.test>",
    "R19": "<out.test!v>", "R20": f"<out.test!v@{OURS}>", "R22": "<v%out.test>", "R24": "<v@out.test.>",
    "R27": "v@out.test", "R30": "<postmaster>"}


@pytest.fixture(scope="module")
def post(module_stage):
    return Post(module_stage, {"hostname": OURS, "trusted_networks": ["127.0.0.0/8"],
                               "listeners": {"smtp": [{"address": "127.0.0.1:2525"}, {"address": f"{IP}:25"}]}},
                zone={OURS: {"MX": [(10, "mx.ok.test")]}, "ours.test": {"MX": [(10, "mx.ok.test")]}})


@pytest.fixture(autouse=True)
def still_alive(post):
    yield
    post.alive()


def stranger():
    client = Client((IP, 25), source=STRANGER)
    client.hello("stranger.test")
    return client


def try_to_relay(client, sender, recipient):
    assert client.command(f"MAIL FROM:{sender}")[0] == 250
    code, text = client.command(f"RCPT TO:{recipient}")
    assert (code, text) == (550, "5.7.1 Relaying denied")
    assert client.command("DATA")[0] == 503
    client.send("BDAT 5 LAST\r\nhello")
    assert client.reply()[0] == 503
    assert client.command("RSET")[0] == 250


@pytest.mark.parametrize("sender", SENDERS.values(), ids=SENDERS.keys())
def test_senders_do_not_open_the_relay(post, sender):
    with stranger() as client, post.nothing_sent():
        try_to_relay(client, sender, "<v@out.test>")


@pytest.mark.parametrize("recipient", RECIPIENTS.values(), ids=RECIPIENTS.keys())
def test_spellings_of_recipients_do_not_open_the_relay(post, recipient):
    with stranger() as client, post.nothing_sent():
        try_to_relay(client, f"<s@[{IP}]>", recipient)


@pytest.mark.parametrize("hello", [f"EHLO {OURS}", "EHLO localhost", "EHLO [127.0.0.1]", f"HELO {OURS}"])
def test_hello_names_do_not_open_the_relay(post, hello):
    with Client((IP, 25), source=STRANGER) as client, post.nothing_sent():
        assert client.command(hello)[0] == 250
        try_to_relay(client, "<alice@ours.test>", "<v@out.test>")


def test_a_stranger_is_told_the_same_for_every_recipient(post):
    with stranger() as client, post.nothing_sent():
        assert client.command("MAIL FROM:<s@out.test>")[0] == 250
        replies = {client.command(f"RCPT TO:<{r}>") for r in ("alice@ours.test", "nobody@ours.test", "v@out.test",
                                                              f"postmaster@{OURS}", "v@[127.0.0.1]", "@", "")}
        assert replies == {(550, "5.7.1 Relaying denied")}


def test_a_stranger_cannot_try_for_ever(post):
    with stranger() as client, post.nothing_sent():
        assert client.command("MAIL FROM:<s@out.test>")[0] == 250
        codes = [client.command("RCPT TO:<v@out.test>")[0] for _ in range(99)]
        assert codes[-1] == 421 and set(codes[:-1]) == {550}
        assert client.closed()


def test_pipelined_commands_do_not_open_the_relay(post):
    with stranger() as client, post.nothing_sent():
        client.send(b"MAIL FROM:<s@out.test>\r\nRCPT TO:<v@out.test>\r\nDATA\r\n" + mail("relay") + b".\r\n")
        assert [client.reply()[0] for _ in range(3)] == [250, 550, 503]


def test_the_trusted_side_may_relay_and_the_other_listener_too(post):
    """Trust goes by the client's address, not by the listener."""
    word = token()
    with Client((IP, 25), source=("127.0.0.1", 0)) as client:
        client.hello()
        client.envelope("alice@ours.test", "v@out.test")
        assert client.message(mail(word))[0] == 250
    post.wait_mail(word)


@pytest.mark.parametrize("recipient,delivered_to", [
    # R31: to a client that may relay, each goes to the domain that is written last, with its local part as it is.
    (f"<v%out.test@{OURS}>", f"v%out.test@{OURS}"), (f'<"v@out.test"@{OURS}>', f'"v@out.test"@{OURS}'),
    (f"<out.test!v@{OURS}>", f"out.test!v@{OURS}"), (f"<V%a%b@OUT.test>", "V%a%b@out.test")])
def test_r31_percent_and_bang_never_route(post, recipient, delivered_to):
    word = token()
    with post.client() as client:
        assert client.command(f"MAIL FROM:<s@{OURS}>")[0] == 250
        assert client.command(f"RCPT TO:{recipient}")[0] == 250
        assert client.message(mail(word))[0] == 250
    assert post.wait_mail(word).recipients == [delivered_to]


@pytest.mark.parametrize("recipient,code", [
    (f"<v@out.test@{OURS}>", 501), (f"<@{OURS}:v@out.test>", 501), (f"<@[{IP}]:v@out.test>", 501),
    (f"<v%out.test@[{IP}]>", 550), ("<out.test!v>", 501), ("<v%out.test>", 501), ("<v@out.test.>", 501),
    ("v@out.test", 501), ("<postmaster>", 550)])
def test_r31_other_spellings_are_refused_to_those_who_may_relay_too(post, recipient, code):
    with post.client() as client, post.nothing_sent():
        assert client.command(f"MAIL FROM:<s@{OURS}>")[0] == 250
        assert client.command(f"RCPT TO:{recipient}")[0] == code


def test_nmap_finds_no_open_relay(post):
    """Its sixteen tests, from an address that is not trusted."""
    assert shutil.which("nmap")
    with post.nothing_sent():
        run = subprocess.run(
            ["nmap", "-Pn", "-n", "-p", "25", "--script", "smtp-open-relay", "--script-args",
             f"smtp-open-relay.domain=out.test,smtp-open-relay.ip={IP},smtp-open-relay.to=v,smtp-open-relay.from=s", IP],
            capture_output=True, text=True, timeout=180)
    assert "Server doesn't seem to be an open relay, all tests failed" in run.stdout, run.stdout + run.stderr
