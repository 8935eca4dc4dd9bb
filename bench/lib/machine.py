"""The machine that measures: its description, its network namespace, what a sync costs on its disk."""

import json
import os
import pathlib
import platform
import re
import resource
import statistics
import subprocess
import tempfile
import time

from lib import paths


def enter_namespace():
    """Readies the network namespace that the calling script made (unshare --net): loopback up, many descriptors."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(65536, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def first(pattern, text, default="unknown"):
    found = re.search(pattern, text, re.M)
    return found.group(1).strip() if found else default


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def device(folder):
    """The name of the block device under `folder`, as /proc/diskstats has it; None where there is none."""
    number = os.stat(folder).st_dev
    for line in pathlib.Path("/proc/diskstats").read_text().splitlines():
        fields = line.split()
        if (int(fields[0]), int(fields[1])) == (os.major(number), os.minor(number)):
            return fields[2]
    return None


def flushes(folder):
    """Cache flushes that the disk of `folder` has completed since boot, all processes together; None where unknown."""
    name = device(folder)
    for line in pathlib.Path("/proc/diskstats").read_text().splitlines():
        fields = line.split()
        if fields[2] == name and len(fields) >= 19:
            return int(fields[18])
    return None


def describe(folder):
    """What ran, for the head of a table."""
    memory = int(first(r"^MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), "0"))
    mount = output("findmnt", "-no", "FSTYPE,SOURCE,OPTIONS", "-T", str(folder)).strip()
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "kernel": platform.release(),
        "cpu": first(r"^model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text()),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**20, 1),
        "disk": " ".join(mount.split()),
        "debian": first(r"(.*)", pathlib.Path("/etc/debian_version").read_text()),
        "commit": output("git", "-C", str(paths.ROOT), "describe", "--always", "--dirty").strip() or "unknown",
        "haraka": json.loads((paths.ROOT / "bench/peers/package.json").read_text())["dependencies"]["haraka"],
        "node": output("node", "--version").strip(),
        "postfix": first(r"^mail_version = (.*)", output("postconf", "-d", "mail_version")),
        "grpc": first(r"^Version: (.*)", output("dpkg", "-s", "libgrpc++-dev")),
        "rocksdb": first(r"^Version: (.*)", output("dpkg", "-s", "librocksdb-dev")),
    }


def sync_times(folder, count=400, size=4096):
    """Seconds that each of `count` fdatasync calls takes after `size` bytes were appended to a file in `folder`."""
    block = os.urandom(size)
    with tempfile.NamedTemporaryFile(dir=folder, prefix="sync-probe-") as file:
        times = []
        for _ in range(count):
            os.write(file.fileno(), block)
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    return times


def sync_summary(folder):
    """Milliseconds: p50 and p99 of the probe, appended 4 KiB a time."""
    times = sorted(sync_times(folder))
    return {"p50_ms": statistics.median(times) * 1000, "p99_ms": times[int(len(times) * 0.99)] * 1000}
