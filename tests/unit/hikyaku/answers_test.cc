// What trace and queue print, from answers of the server.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "services/hikyaku/queue_text.h"
#include "services/hikyaku/trace_text.h"

namespace hikyaku::cli {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

template <typename Message>
Message Parse(const char* text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

TEST(TraceText, TellsTheLifeOfAMessage) {
  const auto message = Parse<v1::GetMessageResponse>(R"pb(
    message_id: "01jd"
    message_id_header: "m@h"
    tenant: "default"
    sender: "a@x.test"
    size_bytes: 500
    accept_time { seconds: 1699999940 }
    deliveries {
      domain: "y.test"
      shard: "q0"
      state: STATE_SCHEDULED
      attempts: 1
      next_attempt_time { seconds: 1700000270 }
      expire_time { seconds: 1700431940 }
      recipients {
        address: "b@y.test"
        state: RECIPIENT_STATE_DEFERRED
        last_outcome {
          kind: KIND_TRANSIENT
          scope: SCOPE_RECIPIENT
          smtp_code: 451
          enhanced_code: "4.3.0"
          text: "later\nFAKE"
          remote_host: "mx.y.test [192.0.2.1]:25"
          bounce_class: "QuotaIssue"
        }
      }
    }
    deliveries { domain: "z.test" shard: "q1" state: STATE_READY waits_for: "domain limit" }
    events {
      shard: "q0"
      type: TYPE_DEFERRED
      time { seconds: 1699999970 nanos: 123000000 }
      recipients: "b@y.test"
      attempts: 1
      next_attempt_time { seconds: 1700000270 }
    }
    missing_shards: "q2"
  )pb");
  EXPECT_EQ(TraceText(message, kNow),
            "Message 01jd  Message-ID <m@h>\n"
            "From <a@x.test>, 500 bytes, tenant default, accepted 2023-11-14 22:12:20Z (1m ago)\n"
            "\n"
            "To y.test (shard q0): waits for attempt 2 at 2023-11-14 22:17:50Z (in 4m30s); gives up "
            "2023-11-19 22:12:20Z (in 4d23h)\n"
            "  b@y.test  deferred\n"
            "      451 4.3.0 later\\x0aFAKE  (mx.y.test [192.0.2.1]:25; scope recipient; QuotaIssue)\n"
            "\n"
            "To z.test (shard q1): due now, waits for: domain limit\n"
            "\n"
            "Events\n"
            "  2023-11-14 22:12:50.123Z  deferred   b@y.test  attempt 1, next in 5m\n"
            "\n"
            "Did not answer, so their part is missing: q2\n");
  EXPECT_FALSE(IsFinished(message));
}

TEST(TraceText, KnowsTheEnd) {
  auto message = Parse<v1::GetMessageResponse>(R"pb(
    deliveries {
      state: STATE_FINISHED
      recipients { state: RECIPIENT_STATE_DELIVERED }
    }
    deliveries {
      state: STATE_FINISHED
      recipients { state: RECIPIENT_STATE_DELIVERED }
    }
  )pb");
  EXPECT_TRUE(IsFinished(message));
  EXPECT_TRUE(IsAllDelivered(message));
  message.mutable_deliveries(1)->mutable_recipients(0)->set_state(v1::RECIPIENT_STATE_BOUNCED);
  EXPECT_TRUE(IsFinished(message));
  EXPECT_FALSE(IsAllDelivered(message));
  message.add_missing_shards("q1");
  EXPECT_FALSE(IsFinished(message));
  EXPECT_FALSE(IsFinished(v1::GetMessageResponse()));
}

TEST(QueuesText, IsATable) {
  EXPECT_EQ(QueuesText({}, kNow), "Nothing waits.\n");
  const auto queues = Parse<v1::ListQueuesResponse>(R"pb(
    queues {
      domain: "y.test"
      shard: "q0"
      ready: 2
      leased: 1
      scheduled: 30
      oldest_accept_time { seconds: 1699999940 }
      next_attempt_time { seconds: 1700000005 }
      last_failure { text: "no route" enhanced_code: "4.4.1" scope: SCOPE_HOST }
    }
    queues { domain: "z.test" shard: "q0" suspended: true }
  )pb");
  EXPECT_EQ(QueuesText(queues, kNow),
            "DOMAIN  SHARD  READY  LEASED  SCHEDULED  OLDEST  NEXT       LAST FAILURE\n"
            "y.test  q0         2       1         30  1m ago  in 5s      4.4.1 no route  (scope host)\n"
            "z.test  q0         0       0          0  -       suspended  -\n");
}

TEST(DeliveriesText, NamesTheFirstRecipient) {
  const auto deliveries = Parse<v1::ListDeliveriesResponse>(R"pb(
    deliveries { message_id: "01jd" domain: "y.test" state: "ready" recipients: "a@y.test" recipients: "b@y.test" }
  )pb");
  EXPECT_NE(DeliveriesText(deliveries, kNow).find("<>    a@y.test and 1 more"), std::string::npos)
      << DeliveriesText(deliveries, kNow);
}

TEST(CheckText, ListsTheProblems) {
  auto check = Parse<v1::CheckQueueResponse>(R"pb(shards { shard: "q0" deliveries: 1 })pb");
  EXPECT_NE(CheckText(check).find("All invariants hold.\n"), std::string::npos);
  EXPECT_TRUE(IsSound(check));
  check.mutable_shards(0)->add_problems("body 7 has no owner");
  EXPECT_NE(CheckText(check).find("q0: body 7 has no owner\n"), std::string::npos);
  EXPECT_FALSE(IsSound(check));
}

}  // namespace
}  // namespace hikyaku::cli
