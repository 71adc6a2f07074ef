// An instance's answer, on its way to the client.
#pragma once

#include "gateway/request_body.h"

namespace mesclun::gateway {

// Runs on:  the gateway's loop.
class AnswerRelay {
 public:
  AnswerRelay(Request& request, RequestBody& body)
      : request_(request), body_(body), scratch_(request.client.scratch()) {}

  // Up to the head of the final answer; interim ones go to the client. 400 to 524, or nobody.
  Task<MaybeRefusal> read_head(link::TunnelStream& stream);
  ResponseHead& head() { return reader_->response_head(); }
  bool is_upgrade() { return head().status == 101; }
  // A byte of an answer was read.
  bool began() const { return reader_ && reader_->began(); }

  // Sends the answer. False: one side broke off, and the client has a part.
  Task<bool> relay();
  // After a false: why, if the client has nothing yet.
  MaybeRefusal untold() const;
  // After that: whether the client's connection may go on, and the stream.
  bool client_stays() const { return plan_.keep_alive; }
  bool stream_stays() const { return reader_->connection_reusable(); }
  // In place of relay(), for a 101: its head, and what came with it.
  std::string upgrade_bytes();

 private:
  void append_head();
  // Why there is no whole head.
  Refusal broken(const Error& error) const;
  // Puts what is to be sent into scratch_.buffers, in chunks if the client gets chunks.
  void frame_pieces(bool last);
  Task<bool> write_rest(size_t sent);

  Request& request_;
  RequestBody& body_;
  Scratch& scratch_;
  link::TunnelStream* stream_ = nullptr;
  std::optional<HttpReader> reader_;
  AnswerPlan plan_;
  std::string broken_;  // the answer's body, before anything was sent of it
};

}  // namespace mesclun::gateway
