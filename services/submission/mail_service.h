// hikyaku.v1.MailService over gRPC's callback API.
//
// Stop, so that no client of a rolling restart sees anything but an answer or UNAVAILABLE:
//   gate.Close();  gate.WaitUntilEmpty(patience);  and then the process ends (docs/adr/0001), or, in a test, the server
//   is
// destroyed, and after it what the services use.
//
// Threading: gRPC calls the methods on its threads; everything here is safe from every thread.
#ifndef HIKYAKU_SERVICES_SUBMISSION_MAIL_SERVICE_H_
#define HIKYAKU_SERVICES_SUBMISSION_MAIL_SERVICE_H_

#include <cstdint>

#include "hikyaku/v1/mail.grpc.pb.h"
#include "lib/submission/cluster.h"
#include "lib/submission/send_mail.h"
#include "services/submission/call_gate.h"

namespace hikyaku::submission {

// For ServerBuilder::SetMaxReceiveMessageSize: a message of the largest size with all that may stand around it. What is
// larger gets RESOURCE_EXHAUSTED from gRPC itself, before it is read.
inline int MaxRequestBytes(std::uint64_t message_size) {
  constexpr std::uint64_t kMargin = 1 << 20;
  constexpr std::uint64_t kMost = INT32_MAX;
  return static_cast<int>(message_size < kMost - kMargin ? message_size + kMargin : kMost);
}

// Every method in gRPC's callback form, but for the stream: its messages come as bytes, because gRPC tells the end of a
// stream and a message that it cannot read in the same way, and the second must not pass for the first.
using MailServiceBase = v1::MailService::WithCallbackMethod_SendMail<
    v1::MailService::WithRawCallbackMethod_SendMailStream<v1::MailService::WithCallbackMethod_GetMessage<
        v1::MailService::WithCallbackMethod_ListMessages<v1::MailService::WithCallbackMethod_CancelMessage<
            v1::MailService::WithCallbackMethod_WatchEvents<v1::MailService::Service>>>>>>;

class MailService : public MailServiceBase {
 public:
  // All outlive the service.
  MailService(MailSender* sender, const Cluster* cluster, CallGate* gate)
      : sender_(sender), cluster_(cluster), gate_(gate) {}

  grpc::ServerUnaryReactor* SendMail(grpc::CallbackServerContext* context, const v1::SendMailRequest* request,
                                     v1::SendMailResponse* response) override;

  // mail_stream.cc.
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* SendMailStream(
      grpc::CallbackServerContext* context) override;

  grpc::ServerUnaryReactor* GetMessage(grpc::CallbackServerContext* context, const v1::GetMessageRequest* request,
                                       v1::GetMessageResponse* response) override;

  // watch_events.cc.
  grpc::ServerWriteReactor<v1::WatchEventsResponse>* WatchEvents(grpc::CallbackServerContext* context,
                                                                 const v1::WatchEventsRequest* request) override;

  grpc::ServerUnaryReactor* ListMessages(grpc::CallbackServerContext* context, const v1::ListMessagesRequest* request,
                                         v1::ListMessagesResponse* response) override;
  grpc::ServerUnaryReactor* CancelMessage(grpc::CallbackServerContext* context, const v1::CancelMessageRequest* request,
                                          v1::CancelMessageResponse* response) override;

 private:
  MailSender* const sender_;
  const Cluster* const cluster_;
  CallGate* const gate_;
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_SERVICES_SUBMISSION_MAIL_SERVICE_H_
