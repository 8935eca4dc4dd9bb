// `hikyaku send`.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "hikyaku/v1/mail.grpc.pb.h"
#include "services/hikyaku/command.h"
#include "services/hikyaku/rpc_client.h"
#include "services/hikyaku/send_request.h"
#include "services/hikyaku/text.h"
#include "services/hikyaku/trace_text.h"

namespace hikyaku::cli {
namespace {

constexpr char kExamples[] =
    R"(Prints the id of the message, which is on disk then, and what became of each recipient. With --wait it goes on until
the mail is delivered, or will never be: exit code 0 means that every recipient has it.

Examples:
  hikyaku send --from app@example.jp --to you@example.com --subject Hello --text 'It works.'
  hikyaku send --from 'Shop <shop@example.jp>' --to you@example.com --cc b@example.com --subject Receipt \
      --text 'Thank you.' --html '<p>Thank you.</p>' --attach receipt.pdf --wait
  hikyaku send --from app@example.jp --rcpt you@example.com --raw message.eml
  generate | hikyaku send --from app@example.jp --rcpt you@example.com --raw - --idempotency-key order-17)";

// How often --wait asks: soon at first, for most mail is delivered at once.
constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestPause = absl::Seconds(2);

struct SendFlags {
  RpcFlags rpc;
  MailFlags mail;
  bool wait = false;
};

std::string ResponseText(const v1::SendMailResponse& response, bool dry_run) {
  std::string text;
  if (dry_run) {
    text = "dry run: it would be accepted\n";
  } else {
    text = absl::StrCat(response.replayed() ? "accepted before " : "accepted ", Printable(response.message_id()),
                        "  Message-ID <", Printable(response.message_id_header()), ">\n");
  }
  for (const v1::RecipientResult& recipient : response.recipients()) {
    absl::StrAppend(&text, "  ", Printable(recipient.address(), 300), "  ",
                    recipient.accepted() ? "accepted" : "refused: " + Printable(recipient.reason()), "\n");
  }
  return text;
}

// Prints each event as it comes, until every recipient has reached its end. A server that restarts meanwhile is waited
// for, as long as --timeout says.
int Follow(const RpcFlags& flags, v1::MailService::Stub* stub, const std::string& id) {
  v1::GetMessageRequest request;
  request.set_message_id(id);
  std::set<std::pair<std::string, std::uint64_t>> shown;  // Shard and sequence.
  absl::Time answered = absl::Now();
  for (absl::Duration pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
    grpc::ClientContext context;
    SetDeadline(flags, &context);
    v1::GetMessageResponse message;
    const grpc::Status status = stub->GetMessage(&context, request, &message);
    if (status.ok()) answered = absl::Now();
    const bool patient = absl::Now() - answered < Timeout(flags);
    if (!status.ok() && (status.error_code() != grpc::StatusCode::UNAVAILABLE || !patient)) return Fail(flags, status);
    for (const v1::Event& event : message.events()) {
      if (!shown.emplace(event.shard(), event.sequence()).second) continue;
      pause = kFirstPause;
      if (!flags.json) std::fputs(EventText(event).c_str(), stdout);
    }
    std::fflush(stdout);
    if (status.ok() && IsFinished(message)) {
      if (flags.json) std::fputs(Json(message).c_str(), stdout);
      return IsAllDelivered(message) ? kExitDone : kExitFailed;
    }
    absl::SleepFor(pause);
  }
}

int RunSend(const SendFlags& flags) {
  const absl::StatusOr<v1::SendMailRequest> request = MakeRequest(flags.mail, absl::Now());
  if (!request.ok()) {
    std::fprintf(stderr, "hikyaku send: %s\n", Printable(std::string(request.status().message())).c_str());
    return kExitUsage;
  }
  const auto stub = v1::MailService::NewStub(Connect(flags.rpc));
  grpc::ClientContext context;
  SetDeadline(flags.rpc, &context);
  v1::SendMailResponse response;
  if (const grpc::Status status = stub->SendMail(&context, *request, &response); !status.ok()) {
    return Fail(flags.rpc, status);
  }
  std::fputs(flags.rpc.json ? Json(response).c_str() : ResponseText(response, flags.mail.dry_run).c_str(), stdout);
  std::fflush(stdout);
  const bool all_accepted = std::all_of(response.recipients().begin(), response.recipients().end(),
                                        [](const v1::RecipientResult& recipient) { return recipient.accepted(); });
  int code = all_accepted ? kExitDone : kExitFailed;
  if (flags.wait && !flags.mail.dry_run) code = std::max(code, Follow(flags.rpc, stub.get(), response.message_id()));
  return code;
}

void AddMailFlags(CLI::App* app, MailFlags* mail) {
  app->add_option("--from", mail->from, "Sender: a@b or 'Name <a@b>'")->required();
  app->add_option("--to", mail->to, "Recipient; may be given again")->allow_extra_args(false);
  app->add_option("--cc", mail->cc, "Copy; may be given again")->allow_extra_args(false);
  app->add_option("--bcc", mail->bcc, "Blind copy; may be given again")->allow_extra_args(false);
  app->add_option("--reply-to", mail->reply_to, "Where answers go; may be given again")->allow_extra_args(false);
  app->add_option("--subject", mail->subject, "Subject");
  app->add_option("--text", mail->text, "The text");
  app->add_option("--html", mail->html, "The text as HTML");
  app->add_option("--attach", mail->attach, "A file to attach; may be given again")->allow_extra_args(false);
  app->add_option("--header", mail->headers, "'Name: value'; may be given again")->allow_extra_args(false);
  app->add_option("--raw", mail->raw, "Instead of all these: a file with the whole message, - for standard input");
  app->add_option("--rcpt", mail->rcpt, "Envelope recipient of --raw; may be given again")->allow_extra_args(false);
  app->add_option("--envelope-sender", mail->envelope_sender, "Where failures go, <> for nowhere; default: --from");
  app->add_option("--tenant", mail->tenant, "Whose mail this is");
  app->add_option("--stream", mail->stream, "What kind of mail of the tenant");
  app->add_option("--tag", mail->tags, "A mark for the events; may be given again")->allow_extra_args(false);
  app->add_option("--idempotency-key", mail->idempotency_key, "The same key makes no second message for 24 h");
  app->add_option("--priority", mail->priority, "high, normal or bulk")
      ->check(CLI::IsMember({"high", "normal", "bulk"}));
  app->add_option("--notify", mail->notify, "What is mailed back to the sender: success, failure, delay, as a list")
      ->delimiter(',')
      ->check(CLI::IsMember({"success", "failure", "delay"}))
      ->allow_extra_args(false);
  app->add_option("--not-before", mail->not_before, "Deliver no sooner than this from now: 5m, 2h")
      ->check(IsDuration());
  app->add_flag("--require-tls", mail->require_tls, "Only over TLS that proves the host, all the way (RFC 8689)");
  app->add_flag("--dry-run", mail->dry_run, "Check everything, send nothing");
}

}  // namespace

void AddSend(CLI::App* parent, std::vector<Command>* commands) {
  CLI::App* app = parent->add_subcommand("send", "Send one mail");
  app->footer(kExamples);
  const auto flags = std::make_shared<SendFlags>();
  AddMailFlags(app, &flags->mail);
  app->add_flag("--wait", flags->wait, "Follow the mail to its end");
  AddRpcFlags(app, &flags->rpc);
  commands->push_back({app, [flags] { return RunSend(*flags); }});
}

}  // namespace hikyaku::cli
