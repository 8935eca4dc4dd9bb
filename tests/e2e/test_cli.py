"""The program as people use it: help, exit codes, every command, and configurations that cannot work (F08)."""

import json
import os
import re
import socket
import subprocess

import pytest
import yaml

from support.node import BASE, BINARY, Node, merged
from support.post import Post, mail, token
from support.process import Process
from support.smtp import Client, send_mail
from support.wait import port_open, wait_for

SERVER = "127.0.0.1:7025"
ID = r"[0-9a-hjkmnp-tv-z]{26}"
COMMANDS = [["serve"], ["send"], ["trace"], ["queue"], ["queue", "list"], ["queue", "show"], ["queue", "check"],
            ["queue", "flush"], ["queue", "suspend"], ["queue", "resume"], ["queue", "purge"], ["config"],
            ["config", "check"], ["config", "print"], ["health"], ["sink"], ["explain"]]


@pytest.fixture(scope="module")
def post(module_stage):
    return Post(module_stage, {"queue": {"retry": {"min": "40s", "max": "60s"}}}, zone={
        "down.test": {"MX": [(10, "mx.down.test")]}, "mx.down.test": {"A": ["20.0.0.44"]}})


class Result:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def __repr__(self):
        return f"exit {self.code}\n{self.out}\n{self.err}"


def hikyaku(*arguments, text=None, env=None):
    return Result(subprocess.run([BINARY, *(str(a) for a in arguments)], input=text, capture_output=True, text=True,
                                 timeout=60, env=dict(os.environ, **(env or {}))))


def ok(*arguments, **options):
    result = hikyaku(*arguments, **options)
    assert result.code == 0, result
    assert result.err == "", result
    return result.out


def one_line(result, code, *words):
    """Asserts the exit code, and that all it says is one line on standard error with these words."""
    assert result.code == code, result
    assert result.out == "", result
    lines = result.err.splitlines()
    assert len(lines) == 1, result
    assert lines[0].startswith("hikyaku"), result
    for word in words:
        assert word in lines[0], (word, result)


# Help and wrong use.

def test_help_of_the_program():
    out = ok("--help")
    for command in ("serve", "send", "trace", "queue", "config", "health", "sink", "explain"):
        assert re.search(rf"^  {command}\s+\S", out, re.M), command
    assert "Examples:" in out and "Exit codes" in out


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_command(command):
    out = ok(*command, "--help")
    assert f"hikyaku {' '.join(command)}" in out.replace("\n", " "), "an example or a usage line"
    assert all(len(line) <= 160 for line in out.splitlines())
    for flag in re.findall(r"^  (--[a-z-]+)", out, re.M):
        described = re.search(rf"^  {flag}[^\n]*?\s{{2,}}\S|^  {flag}[^\n]*\n\s{{20,}}\S", out, re.M)
        assert described, f"{flag} has no description"


def test_version():
    assert re.match(r"\S*\d+\.\d+", ok("--version"))


@pytest.mark.parametrize("arguments", [
    [], ["nonsense"], ["serve"], ["serve", "--nonsense"], ["serve", "--config", "x", "--role", "king"], ["queue"],
    ["config"], ["config", "check"], ["send"], ["send", "--from", "a@b.test", "--not-before", "soon"],
    ["send", "--from", "a@b.test", "--priority", "urgent"], ["queue", "list", "--limit", "0"], ["queue", "flush"],
    ["queue", "flush", "a.test", "--all"], ["queue", "purge", "a.test"], ["trace"], ["trace", "--timeout", "5"],
    ["trace", "--server", "", "0" * 26], ["queue", "list", "--server", "127.0.0.1"], ["queue", "list", "--server", ":7025"],
    ["sink", "--rule", "nonsense"], ["sink", "--listen", "nowhere"], ["sink", "--threads", "0"],
    ["sink", "--tls-key", "x"], ["sink", "--tls-key", "x", "--tls-certificate", "y"], ["explain", "a@b.test"]], ids=" ".join)
def test_wrong_use_exits_2(arguments):
    result = hikyaku(*arguments)
    assert result.code == 2, result
    assert result.out == "" and result.err.startswith("hikyaku"), result
    assert len(result.err.splitlines()) <= 2, result


