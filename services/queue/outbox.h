// Words that wait to be written to a stream. While one write is under way they gather, and the next write takes all of
// them as one message (`more` in queue.proto), if the other side has said that it reads such: gRPC's work, and the
// wake-ups at both ends, are paid for once and not for each word.
//
// Threading: none of its own; the mutex of its owner guards it.
#ifndef HIKYAKU_SERVICES_QUEUE_OUTBOX_H_
#define HIKYAKU_SERVICES_QUEUE_OUTBOX_H_

#include <cstddef>
#include <deque>
#include <utility>

namespace hikyaku::queue {

// `Message` is WorkerMessage or ShardMessage.
template <typename Message>
class Outbox {
 public:
  // Bounds of one message of several words: a reader must not wait long for the first of them.
  static constexpr int kWords = 256;
  static constexpr std::size_t kBytes = 256 << 10;

  void Add(Message word) { words_.push_back(std::move(word)); }

  // The other side reads messages of several words.
  void Join() { joins_ = true; }

  // What to write now, good until Written; null: nothing waits, or a write is under way.
  const Message* Next() {
    if (writing_ || words_.empty()) return nullptr;
    writing_ = true;
    message_ = Take();
    if (!joins_) return &message_;
    std::size_t bytes = message_.ByteSizeLong();
    while (!words_.empty() && message_.more_size() + 1 < kWords) {
      bytes += words_.front().ByteSizeLong();
      if (bytes > kBytes) break;
      *message_.add_more() = Take();
    }
    return &message_;
  }

  // The write of Next has ended.
  void Written() {
    writing_ = false;
    message_ = Message();  // Bodies are not kept longer than they must be.
  }

 private:
  Message Take() {
    Message word = std::move(words_.front());
    words_.pop_front();
    return word;
  }

  std::deque<Message> words_;
  Message message_;  // That is being written.
  bool writing_ = false;
  bool joins_ = false;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_SERVICES_QUEUE_OUTBOX_H_
