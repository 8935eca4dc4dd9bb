"""The systems under test, each a private instance that relays everything to the sink.

Each has `name`, `about` (what was set, for the table), `address` (of its SMTP door), `roots` (pids that own all its
processes), `start`, `stop`, `sink` (makes the receiver behind it), `check` (that it does what its row says) and `syncs`:
syncs since its start, or None where only a tracer could say.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

from lib import machine, paths
from lib.load import SINK, SmtpSink
from support.node import Cluster, Node, merged
from support.process import Process
from support.wait import port_open, wait_for


class System:
    """What all have in common: smtp-sink behind them, and nothing to check."""

    def sink(self, folder, mails):
        return SmtpSink(folder)

    def check(self):
        pass


class Straight(System):
    """No relay at all: the load's own limit."""

    name, about, address, roots = "straight", "smtp-source to smtp-sink, nothing between", SINK, []

    def __init__(self, folder):
        pass

    def start(self):
        return self

    def stop(self):
        pass

    def syncs(self):
        return 0


class Postfix(System):
    name = "postfix"
    about = ("Debian's; in_flow_delay 0, 200 processes, 100 deliveries at once to the sink, no chroot, no DNS; "
             "else as shipped")
    address = ("127.0.0.1", 2526)
    MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks = 127.0.0.0/8
myhostname = mail.ours.test
relayhost = [{sink[0]}]:{sink[1]}
disable_dns_lookups = yes
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
smtputf8_enable = no
default_process_limit = 200
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
initial_destination_concurrency = 20
default_destination_concurrency_limit = 100
"""
    MORE = MORE_SERVICES = ""  # Of main.cf and master.cf.

    def __init__(self, folder):
        self.folder = pathlib.Path(folder) / "postfix"
        self.config = self.folder / "config"

    def start(self):
        self.folder.mkdir()
        os.chmod(self.folder, 0o755)
        shutil.copytree("/etc/postfix", self.config, symlinks=True)
        for made in ("spool", "data"):
            (self.folder / made).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        (self.config / "main.cf").write_text((self.MAIN + self.MORE).format(folder=self.folder, sink=SINK))
        master = (self.config / "master.cf").read_text()
        master = re.sub(r"(?m)^smtp(\s+inet)", rf"{self.address[0]}:{self.address[1]}\1", master)
        master = re.sub(r"(?m)^(\S+\s+(?:unix|inet)\s+\S\s+\S\s+)\S(\s)", r"\1n\2", master)  # No chroot.
        (self.config / "master.cf").write_text(master + self.MORE_SERVICES)
        subprocess.run(["postfix", "-c", self.config, "start"], check=True, capture_output=True)
        wait_for(lambda: port_open(*self.address), what="postfix")
        return self

    @property
    def roots(self):
        return [int((self.folder / "spool/pid/master.pid").read_text())]

    def syncs(self):
        return None

    def stop(self):
        subprocess.run(["postfix", "-c", self.config, "stop"], capture_output=True, check=False)


class Haraka(System):
    name = "haraka"
    about = ("from npm; a worker a core, 100 deliveries at once, no TLS, no plugins but one that lets relay and names the "
             "sink; its disk queue as shipped: it syncs each queue file before it answers, not the folder")
    address = ("127.0.0.1", 2527)
    # Relays for all, to the sink alone.
    PLUGIN = """
exports.register = function () {{
  this.register_hook('connect', 'allow')
  this.register_hook('rcpt', 'take')
  this.register_hook('get_mx', 'sink')
}}
exports.allow = (next, connection) => {{ connection.relaying = true; next() }}
exports.take = (next) => next(OK)
exports.sink = (next) => next(OK, {{ priority: 0, exchange: '{sink[0]}', port: {sink[1]} }})
"""
    FILES = {
        "config/smtp.ini": "listen={address[0]}:{address[1]}\nnodes=cpus\n",
        "config/outbound.ini": "enable_tls=false\nlocal_mx_ok=true\nconcurrency_max={concurrency}\n",
        "config/log.ini": "[main]\nlevel=warn\n",
        "config/plugins": "relay_to_sink\n",
        "config/me": "mail.ours.test\n",
        "plugins/relay_to_sink.js": PLUGIN,
    }
    CONCURRENCY = 100

    def __init__(self, folder):
        self.folder = pathlib.Path(folder) / "haraka"

    OLDEST_NODE = 20

    @classmethod
    def home(cls):
        home = paths.ROOT / ".deps/bench-peers/node_modules/haraka"
        node = re.match(r"v(\d+)", machine.output("node", "--version"))
        if not home.exists() or node is None or int(node[1]) < cls.OLDEST_NODE:
            sys.exit(f"haraka: run tools/setup --bench, with Node {cls.OLDEST_NODE} or newer in the path; or name other --systems")
        return home

    def start(self):
        self.folder.mkdir()
        (self.folder / "queue").mkdir()
        shutil.copytree(self.home() / "config", self.folder / "config")
        for name, text in self.FILES.items():
            file = self.folder / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text.format(address=self.address, sink=SINK, concurrency=self.CONCURRENCY))
        self.process = Process(["node", self.home() / "bin/haraka", "-c", self.folder], self.folder / "log",
                               cwd=self.folder)
        self.process.wait_until(lambda: port_open(*self.address), what="haraka")
        return self

    @property
    def roots(self):
        return [self.process.pid]

    def syncs(self):
        return None

    def stop(self):
        self.process.kill()


# What the measured node has set, beside its defaults: the way to the sink.
TO_SINK = {"delivery": {"allow_ranges": ["127.0.0.0/8"], "routes": [{"domain": "*", "to": f"[{SINK[0]}]:{SINK[1]}"}]},
           "queue": {"domain_concurrency": 100}, "listeners": {"smtp": [{"address": "127.0.0.1:2525"}]}}


class Hikyaku(System):
    name = "hikyaku"
    about = "--role all, sync on; domain_concurrency 100"

    def __init__(self, folder, config=None, name="hikyaku"):
        self.node = Node(pathlib.Path(folder) / name, merged(TO_SINK, config))

    def start(self):
        self.node.start()
        return self

    @property
    def nodes(self):
        return [self.node]

    @property
    def front(self):
        return self.node

    @property
    def address(self):
        return self.front.smtp

    @property
    def roots(self):
        return [node.process.pid for node in self.nodes]

    def syncs(self):
        return sum(node.metric("hikyaku_queue_commits_total") or 0 for node in self.nodes)

    def stop(self):
        for node in reversed(self.nodes):
            node.kill()


class HikyakuThree(Hikyaku):
    name = "hikyaku3"
    about = "submission, queue and delivery as processes, gRPC on loopback, sync on; domain_concurrency 100"

    def __init__(self, folder, config=None, name="hikyaku3"):
        self.cluster = Cluster(pathlib.Path(folder) / name, merged(TO_SINK, merged({
            "listeners": {"grpc": [{"address": "127.0.0.1:7125"}], "smtp": [{"address": "127.0.0.1:2528"}],
                          "http": [{"address": "127.0.0.1:8125"}]}}, config)), shards=("q0",))

    def start(self):
        self.cluster.start()
        return self

    @property
    def nodes(self):
        return self.cluster.nodes

    @property
    def front(self):
        return self.cluster.submission


SYSTEMS = {each.name: each for each in (Straight, Postfix, Haraka, Hikyaku, HikyakuThree)}