def test_dkim_verify_of_what_is_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        one_line(hikyaku("dkim", "verify", path), 2, "cannot be read")
    assert hikyaku("dkim", "verify", "/dev/null").code == 1


def test_no_server_is_said(post):
    for command in (["queue", "list"], ["trace", "0" * 26], ["send", "--from", "a@b.test", "--to", "c@ok.test", "--text", "x"]):
        one_line(hikyaku(*command, "--server", "127.0.0.1:1", "--timeout", "5s"), 1, "127.0.0.1:1")


# send and trace.

def test_send_and_trace(post):
    word = token()
    out = ok("send", "--server", SERVER, "--from", "Ālice <alice@ours.test>", "--to", "r@ok.test", "--to", "s@out.test",
             "--cc", "c@ok.test", "--bcc", "b@ok.test", "--reply-to", "back@ours.test", "--subject", f"{word} 日本",
             "--text", "Hello\n.\n", "--html", "<p>Hello", "--header", "X-Note: yes", "--tenant", "shop", "--tag", "a",
             "--wait")
    message_id = re.match(rf"accepted ({ID})  Message-ID <({ID})@mail\.ours\.test>\n", out).group(1)
    for address in ("r@ok.test", "s@out.test", "c@ok.test", "b@ok.test"):
        assert f"  {address}  accepted\n" in out
    assert out.count(" delivered ") == 2, out
    received = [m for m in post.sink.mails if message_id.encode() in m.data]
    assert sorted(r for m in received for r in m.recipients) == ["b@ok.test", "c@ok.test", "r@ok.test", "s@out.test"]
    assert received[0].header("X-Note") == ["yes"] and received[0].header("Bcc") == []

    for shown in (ok("trace", message_id, "--server", SERVER),
                  ok("trace", "--message-id", f"<{message_id}@mail.ours.test>", "--server", SERVER)):
        assert f"Message {message_id}" in shown and "tenant shop" in shown
        assert re.search(r"To ok\.test \(shard q0\): finished after 1 attempt", shown), shown
        assert "250 2.0.0" in shown and "mx.ok.test [20.0.0.10]:25" in shown
    record = json.loads(ok("trace", message_id, "--server", SERVER, "--json"))
    assert record["message_id"] == message_id
    assert {r["state"] for d in record["deliveries"] for r in d["recipients"]} == {"RECIPIENT_STATE_DELIVERED"}


def test_send_from_files(post, tmp_path):
    word = token()
    (tmp_path / "ü.bin").write_bytes(bytes(range(256)))
    (tmp_path / "m.eml").write_text(f"From: alice@ours.test\nSubject: {word}\n\nraw\n")
    ok("send", "--server", SERVER, "--from", "alice@ours.test", "--to", "r@ok.test", "--subject", word, "--text", "x",
       "--attach", tmp_path / "ü.bin")
    ok("send", "--server", SERVER, "--from", "alice@ours.test", "--rcpt", "r@ok.test", "--raw", tmp_path / "m.eml")
    ok("send", "--server", SERVER, "--from", "alice@ours.test", "--rcpt", "r@ok.test", "--raw", "-",
       text=f"From: alice@ours.test\nSubject: {word}\n\nstdin\n")
    bodies = [m.body for m in post.wait_mails(word, 3)]
    assert sorted(b for b in bodies if len(b) < 20) == [b"raw\r\n", b"stdin\r\n"]


def test_send_says_what_is_wrong(post, tmp_path):
    one_line(hikyaku("send", "--server", SERVER, "--from", "a@b.test", "--to", "r@ok.test", "--text", "x",
                     "--attach", tmp_path / "none"), 2, "none")
    one_line(hikyaku("send", "--server", SERVER, "--from", "a@b.test", "--to", "r@ok.test", "--raw", tmp_path / "none"), 2)
    one_line(hikyaku("send", "--server", SERVER, "--from", "a@b.test", "--to", "r@ok.test", "--header", "no colon",
                     "--text", "x"), 2, "no colon")
    result = hikyaku("send", "--server", SERVER, "--from", "a@b.test", "--to", "bad", "--text", "x")
    assert result.code == 1 and "content.to[0].address" in result.err, result
    result = hikyaku("send", "--server", SERVER, "--from", "a@b.test", "--to", "r@ok.test", "--to", "u@[10.0.0.1]",
                     "--text", "x")
    assert result.code == 1 and "u@[10.0.0.1]  refused: 5.1.2" in result.out, result


