// The body of a request, on its way from the client to the instance.
#pragma once

#include "gateway/request.h"

namespace mesclun::gateway {

// What did not come with the head is sent by a task of its own, beside the answer. If that task
// finds that the request cannot go on it notes why and aborts the stream; who waits for the answer
// sees the stream fail, and asks refusal().
//
// Runs on: the gateway's loop.
class RequestBody {
 public:
  // `reader` has read the head.
  RequestBody(Request& request, HttpReader reader)
      : request_(request), reader_(std::move(reader)) {}

  RequestHead& head() { return reader_.request_head(); }
  BodyFraming framing() const { return reader_.framing(); }
  bool keep_alive() const { return reader_.keep_alive(); }

  // Appends to `out` what of the body is here already.
  MaybeRefusal take_early(std::string& out);
  // Starts the task that sends the rest. It holds `owner`, to which this and the stream belong.
  void send_rest(link::TunnelStream& stream, std::shared_ptr<void> owner);
  // There will be no such task: the stream failed before.
  void instance_failed() { state_ = State::InstanceFailed; }
  // The answer has begun: from now on only silence counts against the client.
  void answer_began() { answer_began_ = true; }
  // The rest is not wanted any more.
  void stop();

  bool sent() const { return state_ == State::Sent; }
  uint64_t bytes() const { return bytes_; }
  // Nothing of it is left in the client's connection.
  bool is_used_up() const { return sent() || reader_.body_done(); }
  // For the client's next piece; never, if none is waited for.
  TimePoint deadline() const;
  // Why the request cannot go on, if that is the body's fault.
  MaybeRefusal refusal() const;

 private:
  enum class State {
    Sending,
    Sent,
    ClientSlow,
    ClientGone,
    Malformed,
    TooLarge,
    InstanceFailed,  // it takes no more; its answer may still come
    Stopped,         // the answer was complete first
  };

  Task<Result<>> send(link::TunnelStream& stream, std::shared_ptr<void>);
  // Sending never.
  Task<State> send_pieces(link::TunnelStream& stream);
  Task<Result<>> write(link::TunnelStream& stream, const std::vector<std::string_view>& pieces,
                       size_t size);
  void keep(const std::vector<asio::const_buffer>& buffers);
  void end(link::TunnelStream& stream, State state);
  Refusal too_large() const;
  bool in_chunks() const { return request_.plan.framing.kind == BodyFraming::Kind::Chunked; }

  Request& request_;
  HttpReader reader_;
  State state_ = State::Sending;
  uint64_t bytes_ = 0;
  TimePoint started_;
  Duration held_up_{};  // by the instance, not by the client
  bool answer_began_ = false;
  bool keeping_ = false;  // what was sent, behind the head
};

}  // namespace mesclun::gateway
