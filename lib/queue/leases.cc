#include "lib/queue/leases.h"

#include <algorithm>
#include <utility>

namespace hikyaku::queue {
namespace {

void Tell(LeaseListener& listener, Notice& notice) {
  switch (notice.kind) {
    case Notice::kLease: return listener.OnLease({notice.lease, *notice.delivery, std::move(notice.body)});
    case Notice::kRecorded: return listener.OnRecorded(notice.lease);
    case Notice::kRevoked: return listener.OnRevoked(notice.lease);
    case Notice::kClosed: return listener.OnClosed(std::move(notice.why));
  }
}

// What the worker holds and has not reported, in the order of the leases, which is that of the schedule.
std::vector<ItemPtr> Unreported(const Stream& stream) {
  std::vector<ItemPtr> items;
  for (const auto& [lease, item] : stream.leases) {
    if (item->state == ItemState::kLeased) items.push_back(item);
  }
  std::sort(items.begin(), items.end(), [](const ItemPtr& a, const ItemPtr& b) { return a->lease < b->lease; });
  return items;
}

}  // namespace

std::shared_ptr<Stream> Leases::Open(std::string worker, LeaseListener* listener, absl::Duration now) {
  auto stream = std::make_shared<Stream>();
  stream->worker = std::move(worker);
  stream->listener = listener;
  stream->heard = now;
  streams_.push_back(stream);
  return stream;
}

Stream* Leases::NextWithCredit() {
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    Stream& stream = *streams_[++turn_ % streams_.size()];
    if (stream.credits > 0 && !stream.silent) return &stream;
  }
  return nullptr;
}

void Leases::Assign(Stream& stream, ItemPtr item, absl::Duration now) {
  if (stream.leases.empty()) stream.heard = now;
  --stream.credits;
  item->state = ItemState::kLeased;
  item->offered = false;
  item->stream = &stream;
  item->lease = next_lease_++;
  stream.leases[item->lease] = std::move(item);
}

void Leases::Offer(Item& item, std::shared_ptr<const std::string> body) {
  item.offered = true;
  Notify(*item.stream,
         {.kind = Notice::kLease, .lease = item.lease, .delivery = item.delivery, .body = std::move(body)});
}

void Leases::Revoke(Item& item) {
  if (item.offered) {
    Notify(*item.stream, {.kind = Notice::kRevoked, .lease = item.lease});
  } else {
    ++item.stream->credits;
  }
  Unassign(item);
}

void Leases::Unassign(Item& item) {
  if (item.stream == nullptr) return;
  item.stream->leases.erase(item.lease);
  item.stream = nullptr;
}

void Leases::Notify(Stream& stream, Notice notice) {
  if (stream.closed) return;
  stream.notices.push_back(std::move(notice));
  if (stream.listed) return;
  const auto it =
      std::find_if(streams_.begin(), streams_.end(), [&](const auto& each) { return each.get() == &stream; });
  if (it == streams_.end()) return;
  stream.listed = true;
  listed_.push_back(*it);
}

std::vector<ItemPtr> Leases::Close(Stream& stream, absl::Status why) {
  if (stream.closed) return {};
  stream.notices.clear();
  Notify(stream, {.kind = Notice::kClosed, .why = std::move(why)});
  stream.closed = true;
  stream.credits = 0;
  std::vector<ItemPtr> returned = Unreported(stream);
  for (auto& [lease, item] : stream.leases) item->stream = nullptr;
  stream.leases.clear();
  streams_.erase(
      std::find_if(streams_.begin(), streams_.end(), [&](const auto& each) { return each.get() == &stream; }));
  return returned;
}

std::vector<ItemPtr> Leases::TakeFromSilent(absl::Duration heard) {
  std::vector<ItemPtr> taken;
  for (const auto& stream : streams_) {
    if (stream->heard >= heard) continue;
    for (ItemPtr& item : Unreported(*stream)) taken.push_back(std::move(item));
    if (!stream->leases.empty()) stream->silent = true;
  }
  for (const ItemPtr& item : taken) Revoke(*item);
  return taken;
}

std::vector<std::shared_ptr<Stream>> Leases::TakeListed() {
  for (const auto& stream : listed_) stream->listed = false;
  return std::exchange(listed_, {});
}

void Leases::Drain(absl::Mutex& mu, Stream& stream) {
  absl::MutexLock lock(&mu);
  if (stream.draining) return;  // That thread sees the new notices, too.
  stream.draining = true;
  stream.drainer = std::this_thread::get_id();
  while (!stream.notices.empty()) {
    std::deque<Notice> notices = std::exchange(stream.notices, {});
    mu.Unlock();
    bool ended = false;
    for (Notice& notice : notices) {
      ended = notice.kind == Notice::kClosed;
      Tell(*stream.listener, notice);
    }
    if (!ended) stream.listener->OnPause();
    mu.Lock();
  }
  stream.draining = false;
  stream.drainer = {};
}

void Leases::Wait(absl::Mutex& mu, Stream& stream) {
  absl::MutexLock lock(&mu);
  if (stream.drainer == std::this_thread::get_id()) return;
  const auto idle = [&stream] { return !stream.draining; };
  mu.Await(absl::Condition(&idle));
}

}  // namespace hikyaku::queue
