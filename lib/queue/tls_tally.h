// What a verdict adds to the reports on TLS (RFC 8460): its sessions are counted in the commit that records it, in rows
// of the day, the domain and all that was alike. What domains and hosts make of it is bounded: beyond kMaxRows of one
// domain and day, what is new is counted without its details.
//
// The domain is the one whose mail it was; its mail may have spilled here from another shard, and then each of the two
// shards reports its share.
//
// Threading: made anywhere; Put and Committed on the committer's thread.
#ifndef HIKYAKU_LIB_QUEUE_TLS_TALLY_H_
#define HIKYAKU_LIB_QUEUE_TLS_TALLY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "google/protobuf/repeated_field.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "lib/queue/committer.h"
#include "lib/queue/metrics.h"

namespace hikyaku::queue {

class TlsTally {
 public:
  static constexpr int kMaxRows = 200;

  TlsTally(std::string domain, std::int64_t now_micros,
           const google::protobuf::RepeatedPtrField<storage::v1::TlsSession>& sessions);

  void Put(Group& group) const;
  void Committed(Metrics& metrics) const;
  std::size_t bytes() const { return sessions_.size() * 512; }

 private:
  std::string domain_;
  std::int64_t now_;
  std::vector<storage::v1::TlsSession> sessions_;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_TLS_TALLY_H_
