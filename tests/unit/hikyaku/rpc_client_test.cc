#include "services/hikyaku/rpc_client.h"

#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace hikyaku::cli {
namespace {

RpcFlags Flags() {
  RpcFlags flags;
  flags.server = "127.0.0.1:7025";
  flags.timeout = "1500ms";
  return flags;
}

grpc::Status WithDetail(grpc::StatusCode code, const google::protobuf::Message& detail) {
  google::rpc::Status details;
  details.add_details()->PackFrom(detail);
  return grpc::Status(code, "first of them", details.SerializeAsString());
}

TEST(ErrorText, ListsTheFieldsOfABadRequest) {
  google::rpc::BadRequest bad;
  for (const char* field : {"content.to[0].address", "tenant"}) {
    bad.add_field_violations()->set_field(field);
    bad.mutable_field_violations()->rbegin()->set_description(
        "is b\x1b"
        "ad");
  }
  EXPECT_EQ(ErrorText(Flags(), WithDetail(grpc::StatusCode::INVALID_ARGUMENT, bad)),
            "hikyaku: the request is wrong\n"
            "  content.to[0].address: is b\\x1bad\n"
            "  tenant: is b\\x1bad\n");
}

TEST(ErrorText, SaysWhenToTryAgain) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(90);
  EXPECT_EQ(ErrorText(Flags(), WithDetail(grpc::StatusCode::RESOURCE_EXHAUSTED, retry)),
            "hikyaku: the server has no room for this now, or it is too large: first of them\n"
            "  try again in 1m30s\n");
}

TEST(ErrorText, StandsWithoutDetails) {
  EXPECT_EQ(ErrorText(Flags(), grpc::Status(grpc::StatusCode::UNAVAILABLE, "refused")),
            "hikyaku: no answer from 127.0.0.1:7025, or it cannot take this now: refused\n");
  EXPECT_EQ(ErrorText(Flags(), grpc::Status(grpc::StatusCode::INTERNAL, "x", "no protobuf \xff")),
            "hikyaku: failed with code 13: x\n");
}

TEST(Timeout, IsThatOfTheFlags) { EXPECT_EQ(Timeout(Flags()), absl::Milliseconds(1500)); }

}  // namespace
}  // namespace hikyaku::cli
