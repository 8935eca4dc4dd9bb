"""Reports on TLS by HTTPS (RFC 8460 §5.4): a real HTTPS server takes what the real binary posts, refuses it, is slow, or is
not who it should be. Reports are sent by wish (`hikyaku queue tls-report`), so that no day has to end."""

import gzip
import json
import subprocess
import threading

import grpc
import pytest

from support.api import admin_pb2
from support.certificates import Identity
from support.dkim import Keys
from support.node import BINARY
from support.policy_host import PolicyHost
from support.post import token
from support.wait import wait_for
from support.world import World

WEB, MX, RUA = "20.0.0.51", "20.0.0.52", "20.0.0.53"
FROM = "tls-reports@ours.test"

pytestmark = pytest.mark.usefixtures("books_add_up")


class Reported(World):
    """A world whose domains want their reports by HTTPS, each at a host of its own."""

    def __init__(self, stage):
        folder = stage.folder / "tls"
        self.folder, self.authority = folder, Identity(folder, "authority", authority=True, days=100)
        keys = Keys(stage.folder / "keys")
        keys.make("k1", "ours.test")
        super().__init__(stage, {
            "reports": {"tls": {"from": FROM}},
            "queue": {"retry": {"min": "1m", "max": "1m"}},  # The tests say when.
            "dkim": {"folder": str(keys.folder), "domains": [{"domain": "ours.test", "selectors": ["k1"]}]},
            "delivery": {"tls": {"ca_file": str(self.authority.files[0])}}})
        self.web = PolicyHost(folder, self.authority, WEB)
        stage.add(self.web, self.web.stop)
        stage.sink(MX)
        self.rua = stage.sink(RUA)
        self.dns.zone["rua.test"] = {"MX": [(10, "mx.rua.test")]}
        self.dns.zone["mx.rua.test"] = {"A": [RUA]}

    def wanting(self, *answers, identity=None, address=WEB, more=""):
        """A fresh domain with one session to report on: its name, and the host that its report is posted to."""
        word = token()
        domain, host = f"{word}.test", f"rua.{word}.test"
        self.dns.zone[domain] = {"MX": [(10, f"mx.{word}.test")]}
        self.dns.zone[f"mx.{word}.test"] = {"A": [MX]}  # Of its own: a kept connection is counted once.
        self.dns.zone[f"_smtp._tls.{domain}"] = {"TXT": [f'"v=TLSRPTv1; rua=https://{host}/v1/tlsrpt?a=b{more}"']}
        self.dns.zone[host] = {"A": [address]}
        self.web.take_posts(host, *answers, identity=identity)
        self.delivered(self.send(f"x@{domain}"))
        return domain, host

    def report(self, domain, **fields):
        return self.api.admin.SendTlsReports(admin_pb2.SendTlsReportsRequest(domain=domain, **fields), timeout=30)

    def waiting(self, host):
        """What waits to be posted to a host."""
        request = admin_pb2.ListDeliveriesRequest(domain=f"https://{host}")
        return self.api.admin.ListDeliveries(request, timeout=10).deliveries

    def tried(self, host, attempts=1):
        """The last outcome at the host, once that many attempts have ended and it waits."""
        def ended():
            return [d for d in self.waiting(host) if d.attempts >= attempts and d.state == "scheduled"]
        [delivery] = wait_for(ended, 90, lambda: f"a failed attempt: {self.waiting(host)}")
        return delivery.last_outcome

    def try_again(self, host):
        self.api.admin.Flush(admin_pb2.FlushRequest(domain=f"https://{host}"), timeout=10)

    def posts(self, host, count):
        wait_for(lambda: len(self.web.posts(host)) >= count, 60, lambda: f"{count} posts\n{self.node.process.tail()}")
        posts = self.web.posts(host)
        assert len(posts) == count
        return posts


@pytest.fixture(scope="module")
def world(module_stage):
    return Reported(module_stage)


def read(body):
    return json.loads(gzip.decompress(body))


