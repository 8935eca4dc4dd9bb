"""The work of bench/backlog: see there. Runs inside a network namespace of its own."""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from lib import machine, paths
from lib.load import SINK, SmtpSink, smtp_source
from support.node import Node
from support.process import Process

LOADER = os.environ.get("BACKLOG_LOAD") or paths.built("bench/backlog_load")
HOUR = 3600
ROUNDS = 5
TICKS = os.sysconf("SC_CLK_TCK")


class Table:
    """What was measured; a row with a limit can be broken."""

    def __init__(self):
        self.broken = False

    def row(self, what, value, unit="", most=None, least=None):
        limit = f"at most {most:g}" if most is not None else f"at least {least:g}" if least is not None else ""
        bad = (most is not None and value > most) or (least is not None and value < least)
        self.broken |= bad
        shown = f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
        print(f"  {what:58} {shown:>10} {unit:9} {limit:15} {'BROKEN' if bad else 'ok' if limit else ''}", flush=True)


class Backlog:
    """A node of its own ports, whose queue may be large."""

    def __init__(self, folder, name, number):
        config = {
            "listeners": {"grpc": [{"address": f"127.0.0.1:{7025 + number}"}],
                          "smtp": [{"address": f"127.0.0.1:{2525 + number}"}],
                          "http": [{"address": f"127.0.0.1:{8025 + number}"}]},
            "delivery": {"allow_ranges": ["127.0.0.0/8"], "routes": [
                {"domain": "well.test", "to": f"[{SINK[0]}]:{SINK[1]}"},
                {"domain": "dead.test", "to": "[127.0.0.1]:2599"}]},  # Nobody listens there.
            # What was deferred stays so while the rest is measured: retries have a load of their own.
            "queue": {"retry": {"min": "2h", "max": "4h"}, "min_free_disk": "256MiB"},
        }
        self.node = Node(folder, config, name=name)
        self.peak = 0

    @property
    def pid(self):
        return self.node.process.pid

    def start(self):
        self.peak, began = 0, time.monotonic()
        self.node.start()
        return time.monotonic() - began

    def stop(self):
        self.node.stop()

    def rss(self):
        """All that is resident, in MiB; remembers the peak."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        now, peak = (int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1024 for name in ("VmRSS", "VmHWM"))
        self.peak = max(self.peak, peak)
        return now

    def cpu(self):
        """Seconds of the processor so far."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def open(self):
        """Deliveries that wait, each for one recipient."""
        return int(self.node.metric("hikyaku_queue_queued_recipients") or 0)

    def settle(self, patience):
        """Waits until nothing is attempted any more, but for probes."""
        end, before = time.monotonic() + patience, -100
        while time.monotonic() < end:
            tried = self.node.metric("hikyaku_queue_deferred_recipients_total") or 0
            if tried - before < 50:
                break
            before = tried
            time.sleep(5)

    def freeze(self, frozen):
        self.node.process.signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def disk(self):
        return int(subprocess.run(["du", "-sm", self.node.data], check=True, capture_output=True).stdout.split()[0])


