// One request and its answer, from the head of the one to the end of the other.
#pragma once

#include "gateway/answer_relay.h"
#include "gateway/instance_reach.h"

namespace mesclun::gateway {

// The path of a request, and what it ends with where it can go no further:
//
//   plan ──► route ──► key ──► slot ──► stream ──► send ──► answer's head ──► answer's body ──► done
//   400      404       403     503      502        400      502               the client's
//   413      410               504      504        408      524               connection is reset
//   501                         ▲         │        413      504
//                               └─────────┘
//                     another instance: no byte was delivered
//
// InstanceReach finds slot and stream, RequestBody sends beside the answer what did not come with
// the head, AnswerRelay brings the answer. This decides what follows from what they met.
//
// Runs on:  the gateway's loop.
class Exchange {
 public:
  enum class End {
    KeepAlive,    // the connection may carry another request
    Leave,        // it is over
    LeaveSlowly,  // over, but the client may still be sending
  };

  // `reader` has read the head.
  Exchange(Proxy& proxy, std::shared_ptr<ClientConnection> client, HttpReader reader);

  Task<End> run(std::shared_ptr<Exchange> self);

 private:
  // What the head says, and whose it is; then the head for the instance, with what of the body came
  // with the client's.
  MaybeRefusal prepare();
  MaybeRefusal find_group();
  // Sends, and waits for the answer's head; at another instance, if one fails and it may.
  Task<MaybeRefusal> ask(std::shared_ptr<Exchange> self);
  // At this instance: by a fresh stream, if an idle one was closed.
  Task<MaybeRefusal> ask_here(std::shared_ptr<Exchange> self);
  // Whether another instance is asked now: after a refusal of ours, or an answer that says busy.
  Task<bool> ask_elsewhere(RetryCause cause, Outcome outcome);
  void on_client_leaving();
  // It is over: counted, and logged where that is wanted. Before its place is given up.
  void settle(int status, std::string_view reason);
  Task<End> refuse(Refusal refusal);
  Task<End> splice();
  End finish(bool complete);

  const std::shared_ptr<ClientConnection> client_;
  Request request_;
  RequestBody body_;
  InstanceReach reach_;
  AnswerRelay answer_;
};

}  // namespace mesclun::gateway
