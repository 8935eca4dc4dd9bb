"""The work of bench/overload: see there. The destinations are suspended, so that the load is that of acceptance alone."""

import argparse
import json
import pathlib
import selectors
import socket
import subprocess
import tempfile
import threading
import time

from lib import machine, paths
from support.api import Api, request
from support.node import Node
from support.world import code_of

DOMAINS = 100
CODES = {4: "DEADLINE_EXCEEDED", 8: "RESOURCE_EXHAUSTED", 14: "UNAVAILABLE"}
# A client does not wait longer than this; what would take longer is no use to it.
DEADLINE = 5
NORMAL = 0.1  # Seconds that a call takes when all is well.


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="rpc,smtp,slow")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--folder", default="/var/tmp")
    return parser.parse_args()


class Target:
    """A node with its destinations suspended, whose memory is watched."""

    def __init__(self, folder, config=None):
        config = {"limits": {"connections_per_client": 0}, **(config or {})}
        self.node = Node(folder, config).start()
        self.peak, self.stopping = 0, threading.Event()
        api = Api(self.node.grpc)
        from support.api import admin_pb2
        for domain in [f"d{i}.bench.test" for i in range(DOMAINS)] + ["bench.test"]:
            api.admin.Suspend(admin_pb2.SuspendRequest(domain=domain), timeout=10)
        api.close()

    def accepted(self):
        return self.node.metric("hikyaku_submission_accepted_messages_total") or 0

    def refused(self):
        return self.node.metric("hikyaku_submission_refused_total") or 0

    def normal_after(self):
        """Seconds until ten calls in a row are accepted, each in NORMAL."""
        begin, good = time.monotonic(), 0
        api = Api(self.node.grpc)
        try:
            while good < 10:
                start = time.monotonic()
                ok = code_of(lambda: api.send(request(to=["r@d0.bench.test"]), timeout=DEADLINE)).name == "OK"
                good = good + 1 if ok and time.monotonic() - start < NORMAL else 0
                time.sleep(0.02)
                if time.monotonic() - begin > 120:
                    return None
        finally:
            api.close()
        return time.monotonic() - begin


