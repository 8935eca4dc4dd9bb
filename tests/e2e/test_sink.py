"""`hikyaku sink` as a receiver that people try things with: TLS, and an end after so many mails."""

import json
import smtplib
import ssl

import pytest

from support.certificates import Identity
from support.node import BINARY
from support.process import Process
from support.wait import port_open, wait_for

ADDRESS = ("20.0.0.58", 2526)


@pytest.fixture
def sink(tmp_path):
    started = []

    def start(*options):
        process = Process([BINARY, "sink", "--listen", f"{ADDRESS[0]}:{ADDRESS[1]}", "--hostname", "mx.test", "--log", tmp_path / "log.json",
                           *options], tmp_path / "output")
        started.append(process)
        process.wait_until(lambda: port_open(*ADDRESS), what="the sink")
        return process
    yield start
    for process in started:
        process.kill()


def logged(folder):
    return [json.loads(line) for line in (folder / "log.json").read_text().splitlines()]


def send(client):
    client.sendmail("s@c.test", ["r@x.test"], "Subject: x\r\n\r\nx\r\n")
    client.quit()


def trusting(identity=None):
    """A client's context that believes `identity`; nothing: anybody."""
    context = ssl.create_default_context(cafile=identity and str(identity.files[0]))
    if identity is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_starttls_with_a_certificate_of_its_own(sink, tmp_path):
    sink("--tls")
    client = smtplib.SMTP(*ADDRESS, timeout=30)
    client.starttls(context=trusting())
    assert client.sock.version() == "TLSv1.3"
    send(client)
    send(smtplib.SMTP(*ADDRESS, timeout=30))
    assert [mail["tls"].split()[:1] for mail in logged(tmp_path)] == [["TLSv1.3"], []]


def test_files_and_tls_from_the_first_octet(sink, tmp_path):
    identity = Identity(tmp_path / "pki", "mx.test", ["mx.test"])
    sink("--tls-implicit", "--tls-certificate", identity.files[0], "--tls-key", identity.files[1])
    context = trusting(identity=identity)

    class Named(smtplib.SMTP_SSL):
        def _get_socket(self, host, port, timeout):
            plain = smtplib.SMTP._get_socket(self, host, port, timeout)
            return context.wrap_socket(plain, server_hostname="mx.test")
    send(Named(*ADDRESS, timeout=30))
    assert logged(tmp_path)[0]["tls"].startswith("TLSv1.3 ")


def test_it_ends_after_so_many_mails(sink, tmp_path):
    process = sink("--until", "3", "--count-only")
    for _ in range(3):
        assert process.running()
        send(smtplib.SMTP(*ADDRESS, timeout=30))
    wait_for(lambda: not process.running(), 30, "its end")
    assert "mails 3, " in process.output()