def test_send_waits_for_a_bounce(post):
    result = hikyaku("send", "--server", SERVER, "--from", "alice@ours.test", "--to", "r@nxdomain.test", "--text", "x",
                     "--wait")
    assert result.code == 1, result
    assert "bounced" in result.out and "5.1.2" in result.out


def test_send_with_a_key_twice(post):
    word = token()
    arguments = ["send", "--server", SERVER, "--from", "alice@ours.test", "--to", "r@ok.test", "--subject", word,
                 "--text", "x", "--idempotency-key", word]
    first, again = ok(*arguments), ok(*arguments)
    assert first.startswith("accepted ") and again.startswith("accepted before ")
    assert re.search(ID, first).group(0) == re.search(ID, again).group(0)
    result = hikyaku(*arguments, "--tag", "other")
    assert result.code == 1 and "hikyaku: " in result.err, result
    post.wait_mail(word)


def test_send_dry_run(post):
    with post.nothing_sent():
        assert "dry run" in ok("send", "--server", SERVER, "--from", "a@ours.test", "--to", "r@ok.test", "--text", "x",
                               "--dry-run")


def test_trace_of_nothing(post):
    one_line(hikyaku("trace", "0" * 26, "--server", SERVER), 1, "not")
    assert hikyaku("trace", "short", "--server", SERVER).code in (1, 2)


def test_the_server_comes_from_the_environment(post):
    assert ok("queue", "check", env={"HIKYAKU_SERVER": SERVER})


# queue.

def test_queue_commands(post):
    assert ok("queue", "list", "--server", SERVER) == "Nothing waits.\n"
    out = ok("send", "--server", SERVER, "--from", "alice@ours.test", "--to", "r@down.test", "--text", "x")
    message_id = re.search(ID, out).group(0)
    post.api.wait_event(message_id, "DEFERRED")
    listed = ok("queue", "list", "--server", SERVER)
    header, row = listed.splitlines()
    assert header.split()[:5] == ["DOMAIN", "SHARD", "READY", "LEASED", "SCHEDULED"]
    assert row.split()[:5] == ["down.test", "q0", "0", "0", "1"]
    for arguments in (["queue", "show"], ["queue", "show", "down.test"]):
        shown = ok(*arguments, "--server", SERVER)
        assert message_id in shown and "scheduled" in shown and "r@down.test" in shown
    assert ok("queue", "show", "other.test", "--server", SERVER) == "Nothing waits.\n"
    traced = ok("trace", message_id, "--server", SERVER)
    assert "waits for attempt 2" in traced and "deferred" in traced

    assert ok("queue", "flush", "down.test", "--server", SERVER) == "due now: 1\n"
    post.api.wait_event(message_id, "DEFERRED", 2)
    assert ok("queue", "flush", "--message", message_id, "--server", SERVER) == "due now: 1\n"
    post.api.wait_event(message_id, "DEFERRED", 3)
    assert "suspended" in ok("queue", "suspend", "down.test", "--reason", "test", "--server", SERVER)
    assert "suspended" in ok("queue", "list", "--server", SERVER)
    assert ok("queue", "resume", "down.test", "--server", SERVER) == "resumed\n"
    checked = ok("queue", "check", "--server", SERVER)
    assert "All invariants hold.\n" in checked and re.search(r"^q0 +1 +1 +1 ", checked, re.M), checked
    assert json.loads(ok("queue", "list", "--server", SERVER, "--json"))["queues"][0]["domain"] == "down.test"
    one_line(hikyaku("queue", "purge", "down.test", "--server", SERVER), 2, "--yes")
    assert ok("queue", "purge", "down.test", "--yes", "--server", SERVER) == "cancelled: 1\n"
    assert ok("queue", "list", "--server", SERVER) == "Nothing waits.\n"


