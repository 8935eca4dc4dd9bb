"""Signatures in the eyes of others: K03 and K08 of BATTERY. A slice of the corpus; tests/interop/dkim takes all of it."""

import os
import pathlib
import re
import subprocess

import pytest

from support import mail_corpus
from support.courier import Courier
from support.dkim import Keys, Verifiers, signature_tags, verify
from support.post import token
from support.receivers import Exim, Haraka, OpenSmtpd, Postfix, Sendmail
from support.smtp import Client
from support.wait import wait_for
from support.world import World

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAILS = int(os.environ.get("HIKYAKU_DKIM_MAILS", "25"))
FORMS = ["relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"]
KEYS = {"rsa": "k1", "ed25519": "e1"}
# Debian's Mail::DKIM knows RSA alone.
VERIFIERS = {"rsa": ["opendkim", "dkimpy", "mail_dkim", "mailauth"], "ed25519": ["opendkim", "dkimpy", "mailauth"]}
# RFC 8463 A.3: whether a verifier knows Ed25519 at all.
RFC8463 = (
    b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=football.example.com; i=@football.example.com;\r\n"
    b" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n subject : date : message-id : from : subject : date;\r\n"
    b" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n"
    b" Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
    b"From: Joe SixPack <joe@football.example.com>\r\nTo: Suzie Q <suzie@shopping.example.net>\r\n"
    b"Subject: Is dinner ready?\r\nDate: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    b"Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\r\n"
    b"Hi.\r\n\r\nWe lost the game. Are you hungry yet?\r\n\r\nJoe.\r\n")
RECEIVERS = {"postfix": Postfix, "exim": Exim, "opensmtpd": OpenSmtpd, "haraka": Haraka, "sendmail": Sendmail,
             "courier": Courier}


@pytest.fixture(scope="module")
def keys(module_stage):
    keys = Keys(module_stage.folder / "keys")
    keys.make("k1", "ours.test")
    keys.make("e1", "ours.test", ed25519=True)
    keys.zone["brisbane._domainkey.football.example.com"] = {
        "TXT": ['"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="']}
    return keys


@pytest.fixture(scope="module")
def receivers(module_stage):
    started = {}
    for number, (name, kind) in enumerate(RECEIVERS.items(), 21):
        started[name] = kind(f"{name}.test", f"20.0.0.{number}")
        module_stage.add(started[name], started[name].stop)
    for receiver in started.values():
        receiver.start()
    return started


@pytest.fixture(scope="module")
def world(module_stage, keys, receivers):
    world = World(module_stage, {
        "limits": {"message_size": "30MiB"}, "queue": {"domain_concurrency": 4},
        "dkim": {"folder": str(keys.folder), "domains": [{"domain": "ours.test", "selectors": ["k1"]}]}})
    world.dns.zone.update(keys.zone)
    world.lead_to(receivers.values())
    return world


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(MAILS):
        (folder / f"{number:03}.eml").write_bytes(mail_corpus.mail(number))
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def verifiers(module_stage, world, keys):
    verifiers = Verifiers(module_stage.folder, keys)
    probe = module_stage.folder / "rfc8463.eml"
    probe.write_bytes(RFC8463)
    for name in VERIFIERS["ed25519"]:
        said = getattr(verifiers, name)([probe])[probe]
        assert said == "pass", f"{name} does not know Ed25519: {said}"
    return verifiers


def sign(folder, keys, algorithm, forms, files):
    out = folder / f"{algorithm}-{forms.replace('/', '-')}"
    out.mkdir()
    selector = KEYS[algorithm]
    tool = pathlib.Path(os.environ["HIKYAKU_BINARY"]).parents[2] / "tests/interop/sign_mails"
    if not tool.exists():
        tool = ROOT / "bazel-bin/tests/interop/sign_mails"
    assert tool.exists(), "bazel build //tests/interop:sign_mails"
    done = subprocess.run([tool, keys.path(selector, "ours.test"), selector, "ours.test", forms, out, *files],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return sorted(out.iterdir())


@pytest.mark.parametrize("forms", FORMS)
@pytest.mark.parametrize("algorithm", KEYS)
def test_k03_every_verifier_believes_every_mail(verifiers, keys, corpus, tmp_path, algorithm, forms):
    files = sign(tmp_path, keys, algorithm, forms, corpus)
    assert len(files) == MAILS
    wrong = {}
    for name in VERIFIERS[algorithm]:
        for file, said in getattr(verifiers, name)(files).items():
            if said != "pass":
                wrong[name, file.name] = said
    assert not wrong
    for file in files:
        code, lines = verify(file.read_bytes(), keys, tmp_path)
        assert code == 0, (file, lines)


def test_a_verifier_sees_a_changed_mail(verifiers, keys, corpus, tmp_path):
    """Else the test above would prove nothing."""
    for algorithm, names in VERIFIERS.items():
        (tmp_path / algorithm).mkdir()
        for file in sign(tmp_path / algorithm, keys, algorithm, "relaxed/relaxed", corpus[1:4]):
            file.write_bytes(file.read_bytes() + b"more\r\n")
            for name in names:
                assert getattr(verifiers, name)([file])[file] != "pass", (name, file)


@pytest.mark.parametrize("name", RECEIVERS)
def test_k08_what_a_receiver_stored_still_passes(world, receivers, verifiers, keys, tmp_path, name):
    """Those mails of the corpus that this receiver takes as they are."""
    receiver = receivers[name]
    sent = {}
    for number in range(1, MAILS):
        data = mail_corpus.mail(number)
        to, word = f"r{number}@{receiver.domain}", token()
        data = f"X-Token: {word}\r\n".encode() + data
        with Client(world.node.smtp) as client:
            client.hello()
            assert client.command("MAIL FROM:<alice@ours.test> BODY=8BITMIME")[0] == 250
            assert client.command(f"RCPT TO:<{to}>")[0] == 250
            code, text = client.message(re.sub(rb"(?m)^\.", b"..", data))
            assert code == 250, (number, code, text)
        sent[word] = number
    world.api.wait_empty(120)

    def stored():
        return {number: mail for mail in receiver.mails() for word, number in sent.items() if word.encode() in mail}
    arrived = wait_for(lambda: (lambda s: s if len(s) == len(sent) else None)(stored()), 120,
                       lambda: f"{len(sent)} mails, {len(stored())} there; {receiver.output()[-2000:]}")
    files = []
    for number, mail in arrived.items():
        assert [tags["s"] for tags in signature_tags(mail)] == ["k1"]
        files.append(tmp_path / f"{number:03}.eml")
        # A mailbox file may begin with a line or a field of its own.
        files[-1].write_bytes(mail)
    for verifier in ("opendkim", "dkimpy", "mail_dkim", "mailauth"):
        said = getattr(verifiers, verifier)(files)
        assert not {file.name: text for file, text in said.items() if text != "pass"}, verifier
    for file in files:
        code, lines = verify(file.read_bytes(), keys, tmp_path)
        assert code == 0, (file, lines)
    if name == "exim":
        assert receiver.output().count(" DKIM=ours.test") == len(sent), "Exim's own verdict"
