"""The SMTP listener as a protocol: BATTERY 2.1, without its rows about TLS and AUTH."""

import re
import socket
import time

import pytest

from support.node import Node
from support.post import Post, mail, token
from support.smtp import Client
from support.wait import wait_for

EXTENSIONS = ["PIPELINING", "SIZE 26214400", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES"]

# A second node whose limits are near enough to be reached.
LIMITS = {
    "listeners": {"grpc": [{"address": "127.0.0.1:7125"}], "smtp": [{"address": "0.0.0.0:2625"}],
                  "http": [{"address": "127.0.0.1:8125"}]},
    "limits": {"message_size": "64KiB", "recipients": 120, "connections_per_client": 5},
    "smtp": {"idle_timeout": "2s"},
}


@pytest.fixture(scope="module")
def post(module_stage):
    return Post(module_stage)


@pytest.fixture(scope="module")
def narrow(module_stage, post):
    node = Node(module_stage.folder, LIMITS, name="narrow")
    module_stage.add(node, node.kill)
    return node.start()


@pytest.fixture(autouse=True)
def still_alive(post):
    yield
    post.alive()


@pytest.fixture
def client(post):
    with post.client() as client:
        yield client


def codes(client, lines):
    return [client.command(line)[0] for line in lines]


def test_p01_greets_at_once(post):
    with Client(post.smtp, timeout=5) as client:
        code, text = client.banner
        assert code == 220
        assert text.startswith("mail.ours.test ")
        assert client.command("NOOP")[0] == 250, "one greeting only"


def test_p02_a_command_before_the_greeting(post):
    with Client(post.smtp, banner=False) as client:
        client.send("EHLO x\r\n")
        first = client.reply()[0]
        if first == 220:
            assert client.reply()[0] == 250
            assert client.command("NOOP")[0] == 250
        else:
            assert first in (421, 554)
            assert client.reply()[0] == 0


def test_p03_ehlo_twice_lists_what_is_built(post):
    with Client(post.smtp) as client:
        for _ in range(2):
            text = client.hello("c.test")
            assert text.split("\n") == ["mail.ours.test", *EXTENSIONS]
            assert all(len(line) < 506 for line in text.split("\n"))


@pytest.mark.parametrize("verb", ["HELO", "EHLO", "HELO ", "EHLO  "])
def test_p04_a_hello_without_argument(post, verb):
    with Client(post.smtp) as client:
        assert client.command(verb)[0] == 501
        assert client.command("MAIL FROM:<a@ours.test>")[0] == 503
        assert client.command("HELO c.test") == (250, "mail.ours.test")


@pytest.mark.parametrize("name,code", [
    (b"[127.0.0.1]", 250), (b"[IPv6:::1]", 250), (b"client", 250), (b"a\x00b", 500), (b"a" * 600, 501), (b"<x>", 501),
    (b"a\tb", 501), (b"a b", 501), (b"\xff\xfe", 501), (b'a";x', 501), (b"a(b)c", 501), (b"a_b=c&d", 250)],
    ids=lambda value: repr(value[:9]) if isinstance(value, bytes) else "")
def test_p05_hello_names_never_break_the_received_field(post, name, code):
    word = token()
    with Client(post.smtp) as client:
        assert client.command(b"EHLO " + name)[0] == code
        if code != 250:
            client.hello()
        client.envelope("alice@ours.test", "r@ok.test")
        assert client.message(mail(word))[0] == 250
    received = [value.replace("\t", " ") for value in post.wait_mail(word).header("Received")]
    assert len(received) == 1
    assert received[0].isprintable()
    assert re.match(r"from (\S+) \(\[127\.0\.0\.1\]\)\s+by mail\.ours\.test \(Hikyaku\) with ESMTP id [0-9a-z]{26}\s+"
                    r"for <r@ok\.test>;\s+\w{3}, \d+ \w{3} \d{4} [\d:]{8} [+-]\d{4}$", received[0]), received[0]


@pytest.mark.parametrize("name,lines,last", [
    ("MAIL before EHLO", ["MAIL FROM:<a@ours.test>"], 503),
    ("RCPT before EHLO", ["RCPT TO:<r@ok.test>"], 503),
    ("DATA before EHLO", ["DATA"], 503),
    ("RCPT before MAIL", ["EHLO c", "RCPT TO:<r@ok.test>"], 503),
    ("DATA before MAIL", ["EHLO c", "DATA"], 503),
    ("DATA before RCPT", ["EHLO c", "MAIL FROM:<a@ours.test>", "DATA"], 503),
    ("second MAIL", ["EHLO c", "MAIL FROM:<a@ours.test>", "MAIL FROM:<a@ours.test>"], 503),
    ("RCPT after RSET", ["EHLO c", "MAIL FROM:<a@ours.test>", "RSET", "RCPT TO:<r@ok.test>"], 503),
    ("DATA after RSET", ["EHLO c", "MAIL FROM:<a@ours.test>", "RCPT TO:<r@ok.test>", "RSET", "DATA"], 503),
    ("EHLO ends the transaction", ["EHLO c", "MAIL FROM:<a@ours.test>", "EHLO c", "RCPT TO:<r@ok.test>"], 503),
    ("MAIL after HELO", ["HELO c", "MAIL FROM:<a@ours.test>"], 250)],
    ids=lambda value: value if isinstance(value, str) else "")
def test_p06_commands_out_of_order(post, name, lines, last):
    with Client(post.smtp) as client, post.nothing_sent():
        assert codes(client, lines)[-1] == last
        assert codes(client, lines)[:-1] == [250] * (len(lines) - 1), "a refused command changes nothing"


def test_p07_case_and_blanks_do_not_matter(client):
    assert codes(client, ["mAiL fRoM:<alice@ours.test>", "rcpt To:<r@ok.test>", "NOOP  ", "noop x", "rSeT"]) == [250] * 5


@pytest.mark.parametrize("line,code", [
    ("MAIL FROM:", 501), ("MAIL", 501), ("MAIL TO:<a@b.test>", 501), ("MAIL FROM:<a@b.test", 501),
    ("MAIL FROM:a@b.test", 501), ("MAIL FROM:<a@b.test> FOO=1", 555), ("MAIL FROM:<a@b.test> SIZE=-1", 501),
    ("MAIL FROM:<a@b.test> SIZE=", 501), ("MAIL FROM:<a@b.test> SIZE=99999999999999999999", 501),
    ("MAIL FROM:<a@b.test> SIZE=1 SIZE=2", 501), ("MAIL FROM:<a@b.test> BODY=9BIT", 501),
    ("MAIL FROM:<a@b.test> SMTPUTF8=1", 501), ("MAIL FROM:<a@b.test> RET=ALL", 501),
    ("MAIL FROM:<a@b.test> ENVID=a+0Ab", 501), ("MAIL FROM:<a@b.test> RET=FULL RET=FULL", 501),
    ("MAIL FROM:<a@b.test> AUTH=<>", 555), ("MAIL FROM:<a@b.test>SIZE=1", 501)])
def test_p08_bad_mail_commands(client, line, code):
    assert client.command(line)[0] == code
    client.envelope("alice@ours.test", "r@ok.test")


@pytest.mark.parametrize("line,code", [
    ("RCPT TO:<>", 501), ("RCPT TO:", 501), ("RCPT", 501), ("RCPT FROM:<r@ok.test>", 501), ("RCPT TO:<r@ok.test", 501),
    ("RCPT TO:<r@ok.test> NOTIFY=OFTEN", 501), ("RCPT TO:<r@ok.test> ORCPT=a", 501),
    ("RCPT TO:<r@ok.test> RET=HDRS", 555), ("RCPT TO:<r@>", 501),
    ("RCPT TO:<@ok.test>", 501), ("RCPT TO:<r@ok..test>", 501), ("RCPT TO:<r s@ok.test>", 501)])
def test_p08_bad_rcpt_commands(client, line, code):
    assert client.command("MAIL FROM:<alice@ours.test>")[0] == 250
    assert client.command(line)[0] == code
    assert client.command("RCPT TO:<r@ok.test>")[0] == 250


def test_p09_the_small_commands(client):
    assert client.command("RSET")[0] == 250
    assert client.command("VRFY alice") == client.command("VRFY nobody")
    assert client.command("VRFY alice")[0] == 252
    assert codes(client, ["EXPN l", "HELP", "AUTH PLAIN AGEAYg==", "STARTTLS"]) == [502, 214, 502, 502]
    assert client.command("QUIT")[0] == 221
    assert client.closed(within=5)


def test_p10_too_many_errors_end_the_session(post):
    with Client(post.smtp) as client:
        assert codes(client, ["FOO"] * 20) == [500] * 19 + [421]
        assert client.closed()


def test_p10_refused_recipients_are_not_errors(client):
    assert client.command("MAIL FROM:<alice@ours.test>")[0] == 250
    assert codes(client, ["RCPT TO:<u@[10.0.0.1]>"] * 30) == [550] * 30
    assert client.command("RCPT TO:<r@ok.test>")[0] == 250


def test_o06_commands_that_move_no_mail_have_a_limit(post):
    with Client(post.smtp) as client:
        got = codes(client, ["NOOP"] * 101)
        assert got == [250] * 100 + [421]
        assert client.closed()


@pytest.mark.memory
@pytest.mark.parametrize("octets,code", [(510, 250), (512, 250), (998, 250), (1000, 250), (1001, 500), (2048, 500),
                                         (1 << 20, 500), (10 << 20, 500)])
def test_p12_long_lines_cost_nothing(post, octets, code):
    line = b"NOOP " + b"a" * (octets - 7) + b"\r\n"
    with post.client() as client:
        assert client.command(line)[0] == code  # The first may grow a buffer.
        before = post.node.rss_mib()
        got, text = client.command(line)
        assert got == code
        assert code == 250 or text.startswith("5.5.6 ")
        assert post.node.rss_mib() - before < 1
        assert client.command("NOOP")[0] == 250


def test_p12_a_line_without_end_is_cut_off(post):
    with post.client() as client:
        try:
            for _ in range(20):
                client.send(b"a" * (1 << 20))
        except ConnectionError:
            return
        assert client.reply()[0] == 421


@pytest.mark.parametrize("local,domain,good", [
    (64, None, True), (65, None, False), (1, 252, True), (1, 255, False), (1, 256, False),
    (64, 189, True),    # A path of 256 octets with its brackets.
    (64, 190, False)])  # 257.
def test_p14_lengths_of_paths(client, local, domain, good):
    labels = "ok.test" if domain is None else "".join("." if i % 60 == 50 else "d" for i in range(domain - 5)) + ".test"
    assert domain is None or len(labels) == domain
    path = f"{'l' * local}@{labels}"
    code, text = client.command(f"MAIL FROM:<{path}>")
    assert (code, text[:5]) == ((250, "2.1.0") if good else (501, "5.1.7"))
    client.command("RSET")
    client.command("MAIL FROM:<>")
    code, text = client.command(f"RCPT TO:<{path}>")
    assert (code, text[:5]) == ((250, "2.1.5") if good else (501, "5.1.3"))


def test_p15_recipients_up_to_the_limit(post, narrow):
    word = token()
    with Client(narrow.smtp) as client:
        client.hello()
        client.command("MAIL FROM:<alice@ours.test>")
        replies = [client.command(f"RCPT TO:<r{i}@ok.test>") for i in range(125)]
        assert [code for code, _ in replies] == [250] * 120 + [452] * 5
        assert all(text.startswith("4.5.3 ") for code, text in replies[120:])
        assert client.message(mail(word))[0] == 250
    wait_for(lambda: sum(len(m.recipients) for m in post.mails(word)) >= 120, 60, "120 recipients")
    got = sorted(r for m in post.mails(word) for r in m.recipients)
    assert got == sorted(f"r{i}@ok.test" for i in range(120))


def test_p16_a_pipelined_envelope(client):
    client.send("MAIL FROM:<alice@ours.test>\r\nRCPT TO:<a@ok.test>\r\nRCPT TO:<b@ok.test>\r\nDATA\r\n")
    assert [client.reply()[0] for _ in range(4)] == [250, 250, 250, 354]
    client.send(mail(token()) + b".\r\n")
    assert client.reply()[0] == 250


def test_p16_data_after_only_refused_recipients(post, client):
    with post.nothing_sent():
        client.send("MAIL FROM:<alice@ours.test>\r\nRCPT TO:<a@[10.0.0.1]>\r\nRCPT TO:<b@>\r\nDATA\r\n")
        assert [client.reply()[0] for _ in range(4)] == [250, 550, 501, 503]


def test_p16_a_whole_session_in_one_segment(post):
    words = [token(), token()]
    with Client(post.smtp) as client:
        session = b"EHLO c.test\r\n"
        for word in words:
            session += b"MAIL FROM:<alice@ours.test>\r\nRCPT TO:<r@ok.test>\r\nDATA\r\n" + mail(word) + b".\r\n"
        client.send(session + b"QUIT\r\n")
        assert [client.reply()[0] for _ in range(10)] == [250] + [250, 250, 354, 250] * 2 + [221]
        assert client.closed()
    for word in words:
        post.wait_mail(word)


def test_p18_too_large_by_its_word(narrow):
    with Client(narrow.smtp) as client:
        assert "SIZE 65536" in client.hello().split("\n")
        code, text = client.command("MAIL FROM:<alice@ours.test> SIZE=65537")
        assert (code, text[:6]) == (552, "5.3.4 ")
        assert client.command("MAIL FROM:<alice@ours.test> SIZE=65536")[0] == 250


def test_p18_too_large_by_its_bytes_then_a_normal_one(post, narrow):
    word = token()
    with Client(narrow.smtp) as client:
        client.hello()
        client.envelope("alice@ours.test", "r@ok.test")
        code, text = client.message(mail("large", body="x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 1000))
        assert (code, text[:6]) == (552, "5.3.4 ")
        client.envelope("alice@ours.test", "r@ok.test")
        assert client.message(mail(word))[0] == 250
    post.wait_mail(word)


@pytest.mark.parametrize("line", [b"\x80\x81", b"NO\x00OP", b"MAIL FROM:<\xff@ours.test>", b"NOOP\x7f", b"\x1b[2J",
                                  b"MAIL FROM:<a\rb@ours.test>", b"MAIL FROM:<a\nb@ours.test>", b"", b" NOOP"])
def test_p20_octets_that_are_no_command(client, line):
    code, text = client.command(line)
    assert code in (500, 501)
    assert text.isprintable() and text.isascii()
    assert client.command("NOOP")[0] == 250


def test_p20_a_command_is_ended_by_crlf_alone(post, client):
    with post.nothing_sent():
        client.send("NOOP\nMAIL FROM:<alice@ours.test>\r\n")
        assert client.reply()[0] == 500
        assert client.command("RCPT TO:<r@ok.test>")[0] == 503, "what follows a bare LF was not run"


def test_p23_a_silent_client_is_told_to_go(narrow):
    with Client(narrow.smtp) as client:
        client.hello()
        begin = time.monotonic()
        code, text = client.reply()
        assert (code, text[:6]) == (421, "4.4.2 ")
        assert 1.6 <= time.monotonic() - begin < 6
        assert client.closed()


def test_p23_silence_within_data_drops_the_message(post, narrow):
    with Client(narrow.smtp) as client, post.nothing_sent():
        client.hello()
        client.envelope("alice@ours.test", "r@ok.test")
        assert client.command("DATA")[0] == 354
        client.send(b"From: <a@ours.test>\r\n\r\nhalf a mess")
        assert client.reply()[0] == 421
        assert client.closed()


def test_o02_one_client_may_hold_so_many_connections(narrow):
    held = [Client(narrow.smtp, source=("127.0.0.9", 0)) for _ in range(5)]
    try:
        with Client(narrow.smtp, banner=False, source=("127.0.0.9", 0)) as sixth:
            code, text = sixth.reply()
            assert (code, text[:6]) == (421, "4.7.0 ")
            assert sixth.closed()
        with Client(narrow.smtp, source=("127.0.0.8", 0)) as other:
            assert other.banner[0] == 220, "another address is not concerned"
    finally:
        for client in held:
            client.close()

    def again():
        with Client(narrow.smtp, source=("127.0.0.9", 0)) as client:
            return client.banner[0] == 220
    wait_for(again, 20, "room for the client after it closed its connections")


def test_helo_sessions_send_mail_too(post):
    word = token()
    with Client(post.smtp) as client:
        assert client.command("HELO old.test")[0] == 250
        client.envelope("alice@ours.test", "r@ok.test")
        assert client.message(mail(word))[0] == 250
    assert " with SMTP id " in post.wait_mail(word).header("Received")[0].replace("\t", " ")


def test_many_mails_over_one_connection(post):
    word = token()
    with post.client() as client:
        for _ in range(110):
            client.envelope("alice@ours.test", "r@ok.test")
            assert client.message(mail(word))[0] == 250
    post.wait_mails(word, 110)


# CHUNKING (RFC 3030).

def bdat(client, data, last=False):
    client.send(f"BDAT {len(data)}{' LAST' if last else ''}\r\n".encode() + data)
    return client.reply()


def test_bdat_in_chunks_that_split_lines(post, client):
    word = token()
    data = mail(word, body="one\r\n.two\r\n.\r\nthree\r\n")
    client.envelope("alice@ours.test", "r@ok.test")
    assert bdat(client, data[:10])[0] == 250
    assert bdat(client, data[10:-1])[0] == 250
    assert bdat(client, data[-1:], last=True)[0] == 250
    assert post.wait_mail(word).body == b"one\r\n.two\r\n.\r\nthree\r\n"


def test_bdat_ended_by_an_empty_last_chunk(post, client):
    word = token()
    client.envelope("alice@ours.test", "r@ok.test")
    assert bdat(client, mail(word))[0] == 250
    assert bdat(client, b"", last=True)[0] == 250
    post.wait_mail(word)


def test_bdat_pipelined_with_its_envelope(post, client):
    word = token()
    data = mail(word)
    client.send(b"MAIL FROM:<alice@ours.test>\r\nRCPT TO:<r@ok.test>\r\nBDAT %d LAST\r\n" % len(data) + data + b"NOOP\r\n")
    assert [client.reply()[0] for _ in range(4)] == [250] * 4
    post.wait_mail(word)


def test_bdat_without_recipients_swallows_its_octets(post, client):
    with post.nothing_sent():
        assert bdat(client, b"MAIL FROM:<x@evil.test>\r\n", last=True)[0] == 503
        assert client.command("MAIL FROM:<alice@ours.test>")[0] == 250
        assert bdat(client, b"RSET\r\n" * 10)[0] == 503
        assert client.command("RCPT TO:<r@ok.test>")[0] == 250


@pytest.mark.parametrize("line,code", [("BDAT", 501), ("BDAT x", 501), ("BDAT -1", 501), ("BDAT 1 FIRST", 501),
                                       ("BDAT 1 LAST LAST", 501), ("BDAT 99999999999999999999999 LAST", 552)])
def test_bdat_with_bad_sizes(client, line, code):
    client.envelope("alice@ours.test", "r@ok.test")
    assert client.command(line)[0] == code
    if code == 501:
        assert client.command("NOOP")[0] == 250
    else:
        assert client.closed(), "its octets could not be told from commands"


def test_bdat_beyond_the_limit(post, narrow):
    with Client(narrow.smtp) as client:
        client.hello()
        client.envelope("alice@ours.test", "r@ok.test")
        assert bdat(client, b"x" * 40000)[0] == 250
        code, text = bdat(client, b"y" * 40000)
        assert (code, text[:6]) == (552, "5.3.4 ")
        assert bdat(client, b"z", last=True)[0] == 552
        assert client.command("RCPT TO:<r@ok.test>")[0] == 503, "the transaction is over"
        client.envelope("alice@ours.test", "r@ok.test")


def test_data_and_bdat_do_not_mix(client):
    client.envelope("alice@ours.test", "r@ok.test")
    assert bdat(client, b"From: <a@ours.test>\r\n")[0] == 250
    assert client.command("DATA")[0] == 503
    assert client.command("RSET")[0] == 250


def test_a_client_that_goes_within_data_leaves_nothing(post):
    with post.nothing_sent():
        for data in (b"", b"From: <a@ours.test>\r\n\r\nhello\r\n", b"From: <a@ours.test>\r\n\r\nhello\r\n."):
            with post.client() as client:
                client.envelope("alice@ours.test", "r@ok.test")
                assert client.command("DATA")[0] == 354
                client.send(data)
                client.socket.shutdown(socket.SHUT_WR)
                assert client.reply()[0] in (0, 421)


def test_sessions_are_counted_and_let_go(post):
    wait_for(lambda: post.node.metric("hikyaku_submission_sessions") == 0, 20, "no session left")
    with post.client(), post.client():
        wait_for(lambda: post.node.metric("hikyaku_submission_sessions") == 2, 20, "two sessions")
    wait_for(lambda: post.node.metric("hikyaku_submission_sessions") == 0, 20, "no session left")
