#include "lib/config/yaml_loader.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace hikyaku::config {
namespace {

struct BadCase {
  const char* name;
  std::string text;
  std::string error;  // How the message begins.
};

class BadConfig : public testing::TestWithParam<BadCase> {};

TEST_P(BadConfig, IsRefusedWithItsLine) {
  const absl::StatusOr<LoadedConfig> loaded = ParseConfig(GetParam().text, "f");
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
  const std::string message(loaded.status().message());
  EXPECT_EQ(message.substr(0, GetParam().error.size()), GetParam().error);
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Loader, BadConfig,
    testing::ValuesIn<BadCase>({
        {"UnknownKeyNamesTheNearest", "limits:\n  message_sise: 5MiB\n",
         "f:2: limits.message_sise: unknown key; did you mean message_size?"},
        {"UnknownKeyListsTheKeys", "retry: {}\nqueue:\n  retry:\n    zebra: 1\n", "f:1: retry: unknown key; "},
        {"UnknownKeyInAListItem", "listeners:\n  smtp:\n    - address: x\n    - adress: y\n",
         "f:4: listeners.smtp[1].adress: unknown key; did you mean address?"},
        {"HostileKeyStaysOneLine", "\"a\\nb\": 1\n", "f:1: a b: unknown key"},
        {"KeyThatIsAList", "? [a]\n: 1\n", "f:1: ?: the key is a list"},
        {"KeyTwice", "hostname: a.b\ndata_dir: /x\nhostname: c.d\n", "f:3: hostname: is given twice"},
        {"NestedKeyTwice", "dns:\n  timeout: 1s\n  timeout: 2s\n", "f:3: dns.timeout: is given twice"},
        {"GroupGivenAsValue", "\nlimits: 5\n", "f:2: limits: is a single value"},
        {"GroupGivenAsList", "limits: [5]\n", "f:1: limits: is a list"},
        {"ListGivenAsValue", "trusted_networks: 127.0.0.0/8\n", "f:1: trusted_networks: is a single value"},
        {"ListGivenAsGroup", "listeners:\n  smtp: {address: x}\n", "f:2: listeners.smtp: is a group of keys"},
        {"ValueGivenAsGroup", "hostname: {a: b}\n", "f:1: hostname: is a group of keys"},
        {"ValueGivenAsList", "hostname: [a]\n", "f:1: hostname: is a list"},
        {"DurationGivenAsGroup", "dns:\n  timeout: {seconds: 5}\n", "f:2: dns.timeout: is a group of keys"},
        {"EmptyValue", "hostname:\n", "f:1: hostname: has no value"},
        {"EmptyListItem", "trusted_networks:\n  - 10.0.0.0/8\n  -\n", "f:1: trusted_networks[1]: is an empty item"},
        {"WordForANumber", "limits:\n  recipients: many\n", "f:2: limits.recipients: \"many\" is not a whole number"},
        {"QuotedNumber", "limits: {recipients: \"5\"}\n", "f:1: limits.recipients: \"5\" is not a whole number"},
        {"NegativeNumber", "limits: {recipients: -5}\n", "f:1: limits.recipients: \"-5\" is not a whole number"},
        {"HexadecimalNumber", "limits: {recipients: 0x10}\n", "f:1: limits.recipients: \"0x10\" is not"},
        {"NumberTooLarge", "limits: {recipients: 4294967296}\n",
         "f:1: limits.recipients: \"4294967296\" is too large: write at most 4294967295"},
        {"NumberFarTooLarge", "limits: {recipients: 99999999999999999999999}\n",
         "f:1: limits.recipients: \"99999999999999999999999\" is too large"},
        {"ZeroThatWouldBecomeTheDefault", "limits: {recipients: 0}\n", "f:1: limits.recipients: is 0"},
        {"DurationWithoutUnit", "queue:\n  lifetime: 5\n", "f:2: queue.lifetime: \"5\" is not a duration"},
        {"DurationWithWrongUnit", "queue: {lifetime: 5y}\n", "f:1: queue.lifetime: \"5y\" is not a duration"},
        {"NegativeDuration", "queue: {lifetime: -5s}\n", "f:1: queue.lifetime: \"-5s\" is not a duration"},
        {"SizeWithoutUnit", "limits: {message_size: 25}\n", "f:1: limits.message_size: \"25\" is not a size"},
        {"SizeWithFraction", "limits: {message_size: 2.5MiB}\n", "f:1: limits.message_size: \"2.5MiB\" is not a size"},
        {"NotANumber", "queue: {retry: {jitter: .nan}}\n", "f:1: queue.retry.jitter: \".nan\" is not a number"},
        {"YesIsNoTruthValue", "listeners:\n  smtp:\n  - {address: x, proxy_protocol: yes}\n",
         "f:3: listeners.smtp[0].proxy_protocol: \"yes\" is not a truth value"},
        {"UnknownWord", "log:\n  level: verbose\n",
         "f:2: log.level: \"verbose\" is unknown: write one of info, debug, warn, error"},
        {"AuthIsNotNo", "listeners: {smtp: [{address: x, auth: no}]}\n",
         "f:1: listeners.smtp[0].auth: \"no\" is unknown: write one of none, optional, required"},
        {"LongValueIsCut", absl::StrCat("log: {level: ", std::string(9999, 'x'), "}\n"),
         absl::StrCat("f:1: log.level: \"", std::string(60, 'x'), "…\" is unknown")},
        {"Tab", "limits:\n\trecipients: 5\n", "f:2: is not YAML"},
        {"OpenQuote", "a: 1\nhostname: \"abc\n", "f:"},
        {"OpenBracket", "trusted_networks: [a, b\n", "f:"},
        {"TwoDocuments", "hostname: a.b\n---\nhostname: c.d\n", "f:3: a second document begins here"},
        {"StrayComma", " ,", "f:1: is not YAML: a stray , stands here"},
        {"StrayBracket", "hostname: a.b\n]\n", "f:2: is not YAML"},
        {"StrayBrace", "}\n", "f:1: is not YAML"},
        {"TextOnly", "hello\n", "f:1: is no group of keys"},
        {"ListAtTheTop", "- a\n", "f:1: is no group of keys"},
        {"BadUtf8", "hostname: a.b\ndata_dir: /\xff\n", "f:2: is not valid UTF-8"},
        {"ControlCharacter", "hostname: a.b\ndata_dir: /\x1b[2J\n", "f:2: a control character"},
        {"Nul", std::string("hostname: a\0b\n", 14), "f:1: a control character"},
        {"EscapedNul", "hostname: \"a\\0b\"\n", "f:1: hostname: holds a control character"},
        {"EscapedByte", "hostname: \"a\\Nb\"\n", "f:1: hostname: holds a control character"},
        {"BlockOfLines", "trusted_networks:\n- |\n  a\n  b\n", "f:2: trusted_networks[0]: holds a control character"},
        {"DeepNesting", absl::StrCat("hostname: ", std::string(1 << 19, '[')), "f:1: is not YAML"},
        {"UndefinedAlias", "hostname: *nothing\n", "f:1: is not YAML"},
        {"MergeKeyIsUnknown", "limits: &a {recipients: 5}\ndns:\n  <<: *a\n", "f:3: dns.<<: unknown key"},
    }),
    [](const auto& info) { return info.param.name; });

LoadedConfig MustParse(absl::string_view text) {
  absl::StatusOr<LoadedConfig> loaded = ParseConfig(text, "f");
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return loaded.ok() ? *std::move(loaded) : LoadedConfig();
}

TEST(GoodConfig, NothingIsAnEmptyConfig) {
  for (const char* text : {"", "\n", "# only a comment\n", "---\n", "{}\n", "limits:\ntrusted_networks:\n"}) {
    EXPECT_EQ(MustParse(text).config.trusted_networks_size(), 0) << text;
    EXPECT_TRUE(MustParse(text).config.hostname().empty()) << text;
  }
}

TEST(GoodConfig, EveryTypeIsRead) {
  const v1::Config config = MustParse(R"(
hostname: mail.example.jp   # a comment
data_dir: "/var/lib/with space"
listeners:
  grpc: [{address: "127.0.0.1:7025"}]
  smtp:
    - address: 127.0.0.1:2525
      tls: none
      auth: none
      proxy_protocol: false
    - {address: "[::1]:25", tls: starttls, auth: required, proxy_protocol: true}
trusted_networks: ["127.0.0.0/8", "::1/128"]
limits: {message_size: 25MiB, recipients: 1000, connections_per_client: 0}
queue:
  lifetime: 1h30m
  retry: {min: 500ms, max: 4h, jitter: 0.25}
  min_free_inodes: 0
delivery:
  routes: [{domain: test-sample.jp, to: "[192.168.0.103]:25"}]
log: {level: warn}
)")
                                .config;
  EXPECT_EQ(config.hostname(), "mail.example.jp");
  EXPECT_EQ(config.data_dir(), "/var/lib/with space");
  ASSERT_EQ(config.listeners().smtp_size(), 2);
  EXPECT_EQ(config.listeners().smtp(0).address(), "127.0.0.1:2525");
  EXPECT_EQ(config.listeners().smtp(0).auth(), v1::SmtpListener::no);
  EXPECT_EQ(config.listeners().smtp(1).tls(), v1::SmtpListener::starttls);
  EXPECT_EQ(config.listeners().smtp(1).auth(), v1::SmtpListener::required);
  EXPECT_TRUE(config.listeners().smtp(1).proxy_protocol());
  EXPECT_EQ(config.trusted_networks(1), "::1/128");
  EXPECT_EQ(config.limits().message_size().bytes(), 25u << 20);
  EXPECT_EQ(config.limits().recipients(), 1000u);
  EXPECT_TRUE(config.limits().has_connections_per_client());
  EXPECT_EQ(config.queue().lifetime().seconds(), 5400);
  EXPECT_EQ(config.queue().retry().min().nanos(), 500'000'000);
  EXPECT_EQ(config.queue().retry().jitter(), 0.25);
  EXPECT_TRUE(config.queue().has_min_free_inodes());
  EXPECT_EQ(config.delivery().routes(0).to(), "[192.168.0.103]:25");
  EXPECT_EQ(config.log().level(), v1::Log::warn);
}

TEST(GoodConfig, AnAnchorStandsForItsValue) {
  const v1::Config config = MustParse("smtp: {idle_timeout: &t 7s, data_timeout: *t}\n").config;
  EXPECT_EQ(config.smtp().data_timeout().seconds(), 7);
}

TEST(GoodConfig, WindowsLineEndsAreFine) {
  EXPECT_EQ(MustParse("hostname: a.b\r\ndata_dir: /x\r\n").config.hostname(), "a.b");
}

TEST(SourceMap, KnowsTheLineOfAKeyOrOfWhatIsAroundIt) {
  const SourceMap source = MustParse("hostname: a.b\nqueue:\n  shards:\n    - {name: q0}\n").source;
  EXPECT_EQ(source.Error("hostname", "x").message(), "f:1: hostname: x");
  EXPECT_EQ(source.Error("queue.shards[0].name", "x").message(), "f:4: queue.shards[0].name: x");
  EXPECT_EQ(source.Error("queue.shards[0].address", "x").message(), "f:4: queue.shards[0].address: x");
  EXPECT_EQ(source.Error("queue.name", "x").message(), "f:2: queue.name: x");
  EXPECT_EQ(source.Error("data_dir", "x").message(), "f: data_dir: x");
  EXPECT_TRUE(source.Has("queue.shards"));
  EXPECT_FALSE(source.Has("queue.name"));
}

std::string TempFile(const std::string& name, const std::string& content) {
  const std::string path = absl::StrCat(std::getenv("TEST_TMPDIR"), "/", name);
  std::ofstream(path) << content;
  return path;
}

TEST(LoadConfigFile, ReadsAFile) {
  const std::string path = TempFile("good.yaml", "hostname: a.b\n");
  EXPECT_EQ(LoadConfigFile(path)->config.hostname(), "a.b");
  EXPECT_EQ(LoadConfigFile(path)->source.file(), path);
}

TEST(LoadConfigFile, RefusesWhatIsNoFileOfConfiguration) {
  const std::string missing = absl::StrCat(std::getenv("TEST_TMPDIR"), "/missing.yaml");
  EXPECT_EQ(LoadConfigFile(missing).status().message(),
            missing + ": cannot be read: No such file or directory: check --config and the file's permissions");
  EXPECT_EQ(LoadConfigFile(std::getenv("TEST_TMPDIR")).status().code(), absl::StatusCode::kInvalidArgument);
  const std::string large = TempFile("large.yaml", "#" + std::string(kMaxFileSize, 'x'));
  EXPECT_EQ(LoadConfigFile(large).status().message(),
            large + ": is larger than 1MiB: this is not a configuration file");
}

}  // namespace
}  // namespace hikyaku::config
