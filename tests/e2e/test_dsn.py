"""Reports to senders (RFC 3461, 3464): B01-B09, D01 and D02 of BATTERY, read by parsers that others wrote."""

import email
import email.policy
import re
import signal
import subprocess
import threading
import time

import grpc
import pytest

from support.api import field_errors, mail_pb2
from support.dovecot import Dovecot
from support.post import mail, token
from support.receivers import OpenSmtpd, Postfix
from support.smtp import Client
from support.wait import wait_for
from support.world import World, answers

Code = grpc.StatusCode
BAD, HOME, OTHER = "20.0.0.31", "20.0.0.32", "20.0.0.33"
ALICE = "alice@home.test"


class Reports(World):
    """A world whose senders live at home.test, where their reports arrive, and whose mail to bad.test meets a script."""

    def __init__(self, stage, script=None, config=None, home=None, extensions=None):
        super().__init__(stage, config)
        options = {"extensions": extensions} if extensions else {}
        self.bad = stage.sink(BAD, script=script, **options)
        self.home = home or stage.sink(HOME)
        for domain, address in (("bad.test", BAD), ("home.test", HOME)):
            self.dns.zone[domain] = {"MX": [(10, f"mx.{domain}")]}
            self.dns.zone[f"mx.{domain}"] = {"A": [address]}

    def smtp(self, *recipients, data=None, parameters="", sender=ALICE):
        """A mail by SMTP; its id. A recipient may be (address, its parameters)."""
        with Client(self.node.smtp) as client:
            client.hello()
            assert client.command(f"MAIL FROM:<{sender}>{parameters}")[0] == 250
            for recipient in recipients:
                address, extra = recipient if isinstance(recipient, tuple) else (recipient, "")
                assert client.command(f"RCPT TO:<{address}>{extra}")[0] == 250
            code, text = client.message(data or mail(token(), sender=sender or ALICE))
            assert code == 250, text
            return text.split()[-1]

    def reports(self, count, timeout=60):
        """The reports that came home, once there are `count`; more are a failure."""
        wait_for(lambda: len(self.home.mails) >= count, timeout, lambda: f"{count} reports: {len(self.home.mails)}")
        assert len(self.home.mails) == count, [m.data[:400] for m in self.home.mails]
        return list(self.home.mails)

    def report(self, timeout=60):
        return Report(self.reports(1, timeout)[0])

    def finished(self):
        """Nothing is on its way, and the books add up."""
        self.api.wait_empty()
        return self.api.check()


class Report:
    """A report as Python's email package reads it, with everything that RFC 3464, 6522 and 3834 ask for checked."""

    def __init__(self, arrived):
        assert arrived.sender == "", "the envelope sender is null"
        self.raw = arrived.data
        self.to = arrived.recipients
        assert max(len(line) for line in self.raw.split(b"\r\n")) <= 998
        message = self.message = email.message_from_bytes(self.raw, policy=email.policy.SMTP)
        assert not message.defects
        assert message.get_content_type() == "multipart/report"
        assert message.get_param("report-type") == "delivery-status"
        assert message["Auto-Submitted"] == "auto-replied"
        assert message["From"] == "Mail Delivery System <MAILER-DAEMON@mail.ours.test>"
        assert message["To"].addresses[0].addr_spec == arrived.recipients[0]
        assert re.fullmatch(r"<[0-9a-z]{26}@mail\.ours\.test>", message["Message-ID"])
        assert message["Date"].datetime.timestamp() == pytest.approx(time.time(), abs=300)
        words, status, self.returned = message.get_payload()
        assert words.get_content_type() == "text/plain"
        self.words = words.get_content()
        assert status.get_content_type() in ("message/delivery-status", "message/global-delivery-status")
        self.whole, *self.recipients = status.get_payload()
        assert self.whole["Reporting-MTA"] == "dns; mail.ours.test"
        assert self.whole["Arrival-Date"]

    def addresses(self):
        return [r["Final-Recipient"] for r in self.recipients]


def unfolded(text):
    return re.sub(r"\s+", " ", text)


def flufl(raw):
    """(temporary, permanent) addresses that flufl.bounce finds."""
    from flufl.bounce import all_failures
    temporary, permanent = all_failures(email.message_from_bytes(raw))
    return temporary, permanent


