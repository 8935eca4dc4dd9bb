#include "services/hikyaku/node.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lib/base/log.h"
#include "lib/base/status_macros.h"
#include "services/queue/remote_shard.h"

namespace hikyaku::cli {

absl::StatusOr<std::unique_ptr<Node>> Node::Start(const v1::Config& config, config::Role role, Clock& clock) {
  std::unique_ptr<Node> node(new Node);
  node->pool_ = std::make_unique<net::IoPool>(config.io_threads());
  for (const v1::HttpListener& listener : config.listeners().http()) {
    ASSIGN_OR_RETURN(const net::Endpoint at, net::ParseEndpoint(listener.address()));
    // Before the rest, so that a start that takes long can be watched.
    auto server =
        http::HttpServer::Start(*node->pool_, at, http::OperatorPages([raw = node.get()] { return raw->NotReady(); }));
    if (!server.ok()) {
      return absl::Status(server.status().code(), absl::StrCat("listeners.http: ", server.status().message()));
    }
    node->http_.push_back(*std::move(server));
  }
  if (absl::Status status = node->StartRoles(config, role, clock); !status.ok()) {
    node->Stop();
    return status;
  }
  node->started_ = true;
  node->PublishHealth();
  return node;
}

absl::Status Node::StartRoles(const v1::Config& config, config::Role role, Clock& clock) {
  if (config::HasQueue(role)) {
    ASSIGN_OR_RETURN(queue_, queue::QueueRole::Start(config, /*with_door=*/role == config::Role::kQueue, clock));
  }
  if (role == config::Role::kQueue) return absl::OkStatus();
  const std::vector<queue::Shard*> shards = ConnectShards(config);
  if (config::HasDelivery(role)) {
    ASSIGN_OR_RETURN(delivery_, delivery::DeliveryRole::Start(*pool_, config, shards, clock));
  }
  if (config::HasSubmission(role)) {
    ASSIGN_OR_RETURN(submission_, submission::SubmissionRole::Start(*pool_, config, shards, clock));
  }
  return absl::OkStatus();
}

std::vector<queue::Shard*> Node::ConnectShards(const v1::Config& config) {
  if (queue_ != nullptr) return {&queue_->shard()};
  tls_ = std::make_unique<InternalTls>(config);
  for (const v1::Shard& shard : config.queue().shards()) {
    remote_shards_.push_back(std::make_unique<queue::RemoteShard>(shard.name(), shard.address(), *tls_,
                                                                  config.limits().message_size().bytes()));
  }
  std::vector<queue::Shard*> shards;
  for (const auto& shard : remote_shards_) shards.push_back(shard.get());
  return shards;
}

absl::Status Node::Reload(const v1::Config& config) {
  if (delivery_ != nullptr) RETURN_IF_ERROR(delivery_->Reload(config));
  if (submission_ != nullptr) RETURN_IF_ERROR(submission_->Reload(config));
  if (queue_ != nullptr) queue_->Reload(config);
  return absl::OkStatus();
}

void Node::RereadKeys() {
  if (delivery_ != nullptr) delivery_->RereadKeys();
}

std::string Node::NotReady() const {
  if (stopping_) return "stopping";
  if (!started_) return "starting";
  if (queue_ != nullptr) {
    if (std::string reason = queue_->shard().NotReady(); !reason.empty()) return reason;
  }
  if (submission_ != nullptr) {
    if (std::string reason = submission_->NotReady(); !reason.empty()) return reason;
  }
  return delivery_ != nullptr ? delivery_->NotReady() : "";
}

void Node::PublishHealth() {
  const bool serving = NotReady().empty();
  if (submission_ != nullptr) submission_->SetServing(serving);
  if (queue_ != nullptr) queue_->SetServing(serving);
}

void Node::Stop() {
  if (stopping_.exchange(true)) return;
  PublishHealth();
  // One deadline for all: what the front-ends use up, the attempts have less of.
  const absl::Time deadline = absl::Now() + kPatience;
  if (submission_ != nullptr) submission_->Stop(kFrontPatience);
  // What a broken store cannot record is sent again after the next start: waiting for it helps nobody.
  const bool broken = queue_ != nullptr && !queue_->CanRecord();
  const absl::Duration left = deadline - absl::Now();
  if (delivery_ != nullptr) delivery_->Stop(broken ? std::min(left, queue::LocalShard::kBrokenPatience) : left);
  if (queue_ != nullptr) queue_->Stop(deadline - absl::Now());
  for (auto& server : http_) server->Stop();
}

}  // namespace hikyaku::cli