def rpc(target, seconds, rate=0, channels=8):
    command = [paths.built("bench/rpc_load"), "--address", target.node.grpc, "--mode", "unary", "--rate", str(rate),
               "--seconds", str(seconds), "--in_flight", "256", "--domains", str(DOMAINS), "--channels", str(channels),
               "--deadline", str(DEADLINE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 120)
    return json.loads(done.stdout)


def tell(name, rate, found, target, after):
    codes = ", ".join(f"{count} {CODES.get(int(code), code)}" for code, count in found["codes"].items()) or "none"
    print(f"{name:22} offered {rate:7.0f}/s  taken {found['rate']:6.0f}/s  p50 {found['p50_us'] / 1000:5.0f} ms  "
          f"p99 {found['p99_us'] / 1000:5.0f} ms  peak memory {target.node.peak_mib():4.0f} MiB  normal after "
          f"{'never' if after is None else f'{after:.1f} s'}  refused: {codes}", flush=True)


def measure_rpc(folder, options):
    """O07 by gRPC."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        target = Target(work)
        try:
            best = options.rate
            if not best:
                found = rpc(target, min(options.seconds, 15))
                best = found["rate"]
                tell("rpc, closed loop", 0, found, target, target.normal_after())
            for factor in (1, 2, 10):
                found = rpc(target, options.seconds, best * factor, options.channels)
                tell(f"rpc, {factor} times", best * factor, found, target, target.normal_after())
        finally:
            target.node.kill()


class SmtpLoad:
    """Kept sessions that send one mail after the other, in lockstep, whatever they are answered."""

    def __init__(self, address, sessions, seconds):
        self.sessions, self.codes, self.took = sessions, {}, []
        done = subprocess.run(
            ["/usr/bin/python3", pathlib.Path(__file__).parent / "lib" / "smtp_sessions.py", *map(str, address),
             str(sessions), str(seconds)], capture_output=True, text=True, check=True, timeout=seconds + 180)
        found = json.loads(done.stdout)
        self.codes, self.took = found["codes"], sorted(found["took"])

    def at(self, share):
        return self.took[int(share * (len(self.took) - 1))] if self.took else 0


def smtp(target, sessions, seconds):
    before, begin = target.accepted(), time.monotonic()
    load = SmtpLoad(target.node.smtp, sessions, seconds)
    rate = (target.accepted() - before) / (time.monotonic() - begin)
    after = target.normal_after()
    codes = ", ".join(f"{count} x {code}" for code, count in sorted(load.codes.items()) if code != "250") or "none"
    print(f"smtp, {sessions:5} sessions    taken {rate:6.0f}/s  p50 {load.at(0.5) * 1000:5.0f} ms  p99 "
          f"{load.at(0.99) * 1000:5.0f} ms  peak memory {target.node.peak_mib():4.0f} MiB  normal after {after:.1f} s  "
          f"refused: {codes}", flush=True)


def measure_smtp(folder, options):
    """O07 by SMTP: a session has one mail under way, so more load is more sessions."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        target = Target(work)
        try:
            for sessions in (100, 1000, 4500):
                smtp(target, sessions, options.seconds)
        finally:
            target.node.kill()


class Slow:
    """1000 peers that send a byte every ten seconds, in EHLO, MAIL and DATA; each that is cut comes again."""

    STAGES = [b"", b"EHLO slow.test\r\n", b"EHLO slow.test\r\nMAIL FROM:<a@ours.test>\r\nRCPT TO:<r@bench.test>\r\nDATA\r\n"]

    def __init__(self, address, count=1000):
        self.address, self.cut, self.stopping = address, 0, threading.Event()
        self.selector = selectors.DefaultSelector()
        self.peers = {}
        for i in range(count):
            self.connect(i)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def connect(self, i):
        peer = socket.create_connection(self.address, timeout=20, source_address=(f"127.1.{i // 250}.{i % 250 + 1}", 0))
        peer.sendall(self.STAGES[i % len(self.STAGES)])
        peer.setblocking(False)
        self.peers[peer] = i
        self.selector.register(peer, selectors.EVENT_READ)

    def run(self):
        pause, turn = 10 / len(self.peers), 0
        while not self.stopping.wait(pause):
            peers = list(self.peers)
            try:
                peers[turn % len(peers)].send(b"x")
            except OSError:
                pass
            turn += 1
            for key, _ in self.selector.select(0):
                self.read(key.fileobj)

    def read(self, peer):
        try:
            data = peer.recv(65536)
        except OSError:
            data = b""
        if data and not data.startswith(b"421"):
            return
        self.selector.unregister(peer)
        self.cut += 1
        i = self.peers.pop(peer)
        peer.close()
        self.connect(i)

    def stop(self):
        self.stopping.set()
        self.thread.join(30)


def goodput(target, seconds):
    """Mails a second of smtp-source with 20 kept sessions."""
    before, begin = target.accepted(), time.monotonic()
    while time.monotonic() - begin < seconds:
        subprocess.run(["smtp-source", "-d", "-s", "20", "-m", "5000", "-l", "4096", "-f", "alice@ours.test", "-t",
                        "bob@bench.test", f"{target.node.smtp[0]}:{target.node.smtp[1]}"], check=True)
    return (target.accepted() - before) / (time.monotonic() - begin)


def measure_slow(folder, options):
    """O01. idle_timeout is a minute, so that cuts are seen; with the default of five minutes the load is less."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        target = Target(work, {"smtp": {"idle_timeout": "60s"}})
        try:
            goodput(target, 3)
            alone = goodput(target, options.seconds / 2)
            slow = Slow(target.node.smtp)
            beside = goodput(target, options.seconds * 1.5)
            again_sessions = target.node.metric("hikyaku_submission_sessions", protocol="smtp")
            slow.stop()
            print(f"slow peers: alone {alone:.0f}/s, beside 1000 slow peers {beside:.0f}/s ({beside / alone:.0%}); "
                  f"{slow.cut} were cut; {again_sessions:.0f} sessions; peak memory {target.node.peak_mib():.0f} MiB", flush=True)
        finally:
            target.node.kill()


def main():
    options = parse()
    machine.enter_namespace()
    work = {"rpc": measure_rpc, "smtp": measure_smtp, "slow": measure_slow}
    for name in options.only.split(","):
        work[name](options.folder, options)


if __name__ == "__main__":
    main()
