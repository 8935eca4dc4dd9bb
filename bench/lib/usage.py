"""CPU, context switches and memory of whole process trees, from /proc: the same ruler for every system measured."""

import collections
import dataclasses
import os
import pathlib
import threading

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclasses.dataclass
class Process:
    pid: int
    parent: int
    started: int   # Tells a process from a later one of the same number.
    cpu: float     # Seconds, with those of the children that it has reaped.


def read(path):
    """The text of a file of /proc; empty when its process has gone."""
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def parse_stat(text):
    # The name stands in parentheses and may hold anything.
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), int(fields[19]), sum(int(field) for field in fields[11:15]) / TICK


def tree(roots):
    """The processes that are `roots` (pids) or descend from them."""
    found, children = {}, collections.defaultdict(list)
    for name in os.listdir("/proc"):
        text = read(f"/proc/{name}/stat") if name.isdigit() else ""
        if text:
            parent, started, cpu = parse_stat(text)
            found[int(name)] = Process(int(name), parent, started, cpu)
            children[parent].append(int(name))
    result, waiting = [], [pid for pid in roots if pid in found]
    while waiting:
        pid = waiting.pop()
        result.append(found[pid])
        waiting += children[pid]
    return result


def switches(pid):
    """(voluntary, involuntary) context switches of all threads of one process."""
    sums = [0, 0]
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return tuple(sums)
    for task in tasks:
        for line in read(f"/proc/{pid}/task/{task}/status").splitlines()[-2:]:
            name, _, value = line.partition(":")
            if name.endswith("ctxt_switches"):
                sums[name.startswith("non")] += int(value)
    return tuple(sums)


def memory(pids):
    """Bytes resident: what each process has alone, and the largest shared part once."""
    own, shared = 0, 0
    for pid in pids:
        fields = read(f"/proc/{pid}/statm").split()
        if fields:
            own += (int(fields[1]) - int(fields[2])) * PAGE
            shared = max(shared, int(fields[2]) * PAGE)
    return own + shared


def machine_cpu():
    """Seconds that the machine's cores were busy since boot, the kernel's own work included."""
    fields = [int(field) for field in read("/proc/stat").split("\n", 1)[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / TICK


class Meter:
    """What process trees use between `start` and `stop`.

    CPU is exact, since a parent inherits that of the children it reaps. Context switches and memory are sampled once a
    second: what a process does after its last sample is not seen, which matters only for processes that live shortly.
    """

    INTERVAL = 1.0

    def __init__(self, roots):
        self.roots = list(roots)
        self.seen = {}
        self.peak = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        self.first = {(p.pid, p.started): switches(p.pid) for p in tree(self.roots)}
        self.cpu = sum(p.cpu for p in tree(self.roots))
        self.busy = machine_cpu()
        self.thread.start()
        return self

    def sample(self):
        processes = tree(self.roots)
        for each in processes:
            now = switches(each.pid)
            if any(now):
                self.seen[each.pid, each.started] = now
        self.peak = max(self.peak, memory([each.pid for each in processes]))

    def run(self):
        while not self.stopping.wait(self.INTERVAL):
            self.sample()

    def stop(self):
        """CPU seconds, context switches and peak RSS in bytes, and the CPU seconds of the whole machine."""
        busy = machine_cpu() - self.busy
        cpu = sum(p.cpu for p in tree(self.roots)) - self.cpu
        self.stopping.set()
        self.thread.join()
        self.sample()
        counts = [sum(now[kind] - self.first.get(key, (0, 0))[kind] for key, now in self.seen.items()) for kind in (0, 1)]
        return {"cpu": cpu, "voluntary": counts[0], "involuntary": counts[1], "rss": self.peak, "machine_cpu": busy}
