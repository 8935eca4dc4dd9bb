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
from support.http2 import Http2
from support.node import Node
from support.slow_sync import slow_sync
from support.world import code_of

DOMAINS = 100
CODES = {4: "DEADLINE_EXCEEDED", 8: "RESOURCE_EXHAUSTED", 14: "UNAVAILABLE"}
# A client does not wait longer than this; what would take longer is no use to it.
DEADLINE = 5
NORMAL = 0.1  # Seconds that a call takes when all is well.


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="rpc,disk,smtp,slow,resets,streams")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--factors", default="1,2")
    parser.add_argument("--sync", type=float, default=0.3)
    parser.add_argument("--streams", type=int, default=1_000_000)
    parser.add_argument("--apart", action="store_true")
    parser.add_argument("--folder", default="/var/tmp")
    return parser.parse_args()


class Target:
    """A node with its destinations suspended, whose memory is watched."""

    def __init__(self, folder, config=None, env=None):
        config = {"limits": {"connections_per_client": 0}, **(config or {})}
        self.node = Node(folder, config, env=env).start()
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

    def normal_after(self, normal=NORMAL):
        """Seconds until ten calls in a row are accepted, each in `normal`."""
        begin, good = time.monotonic(), 0
        api = Api(self.node.grpc)
        try:
            while good < 10:
                start = time.monotonic()
                ok = code_of(lambda: api.send(request(to=["r@d0.bench.test"]), timeout=DEADLINE)).name == "OK"
                good = good + 1 if ok and time.monotonic() - start < normal else 0
                time.sleep(0.02)
                if time.monotonic() - begin > 120:
                    return None
        finally:
            api.close()
        return time.monotonic() - begin


