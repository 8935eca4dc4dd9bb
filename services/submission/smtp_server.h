// The SMTP listeners of the submission role.
//
// Threading: Start, Stop and the destructor on one thread that is none of the pool's; Reload from every thread.
#ifndef HIKYAKU_SERVICES_SUBMISSION_SMTP_SERVER_H_
#define HIKYAKU_SERVICES_SUBMISSION_SMTP_SERVER_H_

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/net/admission.h"
#include "lib/net/endpoint.h"
#include "lib/net/io_pool.h"
#include "lib/net/listener.h"
#include "services/submission/smtp_connection.h"
#include "services/submission/smtp_settings.h"

namespace hikyaku::submission {

class SmtpServer {
 public:
  // What connections share, without the drain, which is the server's own.
  struct Doors {
    Acceptor* acceptor;
    const RecipientPolicy* policy;
    MemoryBudget* budget;
    Clock* clock;
  };

  // Listens where `config.listeners.smtp` says; limits.connections counts over all of these listeners. All pointers,
  // and the pool, outlive the server. The errors are those of SmtpSettingsFrom and net::Listener::Start, with the
  // address.
  static absl::StatusOr<std::unique_ptr<SmtpServer>> Start(net::IoPool& pool, const v1::Config& config, Doors doors);

  // Stops without grace.
  ~SmtpServer();

  // trusted_networks and the rest of the settings, for connections from now on.
  absl::Status Reload(const v1::Config& config);

  // Listens no more; sessions between two mails get 421, others may finish theirs within `grace`. Idempotent.
  void Stop(absl::Duration grace);

  std::vector<net::Endpoint> bound() const;
  std::size_t connections() const;

 private:
  SmtpServer(SmtpSettings settings, Doors doors);

  net::Admission::Caps CapsFrom(const v1::Limits& limits) const;
  std::shared_ptr<const SmtpSettings> Settings() const;
  awaitable<void> Serve(std::unique_ptr<net::Stream> stream);

  SmtpDoors doors_;
  SmtpDrain drain_;
  mutable std::mutex mutex_;
  std::shared_ptr<const SmtpSettings> settings_;  // Guarded by mutex_.
  std::vector<std::unique_ptr<net::Listener>> listeners_;
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_SERVICES_SUBMISSION_SMTP_SERVER_H_