def load(what, **options):
    """Runs the loader; its answer."""
    flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    done = subprocess.run([LOADER, what, *flags], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{what} {options}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def send(backlog, **options):
    return load("send", address=backlog.node.grpc, **options)


def fill_by_rpc(backlog, table, plan, there):
    half = (plan.mails - there) // 2
    later = send(backlog, mails=half, domains=plan.domains, size=plan.size, soonest=6 * HOUR, latest=48 * HOUR,
                 **{"from": there})
    now = send(backlog, mails=plan.mails - there - half, domains=plan.domains, size=plan.size,
               **{"from": there + half})
    table.row("accepted while filling, scheduled", later["accepted"] / later["seconds"], "mails/s")
    table.row("accepted while filling, attempted at the same time", now["accepted"] / now["seconds"], "mails/s")
    backlog.settle(plan.patience)
    tried = backlog.node.metric("hikyaku_queue_deferred_recipients_total") or 0
    table.row("of them deferred by an attempt", tried, "mails")


def fill_in_process(backlog, table, plan, there):
    backlog.stop()
    done = load("fill", folder=backlog.node.data, mails=plan.mails - there, domains=plan.domains, size=plan.size,
                soonest=6 * HOUR, latest=48 * HOUR, **{"from": there})
    table.row("filled by the queue's own code, in a process apart", done["accepted"] / done["seconds"], "mails/s")
    backlog.start()


def part_idle(plan, table):
    with tempfile.TemporaryDirectory(prefix="hikyaku-backlog-") as folder:
        backlog = Backlog(folder, "idle", 0)
        backlog.start()
        time.sleep(5)
        table.row("resident, idle node with an empty queue", backlog.rss(), "MiB", most=100)
        backlog.stop()


def part_fill(plan, table):
    backlog = plan.full
    backlog.start()
    there = backlog.open()
    table.row("deliveries that an earlier run left", there)
    if there < plan.mails:
        (fill_by_rpc if plan.by_rpc else fill_in_process)(backlog, table, plan, there)
    table.row("deliveries that wait", backlog.open(), "", least=plan.mails)
    backlog.rss()
    table.row("resident, highest while filling", backlog.peak, "MiB", most=plan.memory)
    time.sleep(20)
    table.row("resident, 20 s later", backlog.rss(), "MiB", most=plan.memory)
    backlog.stop()
    table.row("on disk", backlog.disk(), "MiB")


def part_restart(plan, table):
    backlog = plan.full
    times = []
    for _ in range(3):
        times.append(backlog.start())
        count = backlog.open()
        backlog.stop()
    table.row("deliveries that wait", count, "", least=plan.mails)
    table.row("stopped in order, start to ready, median of 3", statistics.median(times), "s", most=plan.restart)
    backlog.start()
    send(backlog, mails=plan.mails // 50, domains=plan.domains, size=plan.size, soonest=6 * HOUR, latest=48 * HOUR,
         **{"from": 2 * plan.mails})
    backlog.node.kill()
    table.row(f"killed after {plan.mails // 50:,} more, start to ready", backlog.start(), "s", most=plan.restart)
    began = backlog.cpu()
    time.sleep(20)
    table.row("resident, 20 s after the start", backlog.rss(), "MiB", most=plan.memory)
    table.row("resident, highest until then", backlog.peak, "MiB", most=plan.memory)
    table.row("processor while nothing happens (polls, sweeps)", 100 * (backlog.cpu() - began) / 20, "% of one")
    backlog.stop()


def alternating(backlogs, measure):
    """Rounds in turn, the others frozen; the results of each."""
    results = [[] for _ in backlogs]
    for backlog in backlogs:
        backlog.freeze(True)
    for turn in range(ROUNDS + 1):
        for backlog, found in zip(backlogs, results):
            backlog.freeze(False)
            value = measure(backlog)
            if turn > 0:  # The first warms up.
                found.append(value)
            backlog.freeze(True)
    for backlog in backlogs:
        backlog.freeze(False)
    return results


def part_accept(plan, table):
    mails = min(plan.mails // 20, 30_000)
    with tempfile.TemporaryDirectory(prefix="hikyaku-backlog-", dir=plan.folder) as folder:
        empty = Backlog(folder, "empty", 1)
        empty.start(), plan.full.start()
        plan.full.settle(plan.patience)
        numbers = iter(range(10**9, 10**12, 10**7))

        def accept(backlog):
            done = send(backlog, mails=mails, domains=plan.domains, size=4096, soonest=6 * HOUR, latest=48 * HOUR,
                        **{"from": next(numbers)})
            return done["accepted"] / done["seconds"]
        without, full = (statistics.median(found) for found in alternating([empty, plan.full], accept))
        empty.stop()
        plan.full.rss()
        table.row(f"accepted, empty queue, {mails} mails of 4 KiB", without, "mails/s")
        table.row("accepted, full queue, the same", full, "mails/s")
        table.row("ratio", full / without, "", least=0.8)
        table.row("resident, highest meanwhile", plan.full.peak, "MiB", most=plan.memory)
        plan.full.stop()


def part_dead(plan, table):
    mails = min(plan.mails // 20, 30_000)
    folder = plan.folder / "dead"
    folder.mkdir(exist_ok=True)
    clean, laden = Backlog(folder, "clean", 2), Backlog(folder, "laden", 3)
    laden.start()
    if laden.open() < plan.mails:
        laden.stop()
        load("fill", folder=laden.node.data, mails=plan.mails, domains=1, word="dead", size=plan.size)
        laden.start()
    clean.start()

    def deliver(backlog):
        with tempfile.TemporaryDirectory() as sink_folder:
            sink = SmtpSink(sink_folder)
            begin = time.monotonic()
            smtp_source(backlog.node.smtp, mails, 20, 4096, "bob@well.test")
            sink.wait(mails, 300)
            took = time.monotonic() - begin
            sink.stop()
        return mails / took
    without, full = (statistics.median(found) for found in alternating([clean, laden], deliver))
    table.row("deliveries to the dead domain that wait", laden.open(), "", least=plan.mails)
    tried = laden.node.metric("hikyaku_queue_deferred_recipients_total") or 0
    table.row("attempts at it meanwhile", tried, "")
    table.row(f"healthy domain, end to end, alone, {mails} mails of 4 KiB", without, "mails/s")
    table.row("healthy domain beside the dead one", full, "mails/s")
    table.row("ratio", full / without, "", least=0.95)
    laden.rss()
    table.row("resident, highest meanwhile", laden.peak, "MiB", most=plan.memory)
    clean.stop(), laden.stop()


PARTS = {"idle": part_idle, "fill": part_fill, "restart": part_restart, "accept": part_accept, "dead": part_dead}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("millions", nargs="?", type=float, default=1)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--size", type=int)
    plan = parser.parse_args()
    plan.mails = 10_000 if plan.small else int(plan.millions * 1_000_000)
    plan.domains = 1_000 if plan.small else 100_000
    plan.by_rpc = plan.mails <= 1_000_000
    plan.memory = 500 if plan.by_rpc else 1024
    plan.restart = 10 if plan.by_rpc else None
    plan.size = plan.size or (4096 if plan.by_rpc else 1024)
    plan.patience = 10 if plan.small else 120
    return plan


def main():
    plan = arguments()
    keep = plan.folder is not None
    plan.folder = plan.folder or pathlib.Path(tempfile.mkdtemp(prefix="hikyaku-backlog-"))
    plan.folder.mkdir(parents=True, exist_ok=True)
    machine.enter_namespace()
    ran = machine.describe(plan.folder)
    print(f"{plan.mails:,} deliveries over {plan.domains:,} domains, bodies of {plan.size} bytes, sync on, "
          f"{ran['date']}, {ran['cores']} cores ({ran['cpu']}), {ran['memory_gib']} GiB, {ran['disk']}, RocksDB {ran['rocksdb']}, "
          f"loader on the same machine")
    dns = Process([LOADER, "refuse", "--address", "127.0.0.1:53"], plan.folder / "dns.log")
    plan.full = Backlog(plan.folder, "full", 0)
    table = Table()
    try:
        for part in plan.only.split(","):
            print(part, flush=True)
            PARTS[part](plan, table)
    finally:
        dns.kill()
        if not keep:
            shutil.rmtree(plan.folder, ignore_errors=True)
    return 1 if table.broken else 0


if __name__ == "__main__":
    sys.exit(main())