def rpc(target, seconds, rate, options):
    # A client that begins its calls late, because the server has the processors, is no open loop: it goes first, or has
    # one of its own.
    before = ["taskset", "-c", "1"] if options.apart else ["nice", "-n", "-10"]
    command = [*before, paths.built("bench/rpc_load"), "--address", target.node.grpc, "--mode", "unary", "--rate", str(rate),
               "--seconds", str(seconds), "--in_flight", "512", "--domains", str(DOMAINS), "--channels", str(options.channels),
               "--deadline", str(DEADLINE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 120)
    return json.loads(done.stdout)


def tell(name, target, taken, p50, p99, after, codes, offered=None):
    """One row; times in seconds."""
    refused = ", ".join(f"{count} {code}" for code, count in sorted(codes.items())) or "none"
    asked = "" if offered is None else f"offered {offered:6.0f}/s"
    print(f"{name:22} {asked:16} taken {taken:6.0f}/s  p50 {p50 * 1000:5.0f} ms  p99 {p99 * 1000:5.0f} ms  "
          f"peak memory {target.node.peak_mib():4.0f} MiB  normal after "
          f"{'never' if after is None else f'{after:.1f} s'}  refused: {refused}", flush=True)


def tell_rpc(name, target, found, normal=NORMAL, offered=None):
    codes = {CODES.get(int(code), code): count for code, count in found["codes"].items()}
    tell(name, target, found["rate"], found["p50_us"] / 1e6, found["p99_us"] / 1e6, target.normal_after(normal), codes,
         offered)


def open_loops(name, target, options, factors, normal=NORMAL):
    """What it can bear, by a closed loop, then so many times that, each begun when its time has come."""
    best = options.rate
    if not best:
        found = rpc(target, min(options.seconds, 15), 0, options)
        best = found["rate"]
        tell_rpc(f"{name}, closed loop", target, found, normal)
    for factor in factors:
        found = rpc(target, options.seconds, best * factor, options)
        tell_rpc(f"{name}, {factor:g} times", target, found, normal, best * factor)


def measure_rpc(folder, options):
    """O07 by gRPC. Ten times what two cores can take, from the same two cores, is no measurement: see measure_disk."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        target = Target(work)
        if options.apart:
            subprocess.run(["taskset", "-a", "-p", "-c", "0", str(target.node.process.pid)], check=True, stdout=subprocess.DEVNULL)
        try:
            open_loops("rpc", target, options, [float(factor) for factor in options.factors.split(",")])
        finally:
            target.node.kill()


def measure_disk(folder, options):
    """O07 where the disk, not the processor, is what is short: every fdatasync takes --sync seconds longer."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        target = Target(work, env=slow_sync(work, options.sync))
        try:
            open_loops("slow disk", target, options, (1, 2, 10), normal=3 * options.sync)
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
    codes = {f"x {code}": count for code, count in load.codes.items() if code != "250"}
    tell(f"smtp, {sessions} sessions", target, rate, load.at(0.5), load.at(0.99), target.normal_after(), codes)


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


class Normal:
    """A client that sends mail one after the other and keeps the times."""

    def __init__(self, target):
        self.api, self.took, self.failed, self.stopping = Api(target.node.grpc), [], {}, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping.wait(0.005):
            begin = time.monotonic()
            code = code_of(lambda: self.api.send(request(to=["r@bench.test"]), timeout=60)).name
            self.took.append(time.monotonic() - begin)
            if code != "OK":
                self.failed[code] = self.failed.get(code, 0) + 1

    def stop(self):
        self.stopping.set()
        self.thread.join(70)
        self.api.close()
        self.took.sort()


def attack(name, folder, what):
    """Runs `what(address)`, which gives a text, beside a normal client."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        target = Target(work)
        try:
            normal, begin = Normal(target), time.monotonic()
            text = what(target.node.grpc)
            seconds = time.monotonic() - begin
            normal.stop()
            at = lambda share: normal.took[int(share * (len(normal.took) - 1))] * 1000
            print(f"{name}: {text} in {seconds:.1f} s; {len(normal.took)} normal calls beside it: p50 {at(0.5):.0f} ms, "
                  f"p99 {at(0.99):.0f} ms, failed: {normal.failed or 'none'}; peak memory {target.node.peak_mib():.0f} MiB; "
                  f"normal after {target.normal_after():.1f} s", flush=True)
        finally:
            target.node.kill()


def frames(address, count, step):
    """Does `step(connection)` so many times, on a new connection when the server has closed one; how often it had."""
    connection, closed = Http2(address), 0
    for i in range(count):
        if connection.broken or connection.goaway is not None:
            connection.socket.close()
            connection, closed = Http2(address), closed + 1
        step(connection)
        if i % 100 == 99:
            connection.flush()
            connection.read(0.0001)
    connection.socket.close()
    return closed


def measure_resets(folder, options):
    """G04: calls that are opened and reset at once (CVE-2023-44487)."""
    def rapid_reset(address):
        closed = frames(address, 100_000, lambda c: c.h2.reset_stream(c.open_stream(), 8))
        return f"100,000 streams opened and reset, {closed} connections closed by the server"
    attack("resets", folder, rapid_reset)


def measure_streams(folder, options):
    """G08: a million calls that are opened and left open, on a connection that may have 256."""
    def many_streams(address):
        def step(connection):
            if connection.limit != 1 << 30:  # What the server allows is none of our business.
                while connection.limit is None and connection.read(1):
                    pass
                connection.limit = connection.h2.remote_settings[3] = 1 << 30
                connection.h2.remote_settings.acknowledge()
            connection.open_stream()
        closed = frames(address, options.streams, step)
        return f"{options.streams:,} streams opened, {closed} connections closed by the server"
    attack("streams", folder, many_streams)


def main():
    options = parse()
    machine.enter_namespace()
    work = {"rpc": measure_rpc, "disk": measure_disk, "smtp": measure_smtp, "slow": measure_slow,
            "resets": measure_resets, "streams": measure_streams}
    for name in options.only.split(","):
        work[name](options.folder, options)


if __name__ == "__main__":
    main()
