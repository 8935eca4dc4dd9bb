"""Reports on TLS (RFC 8460): sessions with real hosts are counted, and when their day is over one mail tells of them, signed,
at the address that the domain's record names. The day is ended by RocksDB's own tool, which moves the rows that the node
wrote to the day before yesterday while the node is down: nothing else could be waited for."""

import email
import email.policy
import gzip
import json
import re
import struct
import subprocess
import time

import pytest

from support.certificates import Identity
from support.dkim import Keys, verify
from support.post import token
from support.wait import wait_for
from support.world import World

FROM = "tls-reports@ours.test"
GOOD, SELF_SIGNED, CLEAR, RUA = "20.0.0.51", "20.0.0.52", "20.0.0.53", "20.0.0.54"
DAY = 86400
PREFIX = b"tlsrpt/"


class Day:
    """What is counted, in the store of a node that is down."""

    def __init__(self, node):
        self.store = node.data / "queue"

    def ldb(self, *command):
        done = subprocess.run(["ldb", f"--db={self.store}", "--hex", *command], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "Failed" not in done.stdout, done
        return done.stdout

    def rows(self):
        return re.findall(r"(0x\w+) \S+ (0x\w+)", self.ldb("scan", f"--from=0x{PREFIX.hex()}", f"--to=0x{PREFIX.hex()}FF"))

    def end(self):
        """Moves every row two days back; the day that they are then of."""
        rows, then = self.rows(), None
        for key, value in rows:
            old = bytes.fromhex(key[2:])
            then = struct.unpack("!I", old[len(PREFIX):len(PREFIX) + 4])[0] - 2
            moved = PREFIX + struct.pack("!I", then) + old[len(PREFIX) + 4:]
            self.ldb("put", f"0x{moved.hex()}", value)
            self.ldb("delete", key)
        assert len(self.rows()) == len(rows)
        return then


def record(*addresses):
    return {"TXT": [f'"v=TLSRPTv1; rua={",".join(addresses)}"']}


@pytest.fixture(scope="module")
def keys(module_stage):
    keys = Keys(module_stage.folder / "keys")
    keys.make("k1", "ours.test")
    return keys


@pytest.fixture(scope="module")
def sinks(module_stage):
    authority = Identity(module_stage.folder / "tls", "authority", authority=True, days=100)
    good = Identity(module_stage.folder / "tls", "good", ["mx.good.test"], issuer=authority)
    bad = Identity(module_stage.folder / "tls", "bad", ["mx.bad.test"])
    return {"authority": authority, "good": module_stage.sink(GOOD, tls=good.context()),
            "bad": module_stage.sink(SELF_SIGNED, tls=bad.context()), "clear": module_stage.sink(CLEAR),
            "rua": module_stage.sink(RUA, tls=bad.context())}


@pytest.fixture(scope="module")
def world(module_stage, keys, sinks):
    world = World(module_stage, {
        "reports": {"tls": {"from": FROM, "organization": "Ours & Co"}},
        "dkim": {"folder": str(keys.folder), "domains": [{"domain": "ours.test", "selectors": ["k1"]}]},
        "delivery": {"tls": {"ca_file": str(sinks["authority"].files[0])},
                     "routes": [{"domain": "x.test", "tls": {"policy": "verify"}}]}})
    for name, address in (("good", GOOD), ("bad", SELF_SIGNED), ("clear", CLEAR), ("rua", RUA)):
        world.dns.zone[f"mx.{name}.test"] = {"A": [address]}
    world.dns.zone.update(keys.zone)
    world.dns.zone.update({
        "x.test": {"MX": [(10, "mx.bad.test"), (20, "mx.good.test")]},
        "y.test": {"MX": [(10, "mx.clear.test")]}, "quiet.test": {"MX": [(10, "mx.good.test")]},
        "rua.test": {"MX": [(10, "mx.rua.test")]},
        "_smtp._tls.x.test": record("mailto:tls%2Drpt@rua.test"),
        "_smtp._tls.y.test": record("https://user@rua.test/v1"),
        # That a report is reported on would never end.
        "_smtp._tls.rua.test": record("mailto:loop@rua.test"),
    })
    return world


def counted(world, result):
    return world.node.metric("hikyaku_tls_report_sessions_total", result=result) or 0


def test_a_day_is_reported_by_a_signed_mail(world, sinks, keys, tmp_path):
    for domain in ("x.test", "y.test", "quiet.test"):
        world.delivered(world.send(f"{token()}@{domain}"))
    # x.test: refused by us at the first host, good at the second; y.test: a host without STARTTLS.
    assert (counted(world, "success"), counted(world, "failure")) == (1, 2)
    assert not sinks["rua"].mails
    world.node.stop()
    stored = Day(world.node)
    assert len(stored.rows()) == 3, stored.ldb("scan")
    start = stored.end() * DAY
    world.node.start()
    wait_for(lambda: sinks["rua"].mails, 120, lambda: f"the report\n{world.node.process.tail()}")

    arrived = sinks["rua"].mails[0]
    assert arrived.sender == FROM and arrived.recipients == ["tls-rpt@rua.test"]
    assert arrived.tls, "opportunistic at least"
    code, lines = verify(arrived.data, keys, tmp_path)
    assert code == 0 and lines == ["pass: d=ours.test s=k1 a=rsa-sha256 (2048 bits)"], lines
    mail = email.message_from_bytes(arrived.data, policy=email.policy.SMTP)
    assert not mail.defects and mail["From"] == FROM and mail["To"] == "tls-rpt@rua.test"
    assert mail["TLS-Report-Domain"] == "x.test" and mail["TLS-Report-Submitter"] == "ours.test"
    assert mail["TLS-Required"] == "No" and mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "multipart/report" and mail.get_param("report-type") == "tlsrpt"
    words, file = mail.iter_parts()
    assert words.get_content_type() == "text/plain" and "x.test" in words.get_content()
    assert file.get_content_type() == "application/tlsrpt+gzip"
    check_report(json.loads(gzip.decompress(file.get_content())), mail["Subject"], file.get_filename(), start)

    # The domain whose only address is a URL that nothing is posted to, and the end of it all.
    wait_for(lambda: world.node.metric("hikyaku_tls_reports_total", result="no_address") == 1, what="the other domain's fate")
    assert world.node.metric("hikyaku_tls_reports_total", result="queued") == 1
    assert world.node.metric("hikyaku_tls_reports_total", result="bad_url") == 1
    world.api.wait_empty()
    assert (counted(world, "success"), counted(world, "failure")) == (0, 0), "a report was reported on"
    assert len(sinks["rua"].mails) == 1
    world.node.stop()
    assert not stored.rows()
    world.node.start()


def check_report(report, subject, filename, start):
    def stamp(seconds):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    assert set(report) == {"organization-name", "date-range", "contact-info", "report-id", "policies"}
    assert report["organization-name"] == "Ours & Co" and report["contact-info"] == FROM
    assert report["date-range"] == {"start-datetime": stamp(start), "end-datetime": stamp(start + DAY - 1)}
    assert subject == f"Report Domain: x.test Submitter: ours.test Report-ID: <{report['report-id']}>"
    head, domain, begin, end, unique = filename.split("!")
    assert (head, domain, int(begin), int(end)) == ("ours.test", "x.test", start, start + DAY - 1)
    assert unique.endswith(".json.gz") and unique.removesuffix(".json.gz").isalnum()
    (policy,) = report["policies"]
    assert policy["policy"] == {"policy-type": "no-policy-found", "policy-domain": "x.test"}
    assert policy["summary"] == {"total-successful-session-count": 1, "total-failure-session-count": 1}
    (failure,) = policy["failure-details"]
    reason = failure.pop("failure-reason-code")
    assert "self signed certificate" in reason
    assert failure.pop("sending-mta-ip").count(".") == 3
    assert failure == {"result-type": "certificate-not-trusted", "receiving-mx-hostname": "mx.bad.test",
                       "receiving-mx-helo": "sink.test", "receiving-ip": SELF_SIGNED, "failed-session-count": 1}


def test_without_an_address_of_ours_nothing_is_looked_up(world):
    del world.node.config["reports"]["tls"]
    world.reload({})
    before = world.dns.count("_smtp._tls.x.test")
    assert before > 0
    world.delivered(world.send(f"{token()}@x.test"))
    assert world.dns.count("_smtp._tls.x.test") == before
