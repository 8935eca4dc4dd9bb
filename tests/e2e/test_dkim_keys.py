"""Keys that cannot be used, come and go while the service runs (BATTERY K10), and the commands that make and check them."""

import signal
import subprocess

from support.api import events_pb2, request
from support.dkim import Keys, Verifiers, sent, signature_tags, verify
from support.node import BINARY, Node
from support.post import Post, token
from support.process import Process
from support.wait import wait_for


def refused(tmp_path, dkim):
    """The one line with which `serve` says no."""
    node = Node(tmp_path, {"dkim": dkim}, name="bad")
    node.write_config()
    done = subprocess.run([BINARY, "serve", "--config", node.config_file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done
    [line] = done.stderr.splitlines()
    assert line.startswith(f"hikyaku: {node.config_file}:"), line
    return line


def test_k10_a_key_that_cannot_be_used_stops_the_start(tmp_path):
    keys = Keys(tmp_path / "keys")
    dkim = {"folder": str(keys.folder), "domains": [{"domain": "ours.test", "selectors": ["k1"]}]}
    line = refused(tmp_path, dkim)
    assert "dkim.domains[0].selectors[0]" in line and "No such file" in line and "hikyaku dkim keygen ours.test" in line
    file = keys.path("k1", "ours.test")
    file.write_text("no key")
    assert "holds no private key in PEM" in refused(tmp_path, dkim)
    subprocess.run(["openssl", "genrsa", "-out", file, "1024"], check=True, capture_output=True)
    assert "is an RSA key of 1024 bits: 2048 to 4096 are needed to sign" in refused(tmp_path, dkim)
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-out", file], check=True)
    assert "no private key" in refused(tmp_path, dkim) or "another kind" in refused(tmp_path, dkim)
    subprocess.run(["openssl", "genrsa", "-aes128", "-passout", "pass:x", "-out", file, "2048"], check=True,
                   capture_output=True)
    assert "without a password" in refused(tmp_path, dkim)


def test_k10_keys_that_openssl_makes_are_taken(stage):
    """PKCS #1 and PKCS #8 alike."""
    keys = Keys(stage.folder / "keys")
    made = {"traditional": ["genrsa", "-traditional", "2048"], "pkcs8": ["genrsa", "2048"],
            "ed25519": ["genpkey", "-algorithm", "ed25519"]}
    for selector, command in made.items():
        keys.path(selector, "ours.test").write_bytes(
            subprocess.run(["openssl", *command], check=True, capture_output=True).stdout)
    post = Post(stage, {"dkim": {"folder": str(keys.folder),
                                 "domains": [{"domain": "ours.test", "selectors": list(made)}]}})
    assert [t["s"] for t in signature_tags(sent(post))] == list(made)


def test_k10_mail_waits_for_its_key_and_never_leaves_unsigned(stage, tmp_path):
    keys = Keys(stage.folder / "keys")
    post = Post(stage, {"queue": {"retry": {"min": "1s", "max": "1s"}}})
    row = {"domain": "ours.test", "selectors": ["k1"]}
    post.node.write_config({"dkim": {"folder": str(keys.folder), "domains": [row]}})
    post.node.process.signal(signal.SIGHUP)
    wait_for(lambda: '"event":"reloaded"' in post.node.log(), 30, "a reload")
    assert '"event":"dkim_key_unusable"' in post.node.log()
    word = token()
    message_id = post.api.send(request(subject=word)).message_id
    outcome = post.api.wait_event(message_id, "DEFERRED")[0].outcome
    assert outcome.enhanced_code == "4.7.5" and outcome.scope == events_pb2.Outcome.SCOPE_MESSAGE
    assert "selector k1 of domain ours.test" in outcome.text and "No such file" in outcome.text
    assert post.node.metric("hikyaku_dkim_failed_total", reason="key") >= 1
    assert post.node.metric("hikyaku_dkim_keys_unusable") == 1
    # Others are not held up.
    post.api.send(request("alice@elsewhere.test", subject=word + "other"))
    post.wait_mail(word + "other")
    assert not [m for m in post.mails(word) if b"ours.test" in m.data.split(b"\r\n\r\n")[0] and b"alice@ours" in m.data]
    keys.make("k1", "ours.test")
    post.dns.zone.update(keys.zone)
    post.api.wait_event(message_id, "DELIVERED")
    [arrived] = [m for m in post.mails(word) if b"alice@ours.test" in m.data]
    assert verify(arrived.data, keys, tmp_path) == (0, ["pass: d=ours.test s=k1 a=rsa-sha256 (2048 bits)"])


def test_k10_rotation_under_load(stage, tmp_path):
    """Old key, both, new key: while mail flows, and one file is half written in between. Every mail passes."""
    keys = Keys(stage.folder / "keys")
    keys.make("old", "ours.test", ed25519=True)
    dkim = {"folder": str(keys.folder), "domains": [{"domain": "ours.test", "selectors": ["old"]}]}
    post = Post(stage, {"dkim": dkim})
    word = token()
    count = 0

    def send(mails):
        nonlocal count
        for _ in range(mails):
            post.api.send(request(subject=f"{word} {count}"))
            count += 1

    def reload(selectors):
        reloads = post.node.log().count('"event":"reloaded"')
        dkim["domains"][0]["selectors"] = selectors
        post.node.config["dkim"] = dkim
        post.node.write_config()
        post.node.process.signal(signal.SIGHUP)
        send(20)
        wait_for(lambda: post.node.log().count('"event":"reloaded"') > reloads, 30, "a reload")
        send(20)

    send(20)
    # Written wrongly, then rightly: the old file's key goes on meanwhile.
    good = keys.path("old", "ours.test").read_text()
    keys.path("old", "ours.test").write_text(good[:40])
    wait_for(lambda: '"event":"dkim_key_unusable"' in post.node.log(), 30, "the half key to be seen")
    send(20)
    keys.path("old", "ours.test").write_text(good)
    keys.make("new", "ours.test")
    reload(["old", "new"])
    reload(["new"])
    mails = post.wait_mails(word, count)
    post.dns.zone.update(keys.zone)
    files = {}
    for number, one in enumerate(mails):
        files[tmp_path / f"{number}.eml"] = tuple(t["s"] for t in signature_tags(one.data))
        (tmp_path / f"{number}.eml").write_bytes(one.data)
    said = Verifiers(tmp_path, keys).mailauth(list(files))
    assert set(said.values()) == {"pass"}, said
    assert set(files.values()) == {("old",), ("old", "new"), ("new",)}


def test_the_sink_says_what_it_thinks_of_signatures(stage):
    """With a DNS server; and `hikyaku dkim verify --dns` asks the same."""
    keys = Keys(stage.folder / "keys")
    keys.make("x1", "relay.test")
    server = stage.dns({**keys.zone, "sink.test": {"MX": [(10, "mx.sink.test")]}, "mx.sink.test": {"A": ["20.0.0.41"]}})
    sink = Process([BINARY, "sink", "--listen", "20.0.0.41:25", "--dkim-dns", "127.0.0.1:53", "--maildir",
                    stage.folder / "mail"], stage.folder / "sink.log")
    stage.ends.append(sink.kill)
    sink.wait_until(lambda: "listening" in sink.output(), 30, "sink")
    node = stage.node({"dkim": {"folder": str(keys.folder), "domains": [{"domain": "*", "sign_as": "relay.test",
                                                                       "selectors": ["x1"]}]}})
    stage.api(node).send(request("alice@anywhere.test", to=["r@sink.test"]))
    wait_for(lambda: "    dkim pass: d=relay.test s=x1 a=rsa-sha256 (2048 bits)" in sink.output(), 60, sink.output)
    [file] = (stage.folder / "mail/new").iterdir()
    done = subprocess.run([BINARY, "dkim", "verify", file, "--dns", "127.0.0.1"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout == "pass: d=relay.test s=x1 a=rsa-sha256 (2048 bits)\n"
    server.zone["x1._domainkey.relay.test"] = "SERVFAIL"
    done = subprocess.run([BINARY, "dkim", "verify", file, "--dns", "127.0.0.1"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout.startswith("temperror: d=relay.test"), done


def test_verify_says_why_by_its_exit_code(tmp_path):
    def run(*arguments, **options):
        return subprocess.run([BINARY, "dkim", "verify", *arguments], capture_output=True, text=True, timeout=60, **options)
    zone = tmp_path / "zone"
    zone.write_text("")
    unsigned = run("-", "--zone", zone, input="From: a@b.test\n\nx\n")
    assert (unsigned.returncode, unsigned.stdout) == (1, "none: there is no DKIM-Signature\n")
    broken = run("-", "--zone", zone, input="no header\n\n")
    assert broken.returncode == 1 and broken.stdout.startswith("permerror: ")
    assert run("/nowhere", "--zone", zone).returncode == 2
    assert run("-", "--zone", "/nowhere", input="").returncode == 2
    assert run("-", "--dns", "no address", input="").returncode == 2
    zone.write_text('k TXT "open\n')
    assert "a quote is not closed" in run("-", "--zone", zone, input="").stderr


def test_keygen_overwrites_nothing(tmp_path):
    keys = Keys(tmp_path)
    file = keys.make("k1", "example.com", ed25519=True)
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    again = subprocess.run([BINARY, "dkim", "keygen", "example.com", "--selector", "k1", "--folder", tmp_path],
                           capture_output=True, text=True, timeout=60)
    assert again.returncode == 1 and "is there already" in again.stderr and not again.stdout
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["k1.example.com.pem"]
