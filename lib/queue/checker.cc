#include "lib/queue/checker.h"

#include <cstdint>
#include <functional>
#include <map>

#include "absl/strings/str_cat.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "lib/base/message_id.h"
#include "lib/queue/engine.h"
#include "lib/queue/keys.h"

namespace hikyaku::queue {
namespace {

constexpr int kMaxProblems = 100;

class Checker {
 public:
  Checker(View& view, const std::string& shard, const std::atomic<bool>& cancel) : view_(view), cancel_(cancel) {
    result_.set_shard(shard);
  }

  absl::StatusOr<v1::ShardCheck> Run() {
    CheckDeliveries();
    if (!cut_) CheckEntries();
    if (!cut_) CheckCounters();
    if (cut_) return absl::UnavailableError("the check was cut short: the shard is stopping or reopening its store");
    return std::move(result_);
  }

 private:
  void Problem(std::string text) {
    if (result_.problems_size() < kMaxProblems) result_.add_problems(std::move(text));
  }

  static std::string Name(absl::string_view key) {
    const auto id = MessageId::FromBytes(keys::DeliveryId(key));
    return absl::StrCat(id.has_value() ? id->text() : "?", " ", std::string(keys::DeliveryDomain(key)));
  }

  void ForEach(Family family, const std::function<void(absl::string_view key, absl::string_view value)>& visit) {
    const auto cursor = view_.Scan(family, "", "");
    for (; cursor->Valid() && !cancel_; cursor->Next()) visit(cursor->key(), cursor->value());
    cut_ |= cancel_ || absl::IsAborted(cursor->status());
    if (!cut_ && !cursor->status().ok())
      Problem(absl::StrCat("cannot read on: ", std::string(cursor->status().message())));
  }

  // Walks deliveries and bodies side by side: both are in the order of ids.
  void CheckDeliveries() {
    const auto bodies = view_.Scan(Family::kBody, "", "");
    std::string id;
    std::map<std::uint64_t, bool> parts;  // Of the message `id`: its bodies, and whether a delivery needs them.
    const auto next_message = [&](absl::string_view next) {
      for (const auto& [part, needed] : parts) {
        if (!needed && !IsLeft(keys::Body(id, part))) Problem(absl::StrCat("body without a delivery: ", Name(id)));
      }
      parts.clear();
      id = std::string(next);
      for (; bodies->Valid() && (id.empty() || bodies->key().substr(0, 16) <= absl::string_view(id)); bodies->Next()) {
        const absl::string_view owner = bodies->key().substr(0, 16);
        result_.set_bodies(result_.bodies() + 1);
        if (!id.empty() && owner == absl::string_view(id)) {
          parts[keys::ReadBig64(bodies->key().substr(16))] = false;
        } else if (!IsLeft(bodies->key())) {
          Problem(absl::StrCat("body without a delivery: ", Name(owner)));
        }
      }
    };
    ForEach(Family::kDelivery, [&](absl::string_view key, absl::string_view value) {
      if (keys::DeliveryId(key) != absl::string_view(id)) next_message(keys::DeliveryId(key));
      CheckDelivery(key, value, parts);
    });
    next_message("");
  }

  // Known to be one too many, and removed soon.
  bool IsLeft(absl::string_view body_key) {
    const auto mark = view_.Get(Family::kMeta, absl::StrCat(keys::kLeftBody, body_key));
    return mark.ok() && mark->has_value();
  }

  void CheckDelivery(absl::string_view key, absl::string_view value, std::map<std::uint64_t, bool>& parts) {
    result_.set_deliveries(result_.deliveries() + 1);
    storage::v1::Delivery delivery;
    if (!delivery.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
      return Problem(absl::StrCat("damaged delivery: ", Name(key)));
    }
    result_.set_recipients(result_.recipients() + delivery.recipients_size());
    if (delivery.recipients().empty()) Problem(absl::StrCat("delivery without recipients: ", Name(key)));
    if (const auto body = parts.find(delivery.body_part()); body != parts.end()) {
      body->second = true;
    } else {
      Problem(absl::StrCat("delivery without its body: ", Name(key)));
    }
    CheckDeadline(key, delivery);
  }

