#include "lib/submission/accept.h"

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/crypto/digest.h"
#include "lib/metrics/metrics.h"
#include "lib/submission/failure.h"

namespace hikyaku::submission {
namespace {

// How long a key is remembered: mail.proto promises it.
constexpr absl::Duration kKeyLifetime = absl::Hours(24);

// Disk and memory take a while to come back, another shard or a restart a moment.
constexpr absl::Duration kRetryWhenFull = absl::Seconds(5);
constexpr absl::Duration kRetryWhenDown = absl::Seconds(1);
constexpr absl::Duration kRetryWhenBusy = absl::Seconds(1);

// The expiry of a claim that reserves nothing: it is over already.
constexpr std::int64_t kOnlyLook = 0;

metrics::Counter& Spilled() {
  static metrics::Counter& counter = metrics::DeclareCounter(
      "hikyaku_submission_spilled_total", "Parts of messages that went to another shard because their own was down.");
  return counter;
}

metrics::Counter& Overloaded() {
  static metrics::Counter& counter = metrics::DeclareCounter(
      "hikyaku_submission_overloaded_total", "Messages refused because what was taken waits too long for its commit.");
  return counter;
}

// What the client may see of a shard's answer.
absl::Status ForClient(absl::Status status) {
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted: return WithRetryAfter(std::move(status), kRetryWhenFull);
    case absl::StatusCode::kUnavailable: return WithRetryAfter(std::move(status), kRetryWhenDown);
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kDeadlineExceeded: return status;
    default:
      log::Error("enqueue_failed", {{"status", status}});
      return absl::InternalError("the queue refused the message; see the server's log");
  }
}

}  // namespace

// One message on its way to the shards. Lives in the callbacks that it waits for.
class ShardAcceptor::Operation : public std::enable_shared_from_this<Operation> {
 public:
  Operation(ShardAcceptor* acceptor, Mail mail, std::optional<Keyed> keyed, AcceptDone done)
      : acceptor_(*acceptor),
        cluster_(*acceptor->cluster_),
        now_(acceptor->clock_->Now()),
        mail_(std::move(mail)),
        keyed_(std::move(keyed)),
        done_(std::move(done)),
        avoid_(cluster_.shards().size(), false) {
    for (std::size_t i = 0; i < mail_.recipients.size(); ++i) {
      const address::Address& recipient = mail_.recipients[i];
      domains_[recipient.domain].push_back({recipient.ToString(), mail_.wishes.empty() ? nullptr : &mail_.wishes[i]});
    }
  }

  void Start() {
    acceptor_.delay_.Begin(now_);
    if (!keyed_.has_value()) {
      Dispatch(AllDomains(), [this] { Succeed(); });
      return;
    }
    home_ = cluster_.map().Owner(RecordKey());
    const std::vector<std::string> domains = AllDomains();
    const bool at_home =
        std::all_of(domains.begin(), domains.end(), [this](const std::string& d) { return IsHome(d); });
    if (at_home && !TooLate()) {
      EnqueueAtHome();
    } else {
      Claim();
    }
  }

 private:
  using Domains = std::vector<std::string>;
  struct Addressee {
    std::string address;
    const RecipientWish* wish;  // In mail_; null: none.
  };
  struct Part {
    std::size_t shard;
    Domains domains;
  };

  // ---- Keyed messages: home, claim, survey. ----

  std::string RecordKey() const { return absl::StrCat(mail_.tenant, std::string(1, '\0'), keyed_->key); }

  std::string PartKey(const Domains& domains) const {
    std::string all;
    for (const std::string& domain : domains) absl::StrAppend(&all, domain, "\n");
    return absl::StrCat(RecordKey(), std::string(1, '\0'), absl::BytesToHexString(crypto::Sha256(all)));
  }

  bool IsHome(const std::string& domain) const { return cluster_.map().Owner(domain) == home_; }
  queue::Shard& Home() const { return *cluster_.shards()[home_]; }
  bool TooLate() const { return mail_.deliver_by <= now_; }
  std::int64_t KeyExpiry() const { return absl::ToUnixMicros(now_ + kKeyLifetime); }

