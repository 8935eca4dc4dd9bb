"""The files of queue.tls: what is wrong with them stops the start, with one line that names the key and the file."""

import subprocess

import pytest

from support.authority import Authority
from support.node import BINARY, Node

def refused(tmp_path, role, tls, internal="127.0.0.1:7026"):
    """The one line with which `serve` says no."""
    config = {"hostname": "mail.ours.test", "listeners": {"internal": [{"address": internal}]},
              "queue": {"shards": [{"name": "q0", "address": "127.0.0.1:7026"}], **({"tls": tls} if tls else {})}}
    node = Node(tmp_path, config, role, "bad")
    node.write_config()
    done = subprocess.run([BINARY, "serve", "--config", node.config_file, "--role", role], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 2, done
    [line] = done.stderr.splitlines()
    assert line.startswith(f"hikyaku: {node.config_file}:"), line
    return line


def test_files_that_do_not_fit_stop_the_start(tmp_path):
    ours, other = Authority(tmp_path / "a", "ours"), Authority(tmp_path / "b", "other")
    good, strange = ours.issue(tmp_path / "good"), other.issue(tmp_path / "strange")
    empty = tmp_path / "empty"
    empty.write_text("")
    for role in ("queue", "submission", "delivery"):
        assert "queue.tls.ca: /nowhere cannot be read: No such file" in refused(tmp_path, role, dict(good, ca="/nowhere"))
        assert f"queue.tls.ca: {empty} holds no certificate" in refused(tmp_path, role, dict(good, ca=str(empty)))
        assert "holds no certificate" in refused(tmp_path, role, dict(good, certificate=good["key"]))
        assert "queue.tls.key: " in refused(tmp_path, role, dict(good, key=good["certificate"]))
        assert "is not the key of the certificate" in refused(tmp_path, role, dict(good, key=strange["key"]))
        assert "was not issued by the authority" in refused(tmp_path, role, dict(good, ca=strange["ca"]))
        assert "queue.tls.key: is missing" in refused(tmp_path, role, {"ca": good["ca"], "certificate": good["certificate"]})


@pytest.mark.parametrize("role", ["queue", "submission", "delivery"])
def test_another_address_than_loopback_needs_mtls(tmp_path, role):
    line = refused(tmp_path, role, None, internal="20.0.0.31:7026")
    assert "listeners.internal[0].address" in line and "queue.tls" in line
