"""Clients that others wrote: swaks, Postfix's smtp-source, Python's smtplib, nodemailer, and grpcio by reflection."""

import email
import email.message
import email.policy
import json
import os
import pathlib
import re
import shutil
import smtplib
import subprocess

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from support.grpc_standard import health_pb2, health_pb2_grpc, reflection_pb2, reflection_pb2_grpc
from support.node import Node
from support.post import Post, token
from support.wait import wait_for

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def post(module_stage):
    return Post(module_stage)


@pytest.fixture(autouse=True)
def still_alive(post):
    yield
    post.alive()


def run(*command, code=0, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout


def parsed(received):
    return email.message_from_bytes(received.data, policy=email.policy.default)


# SMTP.

def test_swaks(post):
    word = token()
    out = run("swaks", "--server", "127.0.0.1:2525", "--from", "alice@ours.test", "--to", "r@ok.test,s@ok.test",
              "--header", f"Subject: {word}", "--body", "Hello\n.\nfrom swaks")
    assert re.search(r"<-  250 2\.0\.0 .*[0-9a-z]{26}", out), out
    received = post.wait_mail(word)
    assert sorted(received.recipients) == ["r@ok.test", "s@ok.test"]
    assert b"Hello\r\n.\r\nfrom swaks\r\n" in received.body


@pytest.mark.parametrize("options", [["--pipeline"], ["--protocol", "SMTP"]], ids=["pipelined", "HELO"])
def test_swaks_in_other_dialects(post, options):
    word = token()
    run("swaks", "--server", "127.0.0.1:2525", "--from", "<>", "--to", "r@ok.test", "--header", f"Subject: {word}",
        "--h-From", "alice@ours.test", *options)
    assert post.wait_mail(word).sender == ""


@pytest.mark.parametrize("options", [[], ["-d"]], ids=["a connection a mail", "kept connections"])
def test_smtp_source(post, options):
    """Postfix's load generator: 500 mails over 10 sessions, 2 recipients each."""
    before = len(post.sink.recipients())
    word = token()
    run("smtp-source", "-s", "10", "-m", "500", "-l", "2000", "-r", "2", "-f", "alice@ours.test", "-t", "load@ok.test",
        "-S", word, *options, "127.0.0.1:2525")
    wait_for(lambda: len(post.sink.recipients()) - before >= 1000, 120,
             lambda: f"1000 recipients: {len(post.sink.recipients()) - before}")
    post.api.wait_empty()
    assert len(post.sink.recipients()) - before == 1000
    assert len(post.mails(word)) == 500


def test_smtplib(post):
    word = token()
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = "alice@ours.test", "r@ok.test, s@ok.test", word
    message["Bcc"] = "blind@ok.test"
    message.set_content("Grüße\n.\nende\n", cte="8bit")
    with smtplib.SMTP("127.0.0.1", 2525) as client:
        client.ehlo("client.test")
        assert sorted(client.esmtp_features) == ["8bitmime", "chunking", "dsn", "enhancedstatuscodes", "pipelining", "size",
                                                 "smtputf8"]
        for _ in range(3):
            assert client.send_message(message) == {}
    for received in post.wait_mails(word, 3):
        assert sorted(received.recipients) == ["blind@ok.test", "r@ok.test", "s@ok.test"]
        assert received.header("Bcc") == []
        assert parsed(received).get_payload(decode=True) == "Grüße\r\n.\r\nende\r\n".encode()


def test_smtplib_hears_which_recipients_were_refused(post):
    word = token()
    with smtplib.SMTP("127.0.0.1", 2525) as client:
        refused = client.sendmail("alice@ours.test", ["r@ok.test", "u@[10.0.0.1]", "bad@@x"],
                                  f"From: alice@ours.test\r\nSubject: {word}\r\n\r\nx\r\n")
        assert {address: code for address, (code, _) in refused.items()} == {"u@[10.0.0.1]": 550, "bad@@x": 501}
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("alice@ours.test", ["u@[10.0.0.1]"], "From: alice@ours.test\r\n\r\nx\r\n")
    assert post.wait_mail(word).recipients == ["r@ok.test"]


def test_smtplib_is_told_that_there_is_no_tls_and_no_auth_yet(post):
    with smtplib.SMTP("127.0.0.1", 2525) as client:
        with pytest.raises(smtplib.SMTPNotSupportedError):
            client.starttls()
        with pytest.raises(smtplib.SMTPNotSupportedError):
            client.login("alice", "secret")


def test_smtplib_with_smtputf8(post):
    word = token()
    message = email.message.EmailMessage(policy=email.policy.SMTPUTF8)
    message["From"], message["To"], message["Subject"] = "älice@ours.test", "日本@ok.test", f"{word} 日本"
    message.set_content("x\n")
    with smtplib.SMTP("127.0.0.1", 2525) as client:
        client.ehlo("client.test")
        client.send_message(message)
    received = post.wait_mail(word)
    assert (received.sender, received.recipients) == ("älice@ours.test", ["日本@ok.test"])
    assert str(parsed(received)["Subject"]) == f"{word} 日本"


def test_nodemailer(post):
    """20 mails over a pool of 3 connections, as a Node application sends them."""
    word = token()
    assert shutil.which("node")
    out = run("node", HERE / "peers" / "send.js", "2525", "20", word,
              env=dict(os.environ, NODE_PATH=str(ROOT / ".deps" / "peers" / "node_modules")))
    answers = [json.loads(line) for line in out.splitlines()]
    assert len(answers) == 20
    for answer in answers:
        assert re.match(r"250 2\.0\.0 .*[0-9a-z]{26}", answer["response"])
        assert answer["accepted"] == ["r@ok.test", "s@ok.test", "blind@ok.test"] and answer["rejected"] == []
    for received in post.wait_mails(f"X-Token: {word}", 20):
        message = parsed(received)
        assert received.header("Bcc") == []
        assert str(message["Subject"]).startswith(word) and str(message["Subject"]).endswith("日本語")
        assert message.get_body(("plain",)).get_payload(decode=True) == "Grüße\r\n.\r\nende".encode()
        assert [a.get_content() for a in message.iter_attachments()] == [bytes(range(256))]


# gRPC without our .proto files.

class Reflection:
    """A client that knows nothing but the address."""

    def __init__(self, channel):
        self.stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        self.pool = descriptor_pool.DescriptorPool()
        self.added = set()

    def ask(self, **request):
        return next(self.stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**request)]), timeout=20))

    def services(self):
        return sorted(s.name for s in self.ask(list_services="*").list_services_response.service)

    def learn(self, **request):
        answer = self.ask(**request)
        assert answer.WhichOneof("message_response") == "file_descriptor_response", answer
        for data in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(data)
            if file.name in self.added:
                continue
            self.added.add(file.name)
            for name in file.dependency:
                if name not in self.added:
                    self.learn(file_by_filename=name)
            self.pool.Add(file)

    def service(self, name):
        self.learn(file_containing_symbol=name)
        return self.pool.FindServiceByName(name)