  // The home's part, with the record of the key: the last step, and often the only one.
  void EnqueueAtHome() {
    Domains domains = AllDomains();
    domains.erase(std::remove_if(domains.begin(), domains.end(), [this](const std::string& d) { return !IsHome(d); }),
                  domains.end());
    internal::v1::EnqueueRequest request = MakeRequest(domains);
    keyed_->response.set_message_id(mail_.id.text());
    keyed_->response.set_message_id_header(mail_.message.message_id_header);
    internal::v1::IdempotencyCommit& commit = *request.mutable_idempotency();
    commit.set_key(RecordKey());
    commit.set_fingerprint(keyed_->fingerprint);
    commit.set_expire_micros(KeyExpiry());
    commit.set_response(keyed_->response.SerializeAsString());
    Home().Enqueue(std::move(request), [self = shared_from_this()](absl::StatusOr<internal::v1::EnqueueResponse> r) {
      self->OnHomeAnswer(std::move(r));
    });
  }

  void OnHomeAnswer(absl::StatusOr<internal::v1::EnqueueResponse> response) {
    // An earlier try claimed the key and did not finish, maybe when other shards were there: go on where it stopped.
    // After our own claim it can only mean that the claim ran out in between.
    if (response.status().code() == absl::StatusCode::kAborted && !claimed_) return Claim();
    if (response.status().code() == absl::StatusCode::kAborted) {
      return Fail(absl::UnavailableError("the idempotency key is in use by another call"));
    }
    if (!response.ok()) return Fail(std::move(response).status());
    if (!response->replayed_response().empty()) return Replay(response->replayed_response());
    Succeed();
  }

  void Claim() {
    claimed_ = true;
    internal::v1::ClaimRequest request;
    request.set_key(RecordKey());
    request.set_fingerprint(keyed_->fingerprint);
    request.set_message_id(std::string(mail_.id.bytes()));
    request.set_expire_micros(TooLate() ? kOnlyLook : KeyExpiry());
    Home().Claim(std::move(request), [self = shared_from_this()](absl::StatusOr<internal::v1::ClaimResponse> r) {
      self->OnClaim(std::move(r));
    });
  }

  void OnClaim(absl::StatusOr<internal::v1::ClaimResponse> response) {
    if (!response.ok()) return Fail(std::move(response).status());
    if (!response->replayed_response().empty()) return Replay(response->replayed_response());
    const auto id = MessageId::FromBytes(response->message_id());
    if (!id.has_value()) return Fail(absl::InternalError("a claim without a message id"));
    if (*id == mail_.id && TooLate()) {
      return Finish(FieldFailure(absl::StatusCode::kInvalidArgument, {{"deliver_by", "is not in the future"}}));
    }
    if (*id == mail_.id) return DispatchForeign();
    auto rebuilt = keyed_->rebuild(*id);
    if (!rebuilt.ok()) return Finish(std::move(rebuilt).status());
    repeat_ = true;
    mail_.id = *id;
    mail_.message = *std::move(rebuilt);
    Survey();
  }

  // Asks every shard what it has of the message under the id of an earlier try.
  void Survey() {
    v1::GetMessageRequest request;
    request.set_message_id(mail_.id.text());
    outstanding_ = cluster_.shards().size();
    for (queue::Shard* shard : cluster_.shards()) {
      shard->GetMessage(request, [self = shared_from_this()](absl::StatusOr<v1::GetMessageResponse> r) {
        self->OnSurvey(std::move(r));
      });
    }
  }

  void OnSurvey(absl::StatusOr<v1::GetMessageResponse> response) {
    {
      std::lock_guard lock(mutex_);
      if (response.ok()) {
        for (const v1::DeliveryStatus& delivery : response->deliveries()) domains_.erase(delivery.domain());
        for (const v1::Event& event : response->events()) domains_.erase(event.domain());
      } else if (response.status().code() != absl::StatusCode::kNotFound) {
        failure_ = absl::UnavailableError("an earlier try may have left a part at a shard that does not answer");
      }
      if (--outstanding_ > 0) return;
    }
    if (!failure_.ok()) return Fail(failure_);
    DispatchForeign();
  }

  void DispatchForeign() {
    Domains foreign = AllDomains();
    foreign.erase(std::remove_if(foreign.begin(), foreign.end(), [this](const std::string& d) { return IsHome(d); }),
                  foreign.end());
    Dispatch(std::move(foreign), [this] { EnqueueAtHome(); });
  }

