"""How fast mail is accepted by gRPC, beside a bare gRPC server under the same client.

Each measurement has a fresh instance. "parked": the mail's domains are suspended, so that only acceptance works;
"delivering": it goes on to the sink at the same time.
"""

import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

from lib import machine, paths, usage
from lib.load import SmtpSink
from lib.systems import Hikyaku, HikyakuThree
from support.process import Process
from support.wait import port_open

ECHO = ("127.0.0.1", 7300)
DOMAINS = 100
IN_FLIGHT = 256


class Echo:
    def __init__(self, answer):
        self.answer, self.grpc = answer, f"{ECHO[0]}:{ECHO[1]}"

    def start(self, folder):
        self.process = Process([paths.built("bench/grpc_echo"), self.grpc, self.answer], pathlib.Path(folder) / "echo.log")
        self.process.wait_until(lambda: port_open(*ECHO), what="grpc_echo")

    @property
    def roots(self):
        return [self.process.pid]

    def stop(self):
        self.process.kill()


class Accept:
    """A node, or three services, that take mail in."""

    def __init__(self, kind, parked):
        self.kind, self.parked = kind, parked

    def start(self, folder):
        self.system = self.kind(folder, {"queue": {"domain_concurrency": 100}}).start()
        self.sink = None if self.parked else SmtpSink(folder)
        if self.parked:
            self.suspend()

    def suspend(self):
        from support.api import Api, admin_pb2
        api = Api(self.grpc)
        for i in range(DOMAINS):
            api.admin.Suspend(admin_pb2.SuspendRequest(domain=f"d{i}.bench.test"), timeout=10)
        api.close()

    @property
    def grpc(self):
        return self.system.front.grpc

    @property
    def roots(self):
        return self.system.roots

    def stop(self):
        self.system.stop()
        if self.sink:
            self.sink.stop()


# Row of the table: (what is measured, mode of the client).
ROWS = {
    "echo unary": (lambda: Echo("echo"), "unary"),
    "echo stream": (lambda: Echo("echo"), "stream"),
    "echo unary, small answer": (lambda: Echo("small"), "unary"),
    "echo stream, small answer": (lambda: Echo("small"), "stream"),
    "hikyaku unary, parked": (lambda: Accept(Hikyaku, True), "unary"),
    "hikyaku stream, parked": (lambda: Accept(Hikyaku, True), "stream"),
    "hikyaku unary, delivering": (lambda: Accept(Hikyaku, False), "unary"),
    "hikyaku stream, delivering": (lambda: Accept(Hikyaku, False), "stream"),
    "hikyaku3 unary, parked": (lambda: Accept(HikyakuThree, True), "unary"),
    "hikyaku3 stream, parked": (lambda: Accept(HikyakuThree, True), "stream"),
    "hikyaku3 unary, delivering": (lambda: Accept(HikyakuThree, False), "unary"),
    "hikyaku3 stream, delivering": (lambda: Accept(HikyakuThree, False), "stream"),
}


def one(row, seconds, rate, folder):
    """One measurement on a fresh instance; what the client printed, and CPU seconds of both sides a 1000 calls."""
    make, mode = ROWS[row]
    with tempfile.TemporaryDirectory(dir=folder, prefix="rpc-") as work:
        pathlib.Path(work).chmod(0o755)
        target = make()
        target.start(work)
        try:
            meter = usage.Meter(target.roots).start()
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            command = [paths.built("bench/rpc_load"), "--address", target.grpc, "--mode", mode, "--rate", str(rate),
                       "--seconds", str(seconds), "--in_flight", str(IN_FLIGHT), "--domains", str(DOMAINS)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = meter.stop()
        finally:
            target.stop()
    if done.returncode:
        raise AssertionError(f"{row}: rpc_load failed: {done.stdout}{done.stderr}")
    found = json.loads(done.stdout)
    # The warm-up of a second is in these, as it is in what they are divided by.
    calls = max(1, found["rate"] * (seconds + 1)) / 1000
    found["cpu_1000"] = used["cpu"] / calls
    found["client_cpu_1000"] = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / calls
    return found


def measure(folder, options):
    """Every row, `options.rounds` rounds in turn; then each at half of its rate, as often."""
    result = {"rows": {row: [] for row in options.rpc}, "half": {}, "sync": [], "seconds": options.seconds}
    for _ in range(options.rounds):
        result["sync"].append(machine.sync_summary(folder))
        for row in options.rpc:
            found = one(row, options.seconds, 0, folder)
            result["rows"][row].append(found)
            say(row, found)
    for row in (row for row in options.rpc if "small" not in row):
        half = statistics.median(found["rate"] for found in result["rows"][row]) / 2
        result["half"][row] = [one(row, options.seconds, half, folder) for _ in range(options.rounds)]
        say(row + ", half load", result["half"][row][-1])
    return result


def say(row, found):
    failed = f", {found['failed']} failed: {found['why']}" if found["failed"] else ""
    print(f"  {row:36} {found['rate']:7.0f}/s, p50 {found['p50_us'] / 1000:.2f} ms, p99 {found['p99_us'] / 1000:.2f} ms"
          f"{failed}", file=sys.stderr, flush=True)
