"""What tests of the real binary share: a folder, a DNS, receivers and nodes that end with the test."""

import pytest

from support.api import Api
from support.dns import Dnsmasq, ScriptedDns
from support.node import Cluster, Node
from support.smtp import Sink

# One domain a behaviour; each has one MX with an address of its own.
ZONE = {
    "ok.test": {"MX": [(10, "mx.ok.test")]},
    "mx.ok.test": {"A": ["20.0.0.10"]},
}


class Stage:
    """Everything a test starts, ended in reverse order."""

    def __init__(self, folder):
        self.folder = folder
        self.ends = []

    def add(self, thing, end):
        self.ends.append(end)
        return thing

    def close(self):
        for end in reversed(self.ends):
            end()

    def dnsmasq(self, records=None):
        server = Dnsmasq(self.folder, records or ZONE)
        return self.add(server.start(), server.stop)

    def dns(self, zone=None):
        server = ScriptedDns(dict(ZONE, **(zone or {})))
        return self.add(server, server.stop)

    def sink(self, address="20.0.0.10", **options):
        sink = Sink(address, **options)
        return self.add(sink, sink.stop)

    def node(self, config=None, start=True, **options):
        node = self.add(*(lambda n: (n, n.kill))(Node(self.folder, config, **options)))
        return node.start() if start else node

    def cluster(self, config=None, **options):
        cluster = Cluster(self.folder, config, **options)
        self.ends.append(cluster.kill)
        return cluster.start()

    def api(self, node):
        api = Api(node.grpc)
        return self.add(api, api.close)


@pytest.fixture
def stage(tmp_path):
    made = Stage(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def module_stage(tmp_path_factory):
    """For modules whose tests share one node and leave it as they found it."""
    made = Stage(tmp_path_factory.mktemp("stage"))
    yield made
    made.close()
