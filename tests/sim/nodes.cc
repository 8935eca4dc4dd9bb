#include "tests/sim/nodes.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/net/memory_stream.h"
#include "lib/tls/context.h"
#include "tests/sim/secrets.h"

namespace hikyaku::sim {
namespace {

constexpr absl::Duration kStepLimit = absl::Seconds(20);

smtp::ClientTimeouts Timeouts() {
  smtp::ClientTimeouts timeouts;
  timeouts.connect = absl::Seconds(10);
  timeouts.greeting = timeouts.hello = timeouts.mail = timeouts.rcpt = timeouts.data = timeouts.block = kStepLimit;
  timeouts.tls = kStepLimit;
  timeouts.dot = absl::Seconds(30);
  return timeouts;
}

Links MakeLinks(World& world, Books& books, const Shards& shards, int worker, Mutant::Kind mutant) {
  Links links;
  for (const auto& shard : shards) {
    links.push_back(std::make_unique<Link>(world, books, *shard, worker));
    links.back()->mutant = mutant;
    if (mutant == Mutant::kMisreportWritten) links.back()->losing_answers = 0.05;
  }
  return links;
}

std::vector<queue::Shard*> Pointers(const Links& links) {
  std::vector<queue::Shard*> shards;
  for (const auto& link : links) shards.push_back(link.get());
  return shards;
}

submission::SmtpSettings SmtpSettings(const std::string& hostname) {
  submission::SmtpSettings settings;
  settings.session.hostname = hostname;
  settings.trusted = {*address::Cidr::Parse("10.0.0.0/8")};
  settings.assemble.hostname = hostname;
  return settings;
}

// Rows that say only how mail goes, for the domains that do not do with the configuration's policy.
delivery::RouteTable Routes(Mutant::Kind mutant) {
  std::vector<delivery::RouteRow> rows;
  for (int i = 0; i < kDomains; ++i) {
    const int like = mutant == Mutant::kPolicyOfNeighbour ? (i + 1) % kDomains : i;
    delivery::TlsLevel level = PolicyOf(DomainName(like));
    if (level >= delivery::TlsLevel::kDane && mutant == Mutant::kForgetDane) level = delivery::TlsLevel::kOpportunistic;
    if (level == delivery::TlsLevel::kOpportunistic) continue;
    if (level == delivery::TlsLevel::kVerify && mutant == Mutant::kForgetVerify) level = delivery::TlsLevel::kRequire;
    delivery::RouteRow row;
    row.domain = DomainName(i);
    row.to = "smtp:";
    row.tls = level;
    rows.push_back(std::move(row));
  }
  return *delivery::RouteTable::Create(rows, 25);
}

delivery::TlsSettings TlsSettings(const Clock& clock, Mutant::Kind mutant) {
  delivery::TlsSettings settings;
  settings.context = std::make_shared<const tls::ClientContext>(Roots(), tls::MinVersion::kTls12, clock);
  settings.level = delivery::TlsLevel::kOpportunistic;
  settings.clear_text_after = mutant == Mutant::kHastyClearText ? absl::ZeroDuration() : kClearTextAfter;
  settings.broken_memory = absl::Minutes(2);
  settings.mta_sts = true;
  return settings;
}

}  // namespace

// ---- A worker. ----

WorkerNode::WorkerNode(World& world, Books& books, MailHosts& hosts, const Shards& shards, int index,
                       Mutant::Kind mutant)
    : clock(world),
      world_(world),
      books_(books),
      hosts_(hosts),
      shards_(shards),
      index_(index),
      mutant_(mutant),
      pool_(world.executor()),
      resolver_(world, books, hosts.zones(), index, mutant),
      selectors_({kSelector}) {}

WorkerNode::~WorkerNode() { End(); }

void WorkerNode::Start() {
  if (process_ != nullptr) return;
  world_.Trace("worker ", index_, " starts");
  books_.NoteWorkerStart(index_);
  process_ = std::make_unique<Process>();
  process_->links = MakeLinks(world_, books_, shards_, index_, mutant_);
  delivery::WorkerOptions options;
  options.name = absl::StrCat("w", index_);
  options.concurrency = 24;
  options.attempt.helo = "worker.test";
  options.attempt.own.name = "worker.test";
  options.attempt.timeouts = Timeouts();
  options.pool.messages_per_connection = 5;
  process_->keyring = std::make_unique<delivery::DkimKeyring>(SigningOptions(selectors_));
  if (mutant_ != Mutant::kForgetSigning) options.attempt.keyring = process_->keyring.get();
  delivery::Network network{Routes(mutant_), net::EgressGuard(), std::make_shared<SimDialer>(world_, hosts_, index_)};
  network.tls = TlsSettings(clock, mutant_);
  network.tls_reports = true;
  process_->worker = std::make_unique<delivery::Worker>(std::move(options), Pointers(process_->links),
                                                        std::move(network), pool_, resolver_, clock);
}

void WorkerNode::SetSelectors(std::vector<std::string> selectors) {
  selectors_ = std::move(selectors);
  if (process_ != nullptr) process_->keyring->Update(SigningOptions(selectors_));
}

void WorkerNode::Crash(absl::Duration down) {
  if (process_ == nullptr) return;
  world_.Trace("worker ", index_, " crashed");
  books_.NoteFault({Fault::kWorkerCrash, index_, -1, world_.now(), world_.now()});
  End();
  world_.After(down, [this] { Start(); });
}

// The streams end first: what holds a lease knows then that it must not send a final dot.
void WorkerNode::End() {
  if (process_ == nullptr) return;
  for (const auto& link : process_->links) link->Die();
  process_->worker->Cancel();
  world_.Settle();
  HIKYAKU_CHECK(process_->worker->ended());
  process_->worker = nullptr;
  dead_.push_back(std::move(process_));
}

// ---- A front-end. ----

FrontEnd::FrontEnd(World& world, Books& books, const Shards& shards, int index, Mutant::Kind mutant)
    : clock(world), world_(world), books_(books), shards_(shards), index_(index), mutant_(mutant) {}

FrontEnd::~FrontEnd() { End(); }

FrontEnd::Process::Process(FrontEnd& node)
    : links(MakeLinks(node.world_, node.books_, node.shards_, -1, node.mutant_)), budget(std::uint64_t{64} << 20) {
  const std::string hostname = absl::StrCat("mail", node.index_, ".test");
  cluster = std::make_unique<submission::Cluster>(Pointers(links));
  acceptor = std::make_unique<submission::ShardAcceptor>(cluster.get(), &node.clock);
  submission::AssembleOptions assemble;
  assemble.hostname = hostname;
  const submission::MailSender::Doors doors{acceptor.get(), &policy, &budget, &node.clock};
  sender = std::make_unique<submission::MailSender>(doors, submission::RequestLimits(), assemble);
  smtp = std::make_shared<const submission::SmtpSettings>(SmtpSettings(hostname));
}

void FrontEnd::Start() {
  if (process_ != nullptr) return;
  world_.Trace("front-end ", index_, " starts");
  process_ = std::make_shared<Process>(*this);
}

void FrontEnd::Crash(absl::Duration down) {
  if (process_ == nullptr) return;
  world_.Trace("front-end ", index_, " crashed");
  End();
  world_.After(down, [this] { Start(); });
}

void FrontEnd::End() {
  if (process_ == nullptr) return;
  const std::shared_ptr<Process> process = std::exchange(process_, nullptr);
  process->alive = false;
  // Connections break before anything can be said on them.
  for (const auto& end : process->at_end) end();
  for (const auto& link : process->links) link->Die();
  process->sessions.Cancel();
  world_.Settle();
  HIKYAKU_CHECK(process->sessions.size() == 0);
  dead_.push_back(process);
}

void FrontEnd::Send(v1::SendMailRequest request, std::function<void(absl::StatusOr<v1::SendMailResponse>)> done) {
  const std::shared_ptr<Process> process = process_;
  if (process == nullptr) return done(absl::UnavailableError("failed to connect"));
  struct Call {
    v1::SendMailRequest request;
    std::function<void(absl::StatusOr<v1::SendMailResponse>)> done;
  };
  const auto call = std::make_shared<Call>(Call{std::move(request), std::move(done)});
  const auto answer = [call](absl::StatusOr<v1::SendMailResponse> response) {
    if (call->done) std::exchange(call->done, nullptr)(std::move(response));
  };
  process->at_end.push_back([answer] { answer(absl::AbortedError("the connection broke")); });
  process->sender->Send(
      &call->request, [] { return absl::OkStatus(); },
      [this, call, answer, raw = process.get()](absl::StatusOr<v1::SendMailResponse> response) {
        if (!raw->alive) return;
        // The answer is on the way; the process may die meanwhile, and the answer with it.
        world_.After(absl::Milliseconds(1), [answer, response = std::move(response)] { answer(response); });
      });
}

std::unique_ptr<net::Stream> FrontEnd::Connect() {
  if (process_ == nullptr) return nullptr;
  const net::Endpoint client{*address::IpAddress::Parse("10.0.0.9"), 50000};
  const net::Endpoint server{*address::IpAddress::Parse("10.0.0.1"), 2525};
  auto [ours, theirs] = net::MakeMemoryPair(world_.executor(), client, server);
  const submission::SmtpDoors doors{process_->acceptor.get(), &process_->policy, &process_->budget, &clock,
                                    &process_->drain};
  process_->sessions.Spawn(world_.executor(), submission::ServeSmtp(std::move(theirs), process_->smtp, doors));
  return std::move(ours);
}

}  // namespace hikyaku::sim