  void CheckDeadline(absl::string_view key, const storage::v1::Delivery& delivery) {
    const auto due = view_.Get(Family::kDue, keys::Due(delivery.due_micros(), key));
    if (due.ok() && due->has_value()) return;
    const std::string parked_key =
        keys::Parked(keys::DeliveryDomain(key), PriorityClass(delivery.envelope().priority()),
                     delivery.envelope().tenant(), delivery.due_micros(), keys::DeliveryId(key));
    const auto parked = view_.Get(Family::kParked, parked_key);
    storage::v1::DueEntry entry;
    if (!parked.ok() || !parked->has_value() || !entry.ParseFromString(**parked)) {
      return Problem(absl::StrCat("delivery without a next deadline: ", Name(key)));
    }
    const auto end = view_.Get(Family::kDue, keys::Due(EndMicros(entry), key));
    if (!end.ok() || !end->has_value()) Problem(absl::StrCat("parked delivery without its expiry: ", Name(key)));
  }

  // Every delivery has its entry; so an entry too many has none.
  void CheckEntries() {
    std::uint64_t due = 0, parked_ends = 0, parked = 0;
    ForEach(Family::kDue, [&](absl::string_view key, absl::string_view value) {
      ++due;
      storage::v1::DueEntry entry;
      if (!entry.ParseFromArray(value.data(), static_cast<int>(value.size()))) Problem("damaged due entry");
      if (entry.parked_micros() != 0) ++parked_ends;
      const auto parts = keys::ParseDue(key);
      if (!parts.has_value()) return Problem("due entry with a damaged key");
      const auto delivery = view_.Get(Family::kDelivery, parts->delivery_key);
      if (!delivery.ok() || !delivery->has_value()) {
        Problem(absl::StrCat("due entry without a delivery: ", Name(parts->delivery_key)));
      }
    });
    ForEach(Family::kParked, [&](absl::string_view, absl::string_view) { ++parked; });
    if (due != result_.deliveries()) {
      Problem(absl::StrCat(due, " due entries for ", result_.deliveries(), " deliveries"));
    }
    if (parked != parked_ends) Problem(absl::StrCat(parked, " parked entries, ", parked_ends, " of their expiries"));
  }

  void CheckCounters() {
    storage::v1::Counters counters;
    const auto record = view_.Get(Family::kMeta, keys::kCounters);
    if (!record.ok() || (record->has_value() && !counters.ParseFromString(**record))) {
      return Problem("the counters cannot be read");
    }
    result_.set_accepted_total(counters.accepted());
    result_.set_delivered_total(counters.delivered());
    result_.set_bounced_total(counters.bounced());
    result_.set_expired_total(counters.expired());
    result_.set_cancelled_total(counters.cancelled());
    result_.set_suppressed_total(counters.suppressed());
    const std::uint64_t in = counters.accepted() + counters.moved_in();
    const std::uint64_t out = counters.delivered() + counters.bounced() + counters.expired() + counters.cancelled() +
                              counters.suppressed() + counters.moved_out();
    if (in != out + result_.recipients()) {
      Problem(absl::StrCat("counters are off: ", in, " recipients came in, ", out, " are done, ", result_.recipients(),
                           " are queued"));
    }
  }

  View& view_;
  const std::atomic<bool>& cancel_;
  bool cut_ = false;  // What was not seen must not be taken for missing.
  v1::ShardCheck result_;
};

}  // namespace

absl::StatusOr<v1::ShardCheck> CheckView(View& view, const std::string& shard, const std::atomic<bool>& cancel) {
  return Checker(view, shard, cancel).Run();
}

}  // namespace hikyaku::queue
