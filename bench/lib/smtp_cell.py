"""One cell of the table: every system with mails of one size over so many kept sessions, round after round in turn."""

import pathlib
import re
import subprocess
import sys
import tempfile
import time

from lib import machine, usage
from lib.load import smtp_source

FEWEST, MOST = 500, 60000  # Mails of one measurement.
DRAIN = 120  # Seconds in which the sink must have the last mail.
TRACED = 300  # Mails under a tracer, where a system does not count its own syncs.


def one(system, mails, sessions, size, folder):
    """Mails a second until the sink has them all, and what that took."""
    with tempfile.TemporaryDirectory() as logs:
        sink = system.sink(logs, mails)
        try:
            flushes, syncs = machine.flushes(folder), system.syncs()
            behind = usage.Meter([sink.pid]).start()
            under = usage.Meter(system.roots).start()
            start = time.monotonic()
            accepted, source_cpu = smtp_source(system.address, mails, sessions, size)
            sink.wait(mails, DRAIN)
            took = time.monotonic() - start
            used, sink_used = under.stop(), behind.stop()
            syncs_after = system.syncs()
        finally:
            sink.stop()
    return {"mails": mails, "seconds": took, "rate": mails / took, "accept_rate": mails / accepted,
            "cpu": used["cpu"], "source_cpu": source_cpu, "sink_cpu": sink_used["cpu"], "machine_cpu": used["machine_cpu"],
            "voluntary": used["voluntary"], "involuntary": used["involuntary"], "rss": used["rss"],
            "flushes": None if flushes is None else machine.flushes(folder) - flushes,
            "syncs": None if syncs is None else syncs_after - syncs}


def traced_syncs(system, sessions, size, folder):
    """Sync calls a mail, from a short run under strace: for systems that do not count them."""
    trace = pathlib.Path(folder) / f"{system.name}.strace"
    pids = [str(process.pid) for process in usage.tree(system.roots)]
    tracer = subprocess.Popen(["strace", "-f", "-o", trace, "-e", "trace=fsync,fdatasync,sync_file_range,syncfs",
                               *(f"--attach={pid}" for pid in pids)], stderr=subprocess.PIPE)
    for line in iter(tracer.stderr.readline, b""):
        if b"attached" in line:
            break
    one(system, TRACED, sessions, size, folder)
    tracer.terminate()
    tracer.communicate()
    return len(re.findall(r"\b(?:fsync|fdatasync|sync_file_range|syncfs)\(", trace.read_text())) / TRACED


def say(text):
    print(f"  {text}", file=sys.stderr, flush=True)


def measure(folder, size, sessions, systems, options):
    """Starts all systems (name: class), warms each up, then measures `options.rounds` rounds in turn."""
    say(f"{size} bytes, {sessions} sessions")
    running, result = [], {"size": size, "sessions": sessions, "systems": {}}
    try:
        for name, system in systems.items():
            running.append(system(folder).start())
            running[-1].check()
            result["systems"][name] = {"about": system.about, "rounds": []}
        mails = {}
        for system in running:
            warm = one(system, FEWEST, sessions, size, folder)
            warm = one(system, max(FEWEST, int(warm["rate"])), sessions, size, folder)
            mails[system.name] = min(MOST, max(FEWEST, int(warm["rate"] * options.seconds)))
        for _ in range(options.rounds):
            for system in running:
                found = one(system, mails[system.name], sessions, size, folder)
                result["systems"][system.name]["rounds"].append(found)
                say(f"{system.name:9} {found['rate']:7.0f} mails/s, {found['cpu'] / found['mails'] * 1000:.3f} CPU s a 1000")
        for system in running:
            if system.syncs() is None:
                result["systems"][system.name]["traced_syncs"] = traced_syncs(system, sessions, size, folder)
    finally:
        for system in running:
            system.stop()
    return result
