#include "lib/net/endpoint.h"

#include <gtest/gtest.h>

namespace hikyaku::net {
namespace {

struct Case {
  const char* name;
  const char* text;
  std::uint16_t default_port;
  const char* canonical;  // Null: refused.
};

class EndpointText : public testing::TestWithParam<Case> {};

TEST_P(EndpointText, IsReadAndWritten) {
  const auto endpoint = ParseEndpoint(GetParam().text, GetParam().default_port);
  if (GetParam().canonical == nullptr) {
    EXPECT_EQ(endpoint.status().code(), absl::StatusCode::kInvalidArgument);
  } else {
    ASSERT_TRUE(endpoint.ok()) << endpoint.status();
    EXPECT_EQ(endpoint->text(), GetParam().canonical);
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, EndpointText,
                         testing::ValuesIn<Case>({
                             {"V4", "127.0.0.1:25", 0, "127.0.0.1:25"},
                             {"V6NeedsBrackets", "[::1]:25", 0, "[::1]:25"},
                             {"PortZeroIsAny", "127.0.0.1:0", 0, "127.0.0.1:0"},
                             {"DefaultPortV4", "127.0.0.1", 53, "127.0.0.1:53"},
                             {"DefaultPortV6", "[::1]", 53, "[::1]:53"},
                             {"MissingPort", "127.0.0.1", 0, nullptr},
                             {"EmptyPort", "127.0.0.1:", 53, nullptr},
                             {"PortTooLarge", "127.0.0.1:65536", 0, nullptr},
                             {"PortWithSign", "127.0.0.1:+25", 0, nullptr},
                             {"BareV6", "::1", 53, nullptr},
                             {"V4InBrackets", "[127.0.0.1]:25", 0, nullptr},
                             {"OpenBracket", "[::1:25", 0, nullptr},
                             {"JunkAfterBracket", "[::1]x:25", 0, nullptr},
                             {"HostName", "localhost:25", 0, nullptr},
                             {"Empty", "", 25, nullptr},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace hikyaku::net
