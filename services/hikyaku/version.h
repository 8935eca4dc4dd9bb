// The release that this tree becomes.
#ifndef HIKYAKU_SERVICES_HIKYAKU_VERSION_H_
#define HIKYAKU_SERVICES_HIKYAKU_VERSION_H_

namespace hikyaku::cli {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace hikyaku::cli

#endif  // HIKYAKU_SERVICES_HIKYAKU_VERSION_H_