def test_queue_check_of_a_folder(post):
    """Offline, after a stop; and what is no queue is refused."""
    post.api.wait_empty()
    post.node.stop()
    try:
        out = ok("queue", "check", "--data-dir", post.node.data)
        assert "All invariants hold.\n" in out
        result = hikyaku("queue", "check", "--data-dir", post.node.folder / "nothing")
        assert result.code == 1 and "nothing" in result.err, result
        assert not (post.node.folder / "nothing").exists()
    finally:
        post.node.start()
    post.alive()


# config.

def written(folder, changes=None, text=None):
    path = folder / "test.yaml"
    path.write_text(text if text is not None else yaml.safe_dump(merged(merged(BASE, {"data_dir": str(folder / "data")}),
                                                                        changes)))
    return path


def test_config_check_and_print(tmp_path):
    path = written(tmp_path, {"limits": {"message_size": "5MiB"}})
    assert ok("config", "check", path) == "ok\n"
    printed = ok("config", "print", path)
    config = yaml.safe_load(printed)
    assert config["hostname"] == "mail.ours.test"
    assert config["limits"]["message_size"] == "5MiB"
    assert config["queue"]["lifetime"] == "5d" and config["limits"]["recipients"] == 1000
    again = tmp_path / "again.yaml"
    again.write_text(printed)
    assert ok("config", "print", again) == printed, "what is printed can be used"


@pytest.mark.parametrize("role", ["submission", "queue", "delivery"])
def test_config_check_of_a_role(tmp_path, role):
    path = written(tmp_path, {"queue": {"shards": [{"name": "q0", "address": "127.0.0.1:7026"}]}})
    assert ok("config", "check", "--role", role, path) == "ok\n"
    assert yaml.safe_load(ok("config", "print", "--role", role, path))["hostname"] == "mail.ours.test"
    one_line(hikyaku("config", "check", "--role", role, written(tmp_path)), 2, "queue.shards")


BAD = [  # (what, changes, words of the line)
    ("unknown key", {"limits": {"message_sise": "5MiB"}}, ["limits.message_sise", "message_size"]),
    ("wrong type", {"limits": {"recipients": "many"}}, ["limits.recipients", "many"]),
    ("bad duration", {"queue": {"lifetime": "5y"}}, ["queue.lifetime", "5y"]),
    ("bad size", {"limits": {"message_size": "big"}}, ["limits.message_size"]),
    ("hostname without domain", {"hostname": "localhost"}, ["hostname"]),
    ("bad listener", {"listeners": {"smtp": [{"address": "nowhere"}]}}, ["listeners.smtp[0].address", "nowhere"]),
    ("two listeners on one address", {"listeners": {"http": [{"address": "127.0.0.1:7025"}]}},
     ["listeners.http[0].address", "listeners.grpc[0].address"]),
    ("everyone trusted", {"trusted_networks": ["0.0.0.0/0"]}, ["trusted_networks[0]"]),
    ("bad network", {"trusted_networks": ["10.0.0.0/40"]}, ["trusted_networks[0]", "10.0.0.0/40"]),
    ("TLS, not built yet", {"listeners": {"smtp": [{"address": "127.0.0.1:2525", "tls": "starttls"}]}},
     ["listeners.smtp[0].tls", "not built"]),
    ("AUTH, not built yet", {"listeners": {"smtp": [{"address": "127.0.0.1:2525", "auth": "required"}]}},
     ["listeners.smtp[0].auth", "not built"]),
    ("internal door to the world", {"listeners": {"internal": [{"address": "0.0.0.0:7026"}]}},
     ["listeners.internal[0].address"]),
    ("retry that shrinks", {"queue": {"retry": {"min": "5m", "max": "1m"}}}, ["queue.retry"]),
    ("memory below one message", {"limits": {"memory": "1MiB", "message_size": "5MiB"}}, ["limits.memory"]),
    ("bad route", {"delivery": {"routes": [{"domain": "ok.test", "to": "[host"}]}}, ["delivery.routes[0].to"]),
    ("bad range", {"delivery": {"allow_ranges": ["everything"]}}, ["delivery.allow_ranges[0]", "everything"]),
    ("bad DNS server", {"dns": {"servers": ["dns.ours.test"]}}, ["dns.servers[0]"]),
]