def test_reflection_is_all_that_a_client_needs(post):
    word = token()
    reflection = Reflection(post.api.channel)
    assert {"hikyaku.v1.MailService", "hikyaku.v1.AdminService", "grpc.health.v1.Health"} <= set(reflection.services())
    service = reflection.service("hikyaku.v1.MailService")
    assert set(service.methods_by_name) == {"SendMail", "SendMailStream", "GetMessage", "ListMessages", "CancelMessage",
                                            "WatchEvents"}
    method = service.methods_by_name["SendMail"]
    factory = message_factory.MessageFactory(reflection.pool)
    request = factory.GetPrototype(method.input_type)()
    getattr(request.content, "from").address = "alice@ours.test"
    request.content.to.add(address="r@ok.test")
    request.content.subject = word
    request.content.text = "by reflection"
    call = post.api.channel.unary_unary(f"/{service.full_name}/{method.name}", lambda m: m.SerializeToString(),
                                        factory.GetPrototype(method.output_type).FromString)
    answer = call(request, timeout=30)
    assert re.fullmatch(r"[0-9a-z]{26}", answer.message_id)
    assert [r.accepted for r in answer.recipients] == [True]
    post.wait_mail(word)


def test_reflection_says_what_it_does_not_know(post):
    answer = Reflection(post.api.channel).ask(file_containing_symbol="hikyaku.v1.NoSuchService")
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_health_for_orchestrators(post):
    stub = health_pb2_grpc.HealthStub(post.api.channel)
    for service in ("", "hikyaku.v1.MailService"):
        try:
            assert stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status == 1, service
        except grpc.RpcError as error:
            assert service and error.code() == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(service="no.such"), timeout=10)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_health_follows_readiness(module_stage, post):
    """A node that runs out of disk room is NOT_SERVING, and /readyz says why; Watch tells it without being asked again."""
    node = Node(module_stage.folder, {
        "listeners": {"grpc": [{"address": "127.0.0.1:7125"}], "smtp": [{"address": "127.0.0.1:2625"}],
                      "http": [{"address": "127.0.0.1:8125"}]},
        "queue": {"min_free_disk": "1000TiB"}}, name="full")
    module_stage.add(node, node.kill)
    node.start(wait=False)
    node.process.wait_until(lambda: "disk" in node.ready()[1], what="the reason")
    assert node.ready()[0] == 503
    with grpc.insecure_channel("127.0.0.1:7125", options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(health_pb2.HealthCheckRequest(), timeout=10, wait_for_ready=True).status == 2
    node.stop()
