"""The work of bench/throughput: see there. Runs inside a network namespace of its own."""

import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

from support.node import Node  # noqa: E402
from support.process import Process  # noqa: E402
from support.wait import port_open, wait_for  # noqa: E402

SINK = ("127.0.0.1", 2500)


class SmtpSink:
    """Postfix's own receiver; its count is the number of mails taken."""

    def __init__(self, folder):
        self.process = Process(["smtp-sink", "-u", "nobody", "-c", f"{SINK[0]}:{SINK[1]}", "1000"], folder / "sink.log")
        self.process.wait_until(lambda: port_open(*SINK), what="smtp-sink")

    def count(self):
        found = re.findall(rb"mesg=(\d+)\r", self.process.log.read_bytes())
        return int(found[-1]) if found else 0

    def stop(self):
        self.process.kill()


def postfix(folder):
    """A private Postfix that relays everything to the sink: (its address, its end)."""
    config, spool, data = folder / "postfix", folder / "spool", folder / "data"
    shutil.copytree("/etc/postfix", config, symlinks=True)
    for made in (spool, data):
        made.mkdir()
    shutil.chown(data, "postfix")
    (config / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {spool}
data_directory = {data}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks = 127.0.0.0/8
myhostname = mail.ours.test
relayhost = [{SINK[0]}]:{SINK[1]}
disable_dns_lookups = yes
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
smtputf8_enable = no
default_process_limit = 200
smtpd_client_connection_count_limit = 0
""")
    master = (config / "master.cf").read_text()
    master = re.sub(r"(?m)^smtp(\s+inet)", r"127.0.0.1:2526\1", master)
    master = re.sub(r"(?m)^(\S+\s+(?:unix|inet)\s+\S\s+\S\s+)\S(\s)", r"\1n\2", master)  # No chroot.
    (config / "master.cf").write_text(master)
    subprocess.run(["postfix", "-c", config, "start"], check=True, capture_output=True)
    wait_for(lambda: port_open("127.0.0.1", 2526), what="postfix")
    return ("127.0.0.1", 2526), lambda: subprocess.run(["postfix", "-c", config, "stop"], capture_output=True)


def hikyaku(folder):
    node = Node(folder / "hikyaku", {"delivery": {
        "allow_ranges": ["127.0.0.0/8"], "routes": [{"domain": "*", "to": f"[{SINK[0]}]:{SINK[1]}"}]},
        "queue": {"domain_concurrency": 50}, "listeners": {"smtp": [{"address": "127.0.0.1:2525"}]}})
    node.start()
    return node.smtp, node.stop, node


def measure(address, mails, sessions, size):
    """Mails a second until the sink has them all."""
    with tempfile.TemporaryDirectory() as folder:
        sink = SmtpSink(pathlib.Path(folder))
        begin = time.monotonic()
        subprocess.run(["smtp-source", "-d", "-s", str(sessions), "-m", str(mails), "-l", str(size), "-f",
                        "alice@ours.test", "-t", "bob@bench.test", f"{address[0]}:{address[1]}"], check=True)
        accepted = time.monotonic() - begin
        wait_for(lambda: sink.count() >= mails, 300, lambda: f"{mails} mails at the sink: {sink.count()}")
        taken = time.monotonic() - begin
        sink.stop()
    return mails / taken, mails / accepted


def main():
    mails, sessions, size, rounds = (int(v) for v in (sys.argv[1:] + ["5000", "20", "4096", "3"][len(sys.argv) - 1:]))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    print(f"{mails} mails of {size} bytes, {sessions} kept sessions, {rounds} rounds in turn, {os.cpu_count()} cores, "
          f"sync on, smtp-source and smtp-sink on the same machine")
    with tempfile.TemporaryDirectory(prefix="hikyaku-bench-") as work:
        folder = pathlib.Path(work)
        os.chmod(folder, 0o755)
        peers = {"postfix": postfix(folder)}
        address, stop, node = hikyaku(folder)
        peers["hikyaku"] = (address, stop)
        results = {name: [] for name in peers}
        syncs = []
        try:
            for _ in range(rounds):
                for name, (address, _) in peers.items():
                    before = node.metric("hikyaku_queue_commits_total") or 0
                    results[name].append(measure(address, mails, sessions, size))
                    if name == "hikyaku":
                        syncs.append(((node.metric("hikyaku_queue_commits_total") or 0) - before) / mails)
        finally:
            for _, stop in peers.values():
                stop()
    medians = {}
    for name, runs in results.items():
        medians[name] = statistics.median(end for end, _ in runs)
        accept = statistics.median(accepted for _, accepted in runs)
        print(f"{name:8} end to end {medians[name]:7.0f} mails/s (of {', '.join(f'{end:.0f}' for end, _ in runs)}), "
              f"accept {accept:7.0f} mails/s")
    print(f"hikyaku: {statistics.median(syncs):.2f} syncs a mail; {medians['hikyaku'] / medians['postfix']:.1f} times postfix")


if __name__ == "__main__":
    main()
