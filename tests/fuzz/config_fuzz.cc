// A configuration file: it is mapped or refused with one line that names the place; what was mapped prints as a file
// that maps to the same.
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "lib/base/check.h"
#include "lib/config/defaults.h"
#include "lib/config/print.h"
#include "lib/config/validate.h"
#include "lib/config/yaml_loader.h"

namespace {

using namespace hikyaku::config;  // NOLINT(google-build-using-namespace): the file is about nothing else.

void CheckError(const absl::Status& status) {
  HIKYAKU_CHECK(absl::IsInvalidArgument(status));
  HIKYAKU_CHECK(absl::StartsWith(status.message(), "file.yaml:") && !absl::StrContains(status.message(), "\n"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  auto loaded = ParseConfig(text, "file.yaml");
  if (!loaded.ok()) {
    CheckError(loaded.status());
    return 0;
  }
  const auto again = ParseConfig(PrintConfig(loaded->config), "print.yaml");
  HIKYAKU_CHECK(again.ok() && again->config.SerializeAsString() == loaded->config.SerializeAsString());
  for (const Role role : {Role::kAll, Role::kSubmission, Role::kQueue, Role::kDelivery}) {
    hikyaku::v1::Config config = loaded->config;
    ApplyDefaults(config, role);
    const std::string once = config.SerializeAsString();
    ApplyDefaults(config, role);
    HIKYAKU_CHECK(config.SerializeAsString() == once);
    if (const absl::Status status = Validate(config, role, loaded->source); !status.ok()) CheckError(status);
  }
  return 0;
}
