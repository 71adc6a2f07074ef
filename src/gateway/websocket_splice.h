// A WebSocket: bytes both ways after the 101.
#pragma once

#include "gateway/request.h"

namespace mesclun::gateway {

// Runs on: the gateway's loop.
class WebSocketSplice {
 public:
  WebSocketSplice(Request& request, link::TunnelStream& stream)
      : request_(request), stream_(stream) {}

  // `first` goes to the client. Returns when both directions have ended.
  Task<void> run(std::string first);

 private:
  Task<void> copy_to_instance();
  Task<void> copy_to_client();
  // Either direction keeps both alive.
  void touch();
  void set_deadlines(Duration from_now);

  Request& request_;
  link::TunnelStream& stream_;
  bool answer_ended_ = false;
};

}  // namespace mesclun::gateway