@pytest.mark.parametrize("what,changes,words", BAD, ids=[row[0] for row in BAD])
def test_f08_bad_configurations_do_not_start(tmp_path, what, changes, words):
    path = written(tmp_path, changes)
    for result in (hikyaku("serve", "--config", path), hikyaku("config", "check", path)):
        one_line(result, 2, str(path), *words)
        assert re.search(rf"{re.escape(str(path))}:\d+: ", result.err), "with its line"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("text,words", [
    ("hostname: [a", ["test.yaml"]), ("hello", ["test.yaml"]), ("- a\n", ["test.yaml"]), ("hostname: a.b\0c\n", ["test.yaml"]),
    ("hostname: a.test\nhostname: b.test\n", ["hostname", "twice"]), ("hostname: mail.ours.test\n", ["data_dir"])],
    ids=["open bracket", "no map", "a list", "NUL", "a key twice", "no data_dir"])
def test_f08_files_that_are_no_configuration(tmp_path, text, words):
    path = written(tmp_path, text=text)
    one_line(hikyaku("serve", "--config", path), 2, *words)


@pytest.mark.parametrize("file,word", [("none.pem", "No such file"), ("empty.pem", "no certificate"), (".", "cannot be read")])
def test_f08_no_authorities_in_the_file(tmp_path, file, word):
    (tmp_path / "empty.pem").write_text("nothing")
    path = written(tmp_path, {"delivery": {"tls": {"ca_file": str(tmp_path / file)}}})
    result = hikyaku("serve", "--config", path)
    one_line(result, 2, "delivery.tls.ca_file", word)
    assert re.search(rf"{path}:\d+: ", result.err), result


def test_f08_no_file(tmp_path):
    one_line(hikyaku("serve", "--config", tmp_path / "none.yaml"), 2, "none.yaml")
    one_line(hikyaku("serve", "--config", tmp_path), 2, str(tmp_path))


def test_f08_data_dir_that_is_a_file(tmp_path):
    (tmp_path / "data").write_text("x")
    one_line(hikyaku("serve", "--config", written(tmp_path)), 2, "data_dir", str(tmp_path / "data"))


def test_f08_data_dir_without_a_parent(tmp_path):
    one_line(hikyaku("serve", "--config", written(tmp_path, {"data_dir": str(tmp_path / "no" / "such" / "folder")})), 2,
             "data_dir")


def test_f08_data_dir_on_a_read_only_file_system(tmp_path):
    mount = tmp_path / "ro"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", mount], check=True)
    try:
        one_line(hikyaku("serve", "--config", written(tmp_path, {"data_dir": str(mount)})), 2, "data_dir", str(mount))
    finally:
        subprocess.run(["umount", mount], check=True)


FREE = {"smtp": [{"address": "127.0.0.1:2725"}], "grpc": [{"address": "127.0.0.1:7225"}],
        "http": [{"address": "127.0.0.1:8225"}]}


def said(result):
    """What a failed start said to people: the lines that are no log."""
    return [line for line in result.err.splitlines() if not line.startswith("{")]


@pytest.mark.parametrize("kind", ["smtp", "grpc", "http"])
def test_f08_port_in_use(tmp_path, kind):
    port = int(FREE[kind][0]["address"].rpartition(":")[2])
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        holder.listen()
        result = hikyaku("serve", "--config", written(tmp_path, {"listeners": FREE}))
    assert result.code == 2, result
    assert len(said(result)) == 1, result
    assert f"127.0.0.1:{port}" in said(result)[0] and f"listeners.{kind}" in said(result)[0], result


def test_f08_data_dir_of_a_running_node(post, tmp_path):
    result = hikyaku("serve", "--config", written(tmp_path, {"data_dir": str(post.node.data), "listeners": FREE}))
    assert result.code in (1, 2), result
    assert len(said(result)) == 1, result
    assert str(post.node.data) in said(result)[0], result
    post.alive()


