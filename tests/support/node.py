"""Hikyaku as its operator runs it: one process, or one a role."""

import copy
import os
import pathlib
import re
import urllib.error
import urllib.request

import yaml

from support.process import Process

BINARY = os.environ.get("HIKYAKU_BINARY", "hikyaku")

# What every test starts from: fast retries, the test's DNS, and limits that do not depend on the machine's disk.
BASE = {
    "hostname": "mail.ours.test",
    "listeners": {
        "grpc": [{"address": "127.0.0.1:7025"}],
        "smtp": [{"address": "0.0.0.0:2525"}],
        "http": [{"address": "127.0.0.1:8025"}],
    },
    "dns": {"servers": ["127.0.0.1:53"], "timeout": "2s"},
    "queue": {"min_free_disk": "16MiB", "retry": {"min": "1s", "max": "4s"}},
    "io_threads": 2,
}


def merged(base, changes):
    """`base` with `changes` laid over it, maps key by key."""
    result = copy.deepcopy(base)
    for key, value in (changes or {}).items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def http_get(address, path, timeout=5):
    """(status, text) of a page of the operator's door."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


class Node:
    """One process of any role. `config` is laid over BASE."""

    def __init__(self, folder, config=None, role="all", name="node", wrap=(), env=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.role, self.name, self.wrap, self.env = role, name, list(wrap), env
        self.data = self.folder / f"{name}-data"
        self.config = merged(BASE, {"data_dir": str(self.data)} if role in ("all", "queue") else {})
        self.config = merged(self.config, config)
        self.config_file = self.folder / f"{name}.yaml"
        self.process = None

    # Addresses, as the configuration has them.
    @property
    def grpc(self):
        return self.config["listeners"]["grpc"][0]["address"]

    @property
    def smtp(self):
        host, port = self.config["listeners"]["smtp"][0]["address"].rsplit(":", 1)
        return ("127.0.0.1" if host == "0.0.0.0" else host, int(port))

    @property
    def http(self):
        return self.config["listeners"]["http"][0]["address"]

    def write_config(self, changes=None):
        self.config = merged(self.config, changes)
        self.config_file.write_text(yaml.safe_dump(self.config))

    def start(self, wait=True):
        self.write_config()
        environment = dict(os.environ, **(self.env or {}))
        if "HIKYAKU_PRELOAD" in environment:  # A library of tests/crash/mutate's, for the node alone.
            environment["LD_PRELOAD"] = environment["HIKYAKU_PRELOAD"]
        command = [*self.wrap, BINARY, "serve", "--config", self.config_file, "--role", self.role]
        self.process = Process(command, self.folder / f"{self.name}.log", env=environment)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=60):
        self.process.wait_until(lambda: self.ready()[0] == 200, timeout, f"{self.name} ready")

    def ready(self):
        return http_get(self.http, "/readyz")

    def metric(self, name, **labels):
        """Sum of the samples of `name` that have these labels; None where there is no sample."""
        status, text = http_get(self.http, "/metrics")
        assert status == 200, text
        found = None
        for match in re.finditer(rf"^{re.escape(name)}(?:\{{(.*)\}})? (\S+)", text, re.M):
            have = dict(re.findall(r'(\w+)="([^"]*)"', match.group(1) or ""))
            if all(have.get(key) == value for key, value in labels.items()):
                found = (found or 0) + float(match.group(2))
        return found

    def stop(self):
        """SIGTERM; asserts a clean end."""
        code = self.process.stop()
        assert code == 0, f"{self.name} ended with {code}:\n{self.process.tail()}"

    def kill(self):
        if self.process:
            self.process.kill()

    def restart(self):
        self.stop()
        return self.start()

    def log(self):
        return self.process.output()

    def peak_mib(self):
        """The most resident memory that the process ever had."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmHWM")

    def rss_mib(self):
        """Resident memory that is the process's own."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no RssAnon")


class Cluster:
    """Submission, delivery and two shards, a process each. `listed`: what queue.shards says, where it is not loopback;
    what the shards listen on is then the matter of whoever makes them."""

    def __init__(self, folder, config=None, shards=("q0", "q1"), listed=None):
        self.shards = {}
        listed = listed or [{"name": name, "address": f"127.0.0.1:{7100 + i}"} for i, name in enumerate(shards)]
        shared = merged({"queue": {"shards": listed}}, config)
        for i, name in enumerate(shards):
            self.shards[name] = Node(folder, merged(shared, {
                "queue": {"name": name},
                "listeners": {"internal": [{"address": listed[i]["address"]}], "grpc": [], "smtp": [],
                              "http": [{"address": f"127.0.0.1:{8100 + i}"}]}}), "queue", name)
        self.submission = Node(folder, shared, "submission", "submission")
        self.delivery = Node(folder, merged(shared, {
            "listeners": {"grpc": [], "smtp": [], "http": [{"address": "127.0.0.1:8200"}]}}), "delivery", "delivery")

    @property
    def nodes(self):
        return [*self.shards.values(), self.delivery, self.submission]

    def start(self):
        for node in self.nodes:
            node.start(wait=False)
        for node in self.nodes:
            node.wait_ready()
        return self

    def kill(self):
        for node in self.nodes:
            node.kill()
