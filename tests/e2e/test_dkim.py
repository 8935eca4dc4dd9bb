"""DKIM through the real binary: what leaves is signed as BATTERY 2.9 wants it (K06), and every verifier finds what was
changed (K05)."""

import re
import subprocess
import time

import pytest

from support.api import request
from support.dkim import Keys, Verifiers, sent, signature_tags, verify
from support.node import BINARY
from support.post import Post, mail, token
from support.wait import wait_for


@pytest.fixture(scope="module")
def keys(module_stage):
    keys = Keys(module_stage.folder / "keys")
    keys.make("k1", "ours.test")
    keys.make("e1", "ours.test", ed25519=True)
    return keys


@pytest.fixture(scope="module")
def dkim_config(keys):
    return {"dkim": {"folder": str(keys.folder), "domains": [{"domain": "ours.test", "selectors": ["k1", "e1"]}]}}


@pytest.fixture(scope="module")
def post(module_stage, keys, dkim_config):
    return Post(module_stage, dkim_config, zone=keys.zone, plain=True)


def test_what_leaves_is_signed_with_both_keys(post, keys, tmp_path):
    data = sent(post)
    code, lines = verify(data, keys, tmp_path)
    assert code == 0
    assert lines == ["pass: d=ours.test s=k1 a=rsa-sha256 (2048 bits)", "pass: d=ours.test s=e1 a=ed25519-sha256 (256 bits)"]


def test_k06_tags(post):
    before = time.time()
    data = sent(post)
    tags = signature_tags(data)
    assert [t["a"] for t in tags] == ["rsa-sha256", "ed25519-sha256"]
    for t in tags:
        assert t["d"] == "ours.test" and t["v"] == "1" and t["c"] == "relaxed/relaxed"
        assert not {"l", "x", "i", "z"} & set(t)
        names = re.sub(r"\s", "", t["h"]).split(":")
        for name in ("from", "to", "cc", "subject", "date", "reply-to", "message-id", "mime-version", "content-type"):
            there = len(re.findall(rf"(?im)^{name}:", data.split(b"\r\n\r\n")[0].decode()))
            assert names.count(name) == there + 1, (name, names)
        assert before - 5 <= int(t["t"]) <= time.time() + 5
    head = data.split(b"\r\n\r\n", 1)[0]
    field = head[:head.index(b"\r\nDKIM-Signature", 10)]
    assert all(len(line) <= 78 for line in field.split(b"\r\n"))


def test_k05_tampering_is_found_by_every_verifier(post, keys, tmp_path):
    data = sent(post)
    head, body = data.split(b"\r\n\r\n", 1)
    changed = {
        "as it came": data,
        "a byte of the body": head + b"\r\n\r\n" + body.replace(b"Hi.", b"Ho."),
        "more at the end": data + b"more\r\n",
        "another subject": data.replace(b"Subject: ", b"Subject: not "),
        "a second From": b"From: evil@elsewhere.test\r\n" + data,
        "a second To": b"To: evil@elsewhere.test\r\n" + data,
        "a second Subject": b"Subject: evil\r\n" + data,
        "a second Date": b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n" + data,
        "a second Content-Type": b"Content-Type: text/html\r\n" + data,
        "a Reply-To that was not there": b"Reply-To: evil@elsewhere.test\r\n" + data,
    }
    files = {}
    for number, (what, mail_bytes) in enumerate(changed.items()):
        files[what] = tmp_path / f"{number}.eml"
        files[what].write_bytes(mail_bytes)
        code, lines = verify(mail_bytes, keys, tmp_path)
        assert (code == 0) == (what == "as it came"), (what, lines)
    verifiers = Verifiers(tmp_path, keys)
    for verifier in (verifiers.opendkim, verifiers.dkimpy, verifiers.mailauth):
        said = verifier(list(files.values()))
        for what, file in files.items():
            assert (said[file] == "pass") == (what == "as it came"), (verifier.__name__, what, said[file])


def test_a_mail_for_a_host_without_8bitmime_is_signed_as_it_is_sent(post, keys, tmp_path):
    word = token()
    body = "Grüße, 日本.\r\n".encode()
    head = ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"]
    with post.client() as client:
        assert client.command("MAIL FROM:<alice@ours.test> BODY=8BITMIME")[0] == 250
        assert client.command("RCPT TO:<r@plain.test>")[0] == 250
        assert client.message(mail(word, body, to="r@plain.test", headers=head))[0] == 250
    data = post.wait_mail(word).data
    assert "Grüße".encode() not in data
    assert verify(data, keys, tmp_path)[0] == 0


def test_a_domain_without_a_row_is_not_signed(post):
    data = sent(post, sender="alice@elsewhere.test")
    assert b"DKIM-Signature" not in data


def test_a_subdomain_is_signed_by_its_parent(post, keys, tmp_path):
    data = sent(post, sender="alice@news.ours.test")
    assert signature_tags(data)[0]["d"] == "ours.test"
    assert verify(data, keys, tmp_path)[0] == 0


def test_the_signatures_are_counted(post):
    before = post.node.metric("hikyaku_dkim_signed_total", algorithm="rsa-sha256") or 0
    sent(post)
    assert post.node.metric("hikyaku_dkim_signed_total", algorithm="rsa-sha256") == before + 1


def test_one_attempt_signs_once_for_many_recipients(post):
    word = token()
    before = post.node.metric("hikyaku_dkim_signed_total", algorithm="ed25519-sha256") or 0
    post.api.send(request(to=[f"r{i}@ok.test" for i in range(250)], subject=word))
    copies = post.wait_mails(word, 3)
    assert len({m.data for m in copies}) == 1
    assert post.node.metric("hikyaku_dkim_signed_total", algorithm="ed25519-sha256") == before + 1


def test_explain_says_who_would_sign(post, keys):
    def explained(author):
        done = subprocess.run([BINARY, "explain", "r@ok.test", "--config", post.node.config_file, "--header-from", author],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
        return [line for line in done.stdout.splitlines() if line.startswith("dkim")]
    assert explained("a@news.ours.test") == [
        f"dkim     signed by ours.test, selector k1, rsa-sha256, key {keys.path('k1', 'ours.test')}"
        "  [dkim.domains, From in news.ours.test]",
        f"dkim     signed by ours.test, selector e1, ed25519-sha256, key {keys.path('e1', 'ours.test')}"
        "  [dkim.domains, From in news.ours.test]"]
    assert explained("a@other.test") == ["dkim     no signature  [no row of dkim.domains is for From in other.test]"]


def test_a_report_to_a_sender_is_signed_too(post, keys, tmp_path):
    """From is MAILER-DAEMON@mail.ours.test, whose nearest row is that of ours.test."""
    with post.client() as client:
        client.envelope("s@ok.test", "x@gone.invalid")
        assert client.message(mail(token(), sender="alice@ours.test"))[0] == 250
    report = wait_for(lambda: [m for m in post.sink.mails if m.sender == ""], 60, "the report")[0]
    code, lines = verify(report.data, keys, tmp_path)
    assert code == 0 and lines[0] == "pass: d=ours.test s=k1 a=rsa-sha256 (2048 bits)", lines