def test_a_report_is_posted(world):
    domain, host = world.wanting(more=",mailto:tls@rua.test")
    done = subprocess.run([BINARY, "queue", "tls-report", domain, "--server", world.node.grpc], capture_output=True, text=True,
                          timeout=60)
    assert (done.returncode, done.stdout) == (0, "reports queued: 1\n"), done
    [(path, headers, body)] = world.posts(host, 1)
    assert path == "/v1/tlsrpt?a=b" and headers["Content-Type"] == "application/tlsrpt+gzip"
    report = read(body)
    assert report["contact-info"] == FROM
    (policy,) = report["policies"]
    assert policy["policy"]["policy-domain"] == domain
    assert policy["summary"] == {"total-successful-session-count": 0, "total-failure-session-count": 1}
    # The mail beside it is the same report, and says so by its id.
    wait_for(lambda: world.rua.mails, 60, "the mail")
    assert report["report-id"].encode() in world.rua.mails[-1].data.replace(b"\r\n", b"").replace(b" ", b"")
    world.api.wait_empty()
    # It was sent: neither a wish nor the end of the day sends it again.
    assert world.report(domain).reports == 0
    assert len(world.web.posts(host)) == 1


def test_what_comes_later_is_another_report(world):
    domain, host = world.wanting()
    assert world.report(domain, ended_days_only=True).reports == 0
    assert world.report(domain).reports == 1
    world.posts(host, 1)
    # The sessions of a kept connection are counted once: a fresh one is needed.
    world.node.restart()
    world.delivered(world.send(f"y@{domain}"))
    assert world.report("").reports == 1
    first, second = (read(body) for _, _, body in world.posts(host, 2))
    assert first["report-id"] != second["report-id"]
    assert all(r["policies"][0]["summary"]["total-failure-session-count"] == 1 for r in (first, second)), "each session once"


def test_5xx_then_200(world):
    domain, host = world.wanting((503, {}), (200, {}))
    world.report(domain)
    outcome = world.tried(host)
    assert (outcome.enhanced_code, outcome.text) == ("4.5.0", "the answer to POST is 503"), outcome
    assert outcome.remote_host == f"{host} [{WEB}]:443"
    world.try_again(host)
    one, two = world.posts(host, 2)
    assert one[2] == two[2], "the same report"
    world.api.wait_empty()


def test_a_certificate_that_is_not_theirs_gets_nothing(world):
    wrong = Identity(world.folder, token(), ["rua.elsewhere.test"], issuer=world.authority)
    alone = Identity(world.folder, token(), ["*.test"])
    for identity in (wrong, alone):
        domain, host = world.wanting(identity=identity)
        world.report(domain)
        outcome = world.tried(host)
        assert outcome.enhanced_code == "4.7.5", outcome
        assert world.web.posts(host) == []
        world.web.take_posts(host)  # Renewed.
        world.try_again(host)
        world.posts(host, 1)
        world.api.wait_empty()


def test_a_redirect_is_not_followed(world):
    target, elsewhere = world.wanting()
    domain, host = world.wanting((307, {"Location": f"https://{elsewhere}/x"}))
    world.report(domain)
    world.posts(host, 1)
    world.api.wait_empty()
    assert world.web.posts(elsewhere) == []
    assert '"text":"the answer to POST is 307"' in world.node.log()
    assert world.report(target).reports == 1


def test_a_host_that_says_nothing_holds_nobody_up(world):
    silence = threading.Event()
    domain, host = world.wanting(silence)
    world.report(domain)
    world.posts(host, 1)
    other, quick = world.wanting()
    world.report(other)
    world.posts(quick, 1)
    assert world.tried(host).enhanced_code == "4.4.2"
    silence.set()
    world.try_again(host)
    world.posts(host, 2)
    world.api.wait_empty()


def test_a_killed_worker_posts_again(world):
    silence = threading.Event()
    domain, host = world.wanting(silence)
    world.report(domain)
    world.posts(host, 1)
    world.node.kill()
    silence.set()
    world.node.start()
    one, two = world.posts(host, 2)
    assert one[2] == two[2]
    world.api.wait_empty()


def test_a_host_inside_is_not_asked(world):
    domain, host = world.wanting(address="127.0.0.1")
    world.report(domain)
    outcome = world.tried(host)
    assert outcome.enhanced_code == "4.4.1" and "127.0.0.1" in outcome.text + outcome.remote_host, outcome


def test_usage(world):
    for arguments in ([], ["a.test", "--all"]):
        done = subprocess.run([BINARY, "queue", "tls-report", *arguments, "--server", world.node.grpc], capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 2 and "give one of DOMAIN and --all" in done.stderr, done
    with pytest.raises(grpc.RpcError) as refused:
        world.report("not a domain")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