def test_f08_a_damaged_queue_is_not_started_over(tmp_path):
    """A start that made a new queue beside lost files would forget mail without a word."""
    node = Node(tmp_path, {"listeners": FREE})
    try:
        node.start()
        node.stop()
    finally:
        node.kill()
    manifests = list(node.data.rglob("MANIFEST-*"))
    assert manifests
    for manifest in manifests:
        manifest.unlink()
    result = hikyaku("serve", "--config", node.config_file)
    assert result.code in (1, 2), result
    assert len(said(result)) == 1 and str(node.data) in said(result)[0], result


def test_serve_says_what_it_did(post):
    """One line of JSON an event, and no text of a mail in it."""
    secret = token()
    send_mail(post.smtp, "alice@ours.test", ["r@ok.test"], mail("secret", body=f"{secret}\r\n"))
    post.wait_mail(secret)
    lines = [json.loads(line) for line in post.node.log().splitlines()]
    assert any(line.get("event") == "started" or "started" in line.values() for line in lines)
    assert secret not in post.node.log()


# sink.

class TestSink:
    @pytest.fixture(scope="class")
    def sink(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("sink")
        process = Process([BINARY, "sink", "--listen", "127.0.0.1:2600", "--listen", "127.0.0.2:2600", "--maildir",
                           folder / "mail", "--log", folder / "sink.log", "--rule", "@gone.test=reply 550 5.1.1 gone",
                           "--rule", "127.0.0.2=at connect reply 421 4.3.2 down", "--rule", "two@ok.test=first 2 reply 451 later",
                           "--token-header", "X-Token"], folder / "out")
        process.folder = folder
        process.wait_until(lambda: process.output().count("listening on ") == 2, what="sink")
        yield process
        process.kill()

    def try_one(self, recipient, data=None):
        with Client(("127.0.0.1", 2600)) as client:
            client.hello()
            assert client.command("MAIL FROM:<alice@ours.test>")[0] == 250
            answer = client.command(f"RCPT TO:<{recipient}>")
            return client.message(data or mail("x")) if answer[0] == 250 else answer

    def test_saves_prints_and_logs(self, sink):
        word = token()
        data = mail(word, headers=[f"X-Token: {word}"], body="Hi\r\n..\r\n")
        assert self.try_one("r@ok.test", data.replace(b"\r\n..\r\n", b"\r\n...\r\n"))[0] == 250
        saved = [f.read_bytes() for f in (sink.folder / "mail" / "new").iterdir()]
        assert data in saved
        wait_for(lambda: word in sink.output(), 10, "a line about it")
        logged = [json.loads(line) for line in (sink.folder / "sink.log").read_text().splitlines()]
        entry = next(line for line in logged if line["token"] == word)
        assert entry["recipients"] == ["r@ok.test"] and entry["size"] == len(data)

    def test_rules_and_words(self, sink):
        assert self.try_one("r@gone.test") == (550, "5.1.1 gone")
        assert [self.try_one("two@ok.test")[0] for _ in range(3)] == [451, 451, 250]
        assert [self.try_one(f"{word}@ok.test")[0] for word in ("soft", "soft+1", "hard7", "dotsoft", "dothard")] == [
            450, 450, 550, 451, 554]
        assert [self.try_one("grey@ok.test")[0] for _ in range(2)] == [451, 250]
        assert self.try_one("drop@ok.test")[0] == 0
        with Client(("127.0.0.2", 2600)) as client:
            assert client.banner == (421, "4.3.2 down")

    def test_counts_at_the_end(self, tmp_path):
        process = Process([BINARY, "sink", "--listen", "127.0.0.1:2601", "--count-only"], tmp_path / "out")
        process.wait_until(lambda: port_open("127.0.0.1", 2601), what="sink")
        for _ in range(3):
            assert send_mail(("127.0.0.1", 2601), "a@ours.test", ["r@ok.test", "s@ok.test"], mail("x"))[0] == 250
        assert process.stop() == 0
        assert re.search(r"mails 3, recipients 6", process.output()), process.output()