  // ---- Parts and their way to a shard. ----

  Domains AllDomains() const {
    Domains domains;
    for (const auto& [domain, recipients] : domains_) domains.push_back(domain);
    return domains;
  }

  // `domains` by the first shard of each one's order that is not to be avoided. One that has none left is in
  // `homeless`.
  std::vector<Part> Place(const Domains& domains, bool* homeless) const {
    std::map<std::size_t, Domains> by_shard;
    for (const std::string& domain : domains) {
      const std::vector<std::size_t> order = cluster_.map().Order(domain);
      const auto first = std::find_if(order.begin(), order.end(), [this](std::size_t i) { return !avoid_[i]; });
      if (first == order.end()) {
        *homeless = true;
      } else {
        by_shard[*first].push_back(domain);
      }
    }
    std::vector<Part> parts;
    for (auto& [shard, of_shard] : by_shard) parts.push_back({shard, std::move(of_shard)});
    return parts;
  }

  // Enqueues `domains`, and when all are durable calls `next`. Runs once for a message.
  void Dispatch(Domains domains, std::function<void()> next) {
    if (domains.empty()) return next();
    bool homeless = false;
    std::vector<Part> parts = Place(domains, &homeless);
    next_ = std::move(next);
    spread_ = parts.size() > 1 || keyed_.has_value();
    outstanding_ = parts.size();
    for (Part& part : parts) Send(std::move(part));
  }

  void Send(Part part) {
    internal::v1::EnqueueRequest request = MakeRequest(part.domains);
    if (keyed_.has_value()) {
      internal::v1::IdempotencyCommit& commit = *request.mutable_idempotency();
      commit.set_key(PartKey(part.domains));
      commit.set_fingerprint(keyed_->fingerprint);
      commit.set_expire_micros(KeyExpiry());
      commit.set_response(std::string(mail_.id.bytes()));
    }
    queue::Shard& shard = *cluster_.shards()[part.shard];
    shard.Enqueue(std::move(request), [self = shared_from_this(), part = std::move(part)](
                                          absl::StatusOr<internal::v1::EnqueueResponse> r) mutable {
      self->OnPart(std::move(part), r.status());
    });
  }

  void OnPart(Part part, const absl::Status& status) {
    std::vector<Part> elsewhere;
    bool finished = false;
    {
      std::lock_guard lock(mutex_);
      --outstanding_;
      if (!status.ok() && failure_.ok()) {
        avoid_[part.shard] = true;
        bool homeless = !MaySpill(status);
        if (!homeless) elsewhere = Place(part.domains, &homeless);
        if (homeless) {
          failure_ = status;
          elsewhere.clear();  // It fails anyway: what is not written need not be repeated.
        }
      }
      outstanding_ += elsewhere.size();
      finished = outstanding_ == 0;
    }
    for (Part& next : elsewhere) {
      Spilled().Increment();
      Send(std::move(next));
    }
    if (!finished) return;
    if (!failure_.ok()) return Fail(failure_);
    next_();
  }

  bool MaySpill(const absl::Status& status) const {
    return status.code() == absl::StatusCode::kUnavailable ||
           (status.code() == absl::StatusCode::kResourceExhausted && spread_);
  }

  internal::v1::EnqueueRequest MakeRequest(const Domains& domains) {
    internal::v1::EnqueueRequest request;
    storage::v1::Envelope& envelope = *request.mutable_envelope();
    FillEnvelope(&envelope);
    for (const std::string& domain : domains) {
      internal::v1::Destination& destination = *request.add_destinations();
      destination.set_domain(domain);
      for (const Addressee& addressee : domains_.at(domain)) {
        destination.add_recipients(addressee.address);
        if (addressee.wish == nullptr) continue;
        internal::v1::RecipientOptions& options = *destination.add_options();
        options.set_notify(addressee.wish->notify);
        options.set_original_recipient(addressee.wish->original_recipient);
      }
    }
    request.set_maybe_repeat(repeat_);
    if (mail_.not_before > now_) request.set_due_micros(absl::ToUnixMicros(mail_.not_before));
    // The bytes are needed again where there is another shard to spill to, or another step to come.
    if (cluster_.shards().size() == 1 && !keyed_.has_value()) {
      request.set_body(std::move(mail_.message.bytes));
    } else if (!domains.empty()) {
      request.set_body(mail_.message.bytes);
    }
    return request;
  }

