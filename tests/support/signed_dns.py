"""DNSSEC for the tests, as it really is: zones that knot signs and serves, behind an unbound that validates them."""

import hashlib
import pathlib
import re
import subprocess

import dns.exception
import dns.message
import dns.query
from cryptography.hazmat.primitives import serialization

from support.process import Process

KNOT = 5354  # Its port on 127.0.0.1; unbound has 53.

UNBOUND = """server:
  interface: 127.0.0.1
  do-daemonize: no
  use-syslog: no
  logfile: ""
  verbosity: 1
  log-servfail: yes
  username: ""
  chroot: ""
  pidfile: ""
  directory: "{folder}"
  do-ip6: no
  do-not-query-localhost: no
  module-config: "validator iterator"
  local-zone: "test." nodefault
{anchors}
remote-control:
  control-enable: no
{stubs}
"""


class SignedDns:
    """unbound on 127.0.0.1:53 over zones that knot serves.

    zones: {"a.test": {"kind": "signed", "records": ["mx A 20.0.0.10", …]}, …}. Kinds: "signed"; "unsigned"; "bogus"
    (signed, and then every address and TLSA record is another one than was signed); "broken" (its server says SERVFAIL).
    """

    def __init__(self, folder, zones):
        self.folder = pathlib.Path(folder) / "dns"
        self.folder.mkdir()
        self.zones = zones
        self.processes = []
        self.start_all()

    def start_all(self):
        for name, zone in self.zones.items():
            if zone["kind"] != "broken":
                self.file(name).write_text(f"$ORIGIN {name}.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 1\n@ NS ns\n"
                                           "ns A 127.0.0.1\n" + "\n".join(zone["records"]) + "\n")
        signed = [name for name, zone in self.zones.items() if zone["kind"] in ("signed", "bogus")]
        knot = self.knot(signing=signed)
        knot.wait_until(lambda: all("RRSIG" in self.file(name).read_text() for name in signed), what="signed zones")
        anchors = [self.anchor(name) for name in signed]
        knot.stop()
        for name, zone in self.zones.items():
            if zone["kind"] == "bogus":
                self.falsify(self.file(name))
        self.knot(signing=[name for name in signed if self.zones[name]["kind"] == "signed"])
        self.unbound(anchors)

    def file(self, name):
        return self.folder / f"{name}.zone"

    def knot(self, signing):
        config = ["server:", f"    listen: 127.0.0.1@{KNOT}", f"    rundir: {self.folder}",
                  "log:", "  - target: stderr", "    any: info",
                  "database:", f"    storage: {self.folder}",
                  "policy:", "  - id: one", "    algorithm: ecdsap256sha256", "    single-type-signing: on",
                  "zone:"]
        for name in self.zones:
            config += [f"  - domain: {name}", f"    file: {self.file(name)}", "    zonefile-sync: 0"]
            config += ["    dnssec-signing: on", "    dnssec-policy: one"] if name in signing else []
        (self.folder / "knot.conf").write_text("\n".join(config) + "\n")
        process = Process(["knotd", "-c", self.folder / "knot.conf"], self.folder / "knot.log")
        self.processes.append(process)
        process.wait_until(lambda: self.answers(KNOT), what="knot")
        return process

    def anchor(self, name):
        """The zone's key, as unbound's configuration has it."""
        keys = subprocess.run(["keymgr", "-c", self.folder / "knot.conf", f"{name}.", "dnskey"], check=True,
                              capture_output=True, text=True).stdout.strip()
        return keys.splitlines()[0]

    @staticmethod
    def falsify(path):
        text = re.sub(r"(?m)(\sA\s+)20\.0\.0\.\d+$", r"\g<1>20.0.0.59", path.read_text())
        path.write_text(re.sub(r"(?m)(\sTLSA\s+\d \d \d )(\S)", lambda m: m.group(1) + ("1" if m.group(2) == "0" else "0"), text))

    def unbound(self, anchors):
        text = UNBOUND.format(
            folder=self.folder, anchors="\n".join(f'  trust-anchor: "{key}"' for key in anchors),
            stubs="\n".join(f"stub-zone:\n  name: {name}\n  stub-addr: 127.0.0.1@{KNOT}" for name in self.zones))
        (self.folder / "unbound.conf").write_text(text)
        process = Process(["unbound", "-c", self.folder / "unbound.conf"], self.folder / "unbound.log")
        self.processes.append(process)
        process.wait_until(lambda: self.answers(53), what="unbound")

    def answers(self, port):
        try:
            self.ask(next(iter(self.zones)), "SOA", port, timeout=0.3)
        except (dns.exception.DNSException, OSError):
            return False
        return True

    def ask(self, name, kind, port=53, timeout=5):
        query = dns.message.make_query(name, kind, want_dnssec=True)
        return dns.query.udp(query, "127.0.0.1", timeout=timeout, port=port)

    def output(self):
        return "\n".join(process.output() for process in self.processes)

    def stop(self):
        for process in reversed(self.processes):
            process.kill()


def tlsa(usage, selector, matching, identity):
    """The data of a record that fits `identity` (support.certificates): made by Python's own library."""
    if selector == 0:
        data = identity.certificate.public_bytes(serialization.Encoding.DER)
    else:
        data = identity.certificate.public_key().public_bytes(serialization.Encoding.DER,
                                                              serialization.PublicFormat.SubjectPublicKeyInfo)
    if matching:
        data = hashlib.new({1: "sha256", 2: "sha512"}[matching], data).digest()
    return f"{usage} {selector} {matching} {data.hex()}"
