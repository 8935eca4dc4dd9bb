// The reactor of a unary call that the gate counts until its answer has been handed to the network: a process that
// leaves when the gate is empty (docs/adr/0001) then takes no answer with it.
//
// Threading: as of gRPC's reactors.
#ifndef HIKYAKU_SERVICES_SUBMISSION_UNARY_CALL_H_
#define HIKYAKU_SERVICES_SUBMISSION_UNARY_CALL_H_

#include <grpcpp/grpcpp.h>

#include "services/submission/call_gate.h"

namespace hikyaku::submission {

class UnaryCall : public grpc::ServerUnaryReactor {
 public:
  // After gate->Enter(). Belongs to gRPC once the method has returned it; call Finish exactly once.
  explicit UnaryCall(CallGate* gate) : gate_(gate) {}

  void OnDone() override {
    gate_->Leave();
    delete this;
  }

 private:
  CallGate* const gate_;
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_SERVICES_SUBMISSION_UNARY_CALL_H_