  void FillEnvelope(storage::v1::Envelope* envelope) const {
    envelope->set_message_id(std::string(mail_.id.bytes()));
    envelope->set_tenant(mail_.tenant);
    envelope->set_sender(mail_.sender.ToString());
    envelope->set_message_id_header(mail_.message.message_id_header);
    envelope->set_size(mail_.message.bytes.size());
    envelope->set_accept_micros(absl::ToUnixMicros(now_));
    // Unset, the shard's own lifetime holds.
    if (mail_.deliver_by < absl::InfiniteFuture()) envelope->set_expire_micros(absl::ToUnixMicros(mail_.deliver_by));
    envelope->set_priority(mail_.priority);
    // A recipient that needs it says so by its address, and must not ask it of the hosts of others.
    envelope->set_smtputf8(mail_.message.smtputf8 || mail_.sender.NeedsSmtpUtf8());
    envelope->set_eight_bit(mail_.message.eight_bit);
    envelope->set_require_tls(mail_.require_tls);
    envelope->set_tls_optional(mail_.message.waives_tls && !mail_.require_tls);
    envelope->set_stream(mail_.stream);
    envelope->set_sender_reports(mail_.reports.sender);
    envelope->set_returned_content(static_cast<storage::v1::ReturnedContent>(mail_.reports.returned));
    envelope->set_envelope_id(mail_.reports.envelope_id);
    for (const std::string& tag : mail_.tags) envelope->add_tags(tag);
    for (const auto& [key, value] : mail_.metadata) (*envelope->mutable_metadata())[key] = value;
  }

  // ---- The answer. ----

  void Succeed() { Finish(Accepted{mail_.id, mail_.message.message_id_header, std::nullopt}); }

  void Fail(absl::Status status) { Finish(ForClient(std::move(status))); }

  void Replay(const std::string& bytes) {
    Accepted accepted;
    v1::SendMailResponse& response = accepted.replayed.emplace();
    const auto id = response.ParseFromString(bytes) ? MessageId::FromText(response.message_id()) : std::nullopt;
    if (!id.has_value()) return Fail(absl::DataLossError("the record of an idempotency key does not parse"));
    response.set_replayed(true);
    accepted.id = *id;
    accepted.message_id_header = response.message_id_header();
    Finish(std::move(accepted));
  }

  void Finish(absl::StatusOr<Accepted> result) {
    acceptor_.delay_.End(now_, acceptor_.clock_->Now());
    std::exchange(done_, nullptr)(std::move(result));
  }

  ShardAcceptor& acceptor_;
  const Cluster& cluster_;
  const absl::Time now_;

  // Changed only between the steps, when nothing is outstanding.
  Mail mail_;
  std::optional<Keyed> keyed_;
  AcceptDone done_;
  std::map<std::string, std::vector<Addressee>> domains_;  // Still to be written: domain → recipients.
  std::size_t home_ = 0;
  bool claimed_ = false;
  bool repeat_ = false;         // The id is an earlier try's.
  bool spread_ = false;         // More than one write makes the whole.
  std::function<void()> next_;  // Once all parts are durable.

  std::mutex mutex_;  // Guards what follows while parts are outstanding.
  std::size_t outstanding_ = 0;
  std::vector<bool> avoid_;  // Shards that refused a part.
  absl::Status failure_;     // The first that no other shard could mend.
};

void ShardAcceptor::Accept(Mail mail, std::optional<Keyed> keyed, AcceptDone done) {
  std::make_shared<Operation>(this, std::move(mail), std::move(keyed), std::move(done))->Start();
}

absl::Status ShardAcceptor::CheckLoad() {
  if (!delay_.TooLong(clock_->Now())) return absl::OkStatus();
  Overloaded().Increment();
  return WithRetryAfter(absl::ResourceExhaustedError("too much mail waits for its commit"), kRetryWhenBusy);
}

std::string ShardAcceptor::NotReady() const {
  std::string first;
  for (const queue::Shard* shard : cluster_->shards()) {
    const std::string reason = shard->NotReady();
    if (reason.empty()) return "";
    if (first.empty()) first = absl::StrCat(shard->name(), ": ", reason);
  }
  return first;
}

}  // namespace hikyaku::submission
