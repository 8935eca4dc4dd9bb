#include "lib/submission/send_mail.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/submission/failure.h"
#include "lib/submission/stats.h"

namespace hikyaku::submission {
namespace {

constexpr absl::Duration kRetryWhenFull = absl::Seconds(1);

// One request while it is worked on.
struct Call {
  MemoryBudget::Hold hold;
  SendDone done;
  absl::Time start;
  Clock* clock;
  Submission submission;
  v1::SendMailResponse response;

  // Nothing is made of the request any more.
  void Free(v1::SendMailRequest* request) {
    submission.parts.reset();
    submission.raw = nullptr;
    v1::SendMailRequest freed;
    freed.Swap(request);
  }

  // Whatever passes by itself says when; what is too large does not.
  static void Count(const absl::Status& status) {
    const bool too_large = absl::IsResourceExhausted(status) && !RetryAfterOf(status).has_value();
    too_large ? Stats::Grpc().TooLarge() : Stats::Grpc().Refused(status);
  }

  void Answer(absl::StatusOr<v1::SendMailResponse> result) {
    hold.Release();
    Count(result.status());
    done(std::move(result));
  }
};

Mail MakeMail(const Submission& submission, const MessageId& id, Assembled assembled) {
  Mail mail;
  mail.id = id;
  mail.tenant = submission.tenant;
  mail.stream = submission.stream;
  mail.tags = submission.tags;
  mail.metadata = submission.metadata;
  mail.sender = submission.sender;
  mail.recipients = DistinctRecipients(submission.recipients);
  if (submission.reports.has_value()) {  // Who may call may be told: the API is for our own services.
    mail.reports = {storage::v1::SENDER_REPORTS_WANTED, submission.reports->returned, submission.reports->envelope_id};
    if (submission.reports->notify != 0) mail.wishes.assign(mail.recipients.size(), {submission.reports->notify, ""});
  }
  mail.not_before = submission.not_before;
  mail.deliver_by = submission.deliver_by;
  mail.priority = submission.priority;
  mail.require_tls = submission.require_tls;
  mail.message = std::move(assembled);
  return mail;
}

void OnAccepted(Call& call, absl::StatusOr<Accepted> result) {
  if (!result.ok()) return call.Answer(std::move(result).status());
  if (result->replayed.has_value()) return call.Answer(*std::move(result->replayed));
  call.response.set_message_id(result->id.text());
  call.response.set_message_id_header(result->message_id_header);
  Stats::Grpc().Accepted(call.clock->Now() - call.start);
  call.Answer(std::move(call.response));
}

}  // namespace

// Marks each recipient in the answer and leaves those that are taken in `submission`.
absl::Status MailSender::ApplyPolicy(Submission* submission, v1::SendMailResponse* response) const {
  std::vector<FieldError> refused;
  std::vector<Submission::Recipient> taken;
  for (Submission::Recipient& recipient : submission->recipients) {
    v1::RecipientResult& result = *response->add_recipients();
    result.set_address(recipient.written);
    const auto reason = doors_.policy->Refuse(recipient.address);
    result.set_accepted(!reason.has_value());
    if (reason.has_value()) {
      result.set_reason(*reason);
      Stats::Grpc().RecipientRefused("policy");
      refused.push_back({recipient.field, *reason});
    } else {
      taken.push_back(std::move(recipient));
    }
  }
  submission->recipients = std::move(taken);
  if (submission->recipients.empty()) return FieldFailure(absl::StatusCode::kInvalidArgument, refused);
  return absl::OkStatus();
}

void MailSender::Send(v1::SendMailRequest* request, StillWanted still_wanted, SendDone done) {
  if (absl::Status busy = doors_.acceptor->CheckLoad(); !busy.ok()) {
    Stats::Grpc().Refused(busy);
    return done(std::move(busy));
  }
  auto call = std::make_shared<Call>();
  call->hold = doors_.budget->Open();
  call->done = std::move(done);
  call->clock = doors_.clock;
  call->start = doors_.clock->Now();
  const std::uint64_t received = request->ByteSizeLong();
  const auto no_room = [] {
    return WithRetryAfter(absl::ResourceExhaustedError("limits.memory: too much mail on its way to the disk"),
                          kRetryWhenFull);
  };
  if (!call->hold.RaiseTo(received)) return call->Answer(no_room());

  auto submission = ReadRequest(*request, limits_, call->start);
  if (!submission.ok()) return call->Answer(submission.status());
  call->submission = *std::move(submission);
  if (absl::Status status = ApplyPolicy(&call->submission, &call->response); !status.ok()) return call->Answer(status);

  const MessageId id = MessageId::Generate(call->start);
  auto assembled = Assemble(call->submission, id, options_);
  if (!assembled.ok()) return call->Answer(assembled.status());
  if (call->submission.dry_run) {
    call->response.set_message_id(id.text());
    call->response.set_message_id_header(assembled->message_id_header);
    return call->Answer(std::move(call->response));
  }
  if (!call->hold.RaiseTo(received + assembled->bytes.size())) return call->Answer(no_room());

  std::optional<Keyed> keyed;
  if (!call->submission.idempotency_key.empty()) {
    keyed.emplace(
        Keyed{call->submission.idempotency_key, call->submission.fingerprint, call->response,
              [this, call](const MessageId& reserved) { return Assemble(call->submission, reserved, options_); }});
  } else {
    call->Free(request);
    call->hold.LowerTo(assembled->bytes.size());
  }
  if (absl::Status status = still_wanted(); !status.ok()) return call->Answer(std::move(status));
  doors_.acceptor->Accept(MakeMail(call->submission, id, *std::move(assembled)), std::move(keyed),
                          [call](absl::StatusOr<Accepted> result) { OnAccepted(*call, std::move(result)); });
}

}  // namespace hikyaku::submission