BOUNCE_PARSER = r"""use Mail::DeliveryStatus::BounceParser;
my $b = Mail::DeliveryStatus::BounceParser->new(\*STDIN);
print "bounce ", ($b->is_bounce ? 1 : 0), "\n";
print join(" ", $_->get("email"), $_->get("std_reason"), $_->get("smtp_code") || "-", $_->get("raw") || ""), "\n"
  for map { my $r = $_; $r } $b->reports;
print "status ", $_->get("Status"), " ", $_->get("Final-Recipient"), "\n" for $b->reports;
"""


def bounce_parser(raw):
    """What Mail::DeliveryStatus::BounceParser says of a report, as text."""
    done = subprocess.run(["perl", "-e", BOUNCE_PARSER], input=raw.replace(b"\r\n", b"\n"), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


NOBODY = answers({"nobody": "550 5.1.1 <nobody@bad.test>: no such user", "nobody2": "550 5.1.1 no such user",
                  "later": "450 4.2.0 try later", "full": "552 5.2.2 mailbox full"})


def test_b03_a_hard_failure_is_reported_as_the_rfcs_want_it(stage):
    world = Reports(stage, NOBODY)
    message_id = world.smtp("nobody@bad.test", data=mail("Lunch", sender=ALICE, headers=["Message-ID: <1@home.test>"]))
    report = world.report()
    assert report.to == [ALICE]
    assert report.message["In-Reply-To"] == report.message["References"] == "<1@home.test>"
    [failed] = report.recipients
    assert failed["Final-Recipient"] == "rfc822; nobody@bad.test"
    assert failed["Action"] == "failed" and failed["Status"] == "5.1.1"
    assert failed["Remote-MTA"] == "dns; mx.bad.test"
    assert unfolded(failed["Diagnostic-Code"]) == "smtp; 550 5.1.1 <nobody@bad.test>: no such user"
    assert failed["Last-Attempt-Date"]
    assert "nobody@bad.test" in report.words and "no such user" in report.words and "Check the address" in report.words
    assert report.returned.get_content_type() == "message/rfc822"
    assert report.returned.get_payload()[0]["Subject"] == "Lunch"
    assert "Hello." in report.returned.get_payload()[0].get_content()
    temporary, permanent = flufl(report.raw)
    assert permanent == {b"nobody@bad.test"} and not temporary
    said = bounce_parser(report.raw)
    assert "bounce 1" in said and "nobody@bad.test user_unknown" in said and "status 5.1.1" in said, said
    # And it can be followed from either end.
    [bounced] = world.api.events(message_id, "BOUNCED")
    assert report.message["Message-ID"] == f"<{bounced.report_id}@mail.ours.test>"
    assert world.api.events(bounced.report_id)[0].report_of == message_id
    assert world.node.metric("hikyaku_dsn_total", kind="failed") == 1
    world.finished()


def test_d01_d02_one_report_of_those_who_failed_together(stage):
    script = answers({"nobody": "550 5.1.1 no", "nobody2": "551 5.1.6 gone", "later": ["450 4.2.0 later", None]})
    world = Reports(stage, script)
    world.smtp("a@bad.test", "later@bad.test", "nobody@bad.test", "nobody2@bad.test")
    report = world.report()
    assert report.addresses() == ["rfc822; nobody@bad.test", "rfc822; nobody2@bad.test"]
    assert [r["Status"] for r in report.recipients] == ["5.1.1", "5.1.6"]
    wait_for(lambda: "later@bad.test" in world.bad.recipients(), 30, "the retry")
    world.finished()
    world.reports(1)


def test_b02_expired_mail_is_reported_with_its_last_error(stage):
    world = Reports(stage, NOBODY, {"queue": {"lifetime": "4s"}, "reports": {"delay_after": "0s"}})
    world.smtp("later@bad.test")
    report = world.report()
    [failed] = report.recipients
    assert failed["Action"] == "failed" and failed["Status"] == "4.4.7"
    assert "try later" in unfolded(failed["Diagnostic-Code"]) and "try later" in report.words
    assert "nobody@bad.test" not in report.words
    assert flufl(report.raw) != (set(), set())
    world.finished()


def test_a_delay_is_told_once_and_then_the_end(stage):
    world = Reports(stage, NOBODY, {"queue": {"lifetime": "12s"}, "reports": {"delay_after": "2s"}})
    world.smtp("later@bad.test")
    delayed = world.report()
    [recipient] = delayed.recipients
    assert recipient["Action"] == "delayed" and recipient["Status"] == "4.2.0" and recipient["Will-Retry-Until"]
    assert "need not send it again" in unfolded(delayed.words)
    assert delayed.returned.get_content_type() == "text/rfc822-headers"
    last = Report(world.reports(2)[1])
    assert last.recipients[0]["Action"] == "failed" and last.recipients[0]["Status"] == "4.4.7"
    world.finished()
    world.reports(2)
    assert world.node.metric("hikyaku_dsn_total", kind="delayed") == 1


def test_b04_a_report_that_fails_ends_there(stage):
    world = Reports(stage, NOBODY)
    world.home.script = lambda at, argument, session: "550 5.7.1 no reports here" if at == "RCPT" else None
    world.smtp("nobody@bad.test")
    wait_for(lambda: world.node.metric("hikyaku_dsn_dropped_total", reason="undeliverable") == 1, 30, "counted")
    [shard] = world.finished()
    assert (shard.accepted_total, shard.bounced_total) == (2, 2)
    assert "report_undeliverable" in world.node.log()
    assert not world.home.mails


def test_the_null_sender_gets_none(stage):
    world = Reports(stage, NOBODY)
    world.smtp("nobody@bad.test", sender="")
    wait_for(lambda: world.node.metric("hikyaku_dsn_dropped_total", reason="null_sender") == 1, 30, "counted")
    [shard] = world.finished()
    assert shard.accepted_total == 1


def test_b05_notify_ret_envid_and_orcpt_are_honoured(stage):
    world = Reports(stage, NOBODY)
    world.smtp(("nobody@bad.test", " NOTIFY=NEVER"))
    world.smtp(("nobody@bad.test", " NOTIFY=SUCCESS,DELAY"))
    world.smtp("a@bad.test")
    world.smtp(("nobody@bad.test", " NOTIFY=FAILURE ORCPT=rfc822;Old+2Bname@elsewhere.test"),
               parameters=" RET=HDRS ENVID=QQ+2B314159")
    report = world.report()
    assert report.whole["Original-Envelope-Id"] == "QQ+314159"
    assert report.recipients[0]["Original-Recipient"] == "rfc822; Old+name@elsewhere.test"
    assert report.returned.get_content_type() == "text/rfc822-headers"
    assert "Hello." not in report.raw.decode()
    world.finished()
    world.reports(1)
    assert not any("NOTIFY" in line or "RET=" in line for _, line in world.bad.commands), "a host that offers no DSN"


def test_b05_success_is_reported_when_the_next_host_will_not(stage):
    world = Reports(stage, NOBODY)
    world.smtp(("a@bad.test", " NOTIFY=SUCCESS"), ("b@bad.test", " NOTIFY=NEVER"))
    report = world.report()
    assert report.addresses() == ["rfc822; a@bad.test"]
    assert report.recipients[0]["Action"] == "relayed" and report.recipients[0]["Status"].startswith("2.")
    world.finished()
    world.reports(1)


def test_b05_success_where_mail_ends_is_delivered(stage):
    """By LMTP to a real mailbox, into a Maildir, or nowhere: there is no further host that "relayed" could mean."""
    box = Dovecot(OTHER, {"ann": "a", "bob": "b"})
    stage.add(box, box.stop)
    box.start()
    world = Reports(stage, config={"delivery": {
        "maildir_root": str(stage.folder / "capture"),
        "routes": [{"domain": "box.test", "to": f"lmtp:[{OTHER}]:24"}, {"domain": "folder.test", "to": "maildir:kept"},
                   {"domain": "gone.test", "to": "discard:by order"}]}})
    wanted = ["ann@box.test", "x@folder.test", "x@gone.test"]
    world.smtp(*((address, " NOTIFY=SUCCESS") for address in wanted), ("bob@box.test", " NOTIFY=FAILURE"))
    reports = [Report(arrived) for arrived in world.reports(3)]
    assert sorted(report.addresses() for report in reports) == [[f"rfc822; {address}"] for address in wanted]
    for report in reports:
        assert [r["Action"] for r in report.recipients] == ["delivered"] and report.recipients[0]["Status"].startswith("2.")
        assert "Your message was delivered to the recipients below." in unfolded(report.words)
    box.wait_mails("ann", 1)
    box.wait_mails("bob", 1)
    world.finished()
    world.reports(3)


def test_b05_what_was_asked_goes_on_to_a_host_with_dsn(stage):
    world = Reports(stage, NOBODY, extensions=("PIPELINING", "8BITMIME", "DSN", "SIZE 52428800"))
    message_id = world.smtp(("a@bad.test", " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@bad.test"), parameters=" RET=FULL ENVID=e1")
    world.smtp("b@bad.test")
    world.finished()
    lines = [line for _, line in world.bad.commands]
    assert any(re.search(r"^MAIL FROM:<alice@home.test> .*RET=FULL ENVID=e1$", line) for line in lines), lines
    assert "RCPT TO:<a@bad.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@bad.test" in lines
    assert "RCPT TO:<b@bad.test>" in lines
    assert world.api.events(message_id, "DELIVERED")[0].outcome.reports_passed_on
    world.reports(0)


WRONG = [
    "MAIL FROM:<a@home.test> RET=ALL", "MAIL FROM:<a@home.test> RET=FULL RET=HDRS", "MAIL FROM:<a@home.test> ENVID=",
    "MAIL FROM:<a@home.test> ENVID=" + 101 * "x", "MAIL FROM:<a@home.test> ENVID=a+0Ab",
    "RCPT TO:<b@bad.test> NOTIFY=NEVER,FAILURE", "RCPT TO:<b@bad.test> NOTIFY=", "RCPT TO:<b@bad.test> ORCPT=b@bad.test",
    "RCPT TO:<b@bad.test> NOTIFY=DELAY NOTIFY=DELAY", "RCPT TO:<b@bad.test> ORCPT=rfc822;" + 500 * "x",
    "RCPT TO:<b@bad.test> ORCPT=rfc822;a+0D+0AX:b"]


def test_b05_wrong_parameters_are_501(stage):
    world = World(stage)
    for line in WRONG:
        with Client(world.node.smtp) as client:
            assert "DSN" in client.hello().upper().split()
            if line.startswith("RCPT"):
                assert client.command("MAIL FROM:<a@home.test>")[0] == 250
            assert client.command(line)[0] == 501, line
            assert client.command("NOOP")[0] == 250


def test_b06_the_report_of_a_large_mail_is_small(stage):
    world = Reports(stage, NOBODY)
    word = token()
    line = b"x" * 76 + b"\r\n"
    world.smtp("nobody@bad.test", data=mail(word, (line * (20_000_000 // len(line))), sender=ALICE))
    report = world.report()
    assert len(report.raw) <= 100_000
    assert report.returned.get_content_type() == "text/rfc822-headers"
    assert word in report.returned.get_payload()
    world.finished()


def test_b09_a_storm_of_failures_is_reported_to_the_sender_alone(stage):
    world = Reports(stage, lambda at, argument, session: "550 5.1.1 no" if at == "RCPT" else None)
    refused = []

    def send(numbers):
        with Client(world.node.smtp) as client:
            client.hello()
            for i in numbers:
                client.envelope(ALICE, f"n{i}@bad.test")
                code, _ = client.message(mail(f"storm {i}", sender=ALICE))
                refused.extend([i] if code != 250 else [])
    threads = [threading.Thread(target=send, args=(range(n, 1000, 10),)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not refused
    reports = world.reports(1000, 120)
    told = sorted(Report(each).addresses()[0] for each in reports)
    assert told == sorted(f"rfc822; n{i}@bad.test" for i in range(1000))
    assert {tuple(each.recipients) for each in reports} == {(ALICE,)}
    [shard] = world.finished()
    assert (shard.accepted_total, shard.bounced_total, shard.delivered_total) == (2000, 1000, 1000)


def test_b09_who_may_not_relay_makes_no_report(stage):
    world = Reports(stage, NOBODY, {"trusted_networks": ["10.9.9.9/32"]})
    with Client(world.node.smtp) as client:
        client.hello()
        assert client.command("MAIL FROM:<victim@home.test>")[0] == 250
        assert client.command("RCPT TO:<nobody@bad.test>")[0] == 550
    [shard] = world.finished()
    assert shard.accepted_total == 0


def test_rpc_senders_get_events_unless_they_ask(stage):
    world = Reports(stage, NOBODY)
    silent = world.send("nobody@bad.test", sender=ALICE)
    world.api.wait_event(silent, "BOUNCED")
    asked = world.send("nobody@bad.test", sender=ALICE, dsn=mail_pb2.DsnOptions(
        notify_failure=True, headers_only=True, envelope_id="order 17"))
    world.api.wait_event(asked, "BOUNCED")
    report = world.report()
    assert report.whole["Original-Envelope-Id"] == "order 17"
    assert report.returned.get_content_type() == "text/rfc822-headers"
    world.finished()
    world.reports(1)
    for fields, path in (({"envelope_sender": "<>", "dsn": mail_pb2.DsnOptions()}, "dsn"),
                         ({"dsn": mail_pb2.DsnOptions(envelope_id="a\r\nb")}, "dsn.envelope_id")):
        with pytest.raises(grpc.RpcError) as refused:
            world.send("nobody@bad.test", **fields)
        assert refused.value.code() == Code.INVALID_ARGUMENT and field_errors(refused.value) == [path]


def test_a_report_survives_the_crash_after_its_commit(stage):
    """The home is down when the report is made; the node is killed; the report arrives all the same, once."""
    world = Reports(stage, NOBODY)
    world.home.script = lambda at, argument, session: "421 4.3.2 closed" if at == "connect" else None
    message_id = world.smtp("nobody@bad.test")
    world.api.wait_event(message_id, "BOUNCED")
    world.node.kill()
    world.home.script = lambda at, argument, session: None
    world.node.start()
    assert world.report().addresses() == ["rfc822; nobody@bad.test"]
    world.finished()
    world.reports(1)


def test_beyond_ascii_reports_are_global(stage):
    world = Reports(stage, lambda at, argument, session: "550 5.1.1 no" if at == "RCPT" else None)
    sender = "älice@home.test"
    world.smtp("bøb@bad.test", sender=sender, parameters=" SMTPUTF8",
               data="From: <älice@home.test>\r\nSubject: Grüße\r\n\r\nHej.\r\n".encode())
    arrived = world.reports(1)[0]
    assert arrived.recipients == [sender] and "SMTPUTF8" in arrived.parameters
    assert b"Content-Type: message/global-delivery-status\r\n" in arrived.data
    assert "Final-Recipient: utf-8; bøb@bad.test\r\n".encode() in arrived.data
    assert b"Content-Type: message/global\r\n" in arrived.data and "Subject: Grüße\r\n".encode() in arrived.data
    world.finished()


def test_reload_changes_what_is_reported(stage):
    world = Reports(stage, NOBODY)
    world.node.write_config({"reports": {"from": "postmaster@home.test", "headers_only_over": "1KiB"}})
    world.node.process.signal(signal.SIGHUP)
    wait_for(lambda: "reloaded" in world.node.log(), 30, "reloaded")
    world.smtp("nobody@bad.test", data=mail("x", (b"y" * 70 + b"\r\n") * 30, sender=ALICE))
    [arrived] = world.reports(1)
    assert b"From: Mail Delivery System <postmaster@home.test>\r\n" in arrived.data
    assert b"text/rfc822-headers" in arrived.data


@pytest.mark.parametrize("server", [Postfix, OpenSmtpd])
def test_a_real_next_host_and_a_real_home(stage, server):
    """The home of the sender is a server that others wrote: it takes the report, and the report survives it."""
    class Nobody:
        mails = ()
    world = Reports(stage, NOBODY, home=Nobody())
    home = server("home.test", HOME)
    stage.add(home.start(), home.stop)
    world.smtp("nobody@bad.test", data=mail("To a real home", sender=ALICE))
    kept = wait_for(lambda: home.mails(), 60, home.output)
    assert len(kept) == 1 and b"Return-Path: <>" in kept[0] or b"Return-Path:" not in kept[0]
    assert flufl(kept[0])[1] == {b"nobody@bad.test"}
    world.finished()


def test_postfix_takes_over_what_was_asked_for(stage):
    """It offers DSN: its own report of success comes home, and ours does not."""
    world = Reports(stage, NOBODY)
    next_host = Postfix("real.test", OTHER)
    stage.add(next_host.start(), next_host.stop)
    world.dns.zone["real.test"] = {"MX": [(10, "mx.real.test")]}
    world.dns.zone["mx.real.test"] = {"A": [OTHER]}
    message_id = world.smtp(("a@real.test", " NOTIFY=SUCCESS ORCPT=rfc822;a@real.test"), parameters=" ENVID=e2")
    [delivered] = world.api.wait_event(message_id, "DELIVERED")
    assert delivered.outcome.reports_passed_on and not delivered.report_id
    wait_for(lambda: next_host.mails(), 60, next_host.output)
    world.finished()
    world.reports(0)
