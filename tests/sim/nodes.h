// The processes without a disk: a worker of the delivery role, and a front-end of the submission role. Each is the real
// code on simulated doors, and can die at any moment.
//
// A process that died is kept until the end of the run, since callbacks may still lead to it; but nothing that it does
// reaches anybody.
//
// Threading: none of their own.
#ifndef HIKYAKU_TESTS_SIM_NODES_H_
#define HIKYAKU_TESTS_SIM_NODES_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "hikyaku/v1/mail.pb.h"
#include "lib/delivery/dkim_keys.h"
#include "lib/delivery/worker.h"
#include "lib/net/io_pool.h"
#include "lib/net/task_group.h"
#include "lib/submission/cluster.h"
#include "lib/submission/send_mail.h"
#include "services/submission/smtp_connection.h"
#include "tests/sim/books.h"
#include "tests/sim/link.h"
#include "tests/sim/mail_hosts.h"
#include "tests/sim/shard_node.h"
#include "tests/sim/sim_resolver.h"
#include "tests/sim/world.h"

namespace hikyaku::sim {

using Shards = std::vector<std::unique_ptr<ShardNode>>;
using Links = std::vector<std::unique_ptr<Link>>;

class WorkerNode {
 public:
  WorkerNode(World& world, Books& books, MailHosts& hosts, const Shards& shards, int index, Mutant::Kind mutant);
  ~WorkerNode();

  void Start();
  void Crash(absl::Duration down);

  // The selectors that its configuration names, from now on.
  void SetSelectors(std::vector<std::string> selectors);

  // To the shards; empty while it is down.
  const Links& links() const { return process_ == nullptr ? none_ : process_->links; }

  NodeClock clock;

 private:
  struct Process {
    Links links;
    std::unique_ptr<delivery::DkimKeyring> keyring;
    std::unique_ptr<delivery::Worker> worker;
  };

  void End();

  World& world_;
  Books& books_;
  MailHosts& hosts_;
  const Shards& shards_;
  const int index_;
  const Mutant::Kind mutant_;
  net::IoPool pool_;
  SimResolver resolver_;
  std::vector<std::string> selectors_;
  std::unique_ptr<Process> process_;
  std::vector<std::unique_ptr<Process>> dead_;
  const Links none_;
};

class FrontEnd {
 public:
  FrontEnd(World& world, Books& books, const Shards& shards, int index, Mutant::Kind mutant);
  ~FrontEnd();

  void Start();
  void Crash(absl::Duration down);

  // A call over gRPC. kAborted: the connection broke, and the outcome is not known.
  void Send(v1::SendMailRequest request, std::function<void(absl::StatusOr<v1::SendMailResponse>)> done);
  // A connection over SMTP; null: refused.
  std::unique_ptr<net::Stream> Connect();

  const Links& links() const { return process_ == nullptr ? none_ : process_->links; }

  NodeClock clock;

 private:
  struct Process {
    explicit Process(FrontEnd& node);

    bool alive = true;
    Links links;
    std::unique_ptr<submission::Cluster> cluster;
    std::unique_ptr<submission::ShardAcceptor> acceptor;
    submission::LiteralPolicy policy;
    submission::MemoryBudget budget;
    std::unique_ptr<submission::MailSender> sender;
    submission::SmtpDrain drain;
    std::shared_ptr<const submission::SmtpSettings> smtp;
    net::TaskGroup sessions;
    std::vector<std::function<void()>> at_end;  // Calls that are under way break.
  };

  void End();

  World& world_;
  Books& books_;
  const Shards& shards_;
  const int index_;
  const Mutant::Kind mutant_;
  std::shared_ptr<Process> process_;
  std::vector<std::shared_ptr<Process>> dead_;
  const Links none_;
};

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_NODES_H_
