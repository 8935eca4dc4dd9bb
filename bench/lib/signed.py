"""The systems again, signing with DKIM (RSA-2048, relaxed/relaxed) and speaking TLS to the sink: what leaves a real sender."""

import pathlib
import shutil
import subprocess
import tempfile

from lib.load import TlsSink, smtp_source
from lib.systems import Hikyaku, HikyakuThree, Postfix
from support.node import BINARY
from support.process import Process
from support.wait import port_open

DOMAIN, SELECTOR = "ours.test", "bench"
MILTER = ("127.0.0.1", 8891)


def make_key(folder):
    """The same kind of key for all; the folder is as Hikyaku wants it."""
    subprocess.run([BINARY, "dkim", "keygen", DOMAIN, "--selector", SELECTOR, "--folder", folder], check=True, capture_output=True)
    return pathlib.Path(folder) / f"{SELECTOR}.{DOMAIN}.pem"


class Signed:
    """Goes before a system: its sink speaks TLS, and a mail that is not signed, or came in clear text, ends the measurement."""

    def sink(self, folder, mails):
        return TlsSink(folder, mails)

    def check(self):
        with tempfile.TemporaryDirectory() as folder:
            sink = TlsSink(folder, 1, "--maildir", f"{folder}/mails", "--log", f"{folder}/log.json")
            smtp_source(self.address, 1, 1, 1000)
            sink.wait(1, 60)
            sink.stop()
            log = (pathlib.Path(folder) / "log.json").read_text()
            data = next((pathlib.Path(folder) / "mails/new").iterdir()).read_text()
        assert '"tls":"TLSv1.3' in log, log
        assert "DKIM-Signature:" in data and f"d={DOMAIN}" in data, data


class SignedPostfix(Signed, Postfix):
    about = Postfix.about + "; OpenDKIM as milter; TLS to the sink, connections reused (smtp_tls_connection_reuse), sessions cached"
    MORE = f"""
smtp_tls_security_level = encrypt
smtp_tls_connection_reuse = yes
smtp_tls_session_cache_database = btree:${{{{data_directory}}}}/smtp_scache
smtpd_milters = inet:{MILTER[0]}:{MILTER[1]}
milter_default_action = tempfail
"""
    MORE_SERVICES = "tlsproxy unix - - n - 0 tlsproxy\n"
    OPENDKIM = """
Mode s
Domain {domain}
Selector {selector}
KeyFile {key}
Socket inet:{port}@{host}
Canonicalization relaxed/relaxed
SignatureAlgorithm rsa-sha256
InternalHosts {hosts}
RequireSafeKeys no
Syslog no
"""

    def start(self):
        folder = self.folder.parent / "opendkim"
        folder.mkdir()
        key = make_key(folder)
        shutil.chown(key, "root", "root")
        hosts = folder / "hosts"
        hosts.write_text("127.0.0.0/8\n")
        config = folder / "opendkim.conf"
        config.write_text(self.OPENDKIM.format(domain=DOMAIN, selector=SELECTOR, key=key, hosts=hosts, host=MILTER[0], port=MILTER[1]))
        self.milter = Process(["opendkim", "-f", "-x", config], folder / "log")
        self.milter.wait_until(lambda: port_open(*MILTER), what="opendkim")
        return super().start()

    @property
    def roots(self):
        return [*super().roots, self.milter.pid]

    def stop(self):
        super().stop()
        self.milter.kill()


def signing(folder):
    keys = pathlib.Path(folder) / "keys"
    if not keys.exists():
        keys.mkdir()
        make_key(keys)
    return {"dkim": {"folder": str(keys), "domains": [{"domain": DOMAIN, "selectors": [SELECTOR]}]},
            "delivery": {"tls": {"policy": "require"}}}


class SignedHikyaku(Signed, Hikyaku):
    about = Hikyaku.about + "; dkim; delivery.tls.policy require"

    def __init__(self, folder):
        super().__init__(folder, signing(folder))


class SignedHikyakuThree(Signed, HikyakuThree):
    about = HikyakuThree.about + "; dkim; delivery.tls.policy require"

    def __init__(self, folder):
        super().__init__(folder, signing(folder))


SIGNED = {each.name: each for each in (SignedPostfix, SignedHikyaku, SignedHikyakuThree)}
