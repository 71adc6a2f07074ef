// One request and its answer, from the head of the one to the end of the other.
#pragma once

#include "gateway/client_connection.h"
#include "gateway/forward_head.h"

namespace mesclun::gateway {

// The path of a request, and what it ends with where it can go no further:
//
//   plan ──► route ──► key ──► slot ──► stream ──► send ──► answer's head ──► answer's body ──►
//   done 400      404       403     503      502        400      502                the client's
//   413      410               504      504        408      524                connection is
//   501                         ▲         │        413      504                reset
//                               └─────────┘
//                     another instance: no byte was delivered
//
// A body that has not arrived whole with the head is sent by a second task (request_body.cc),
// beside the answer. If that task finds that the request cannot go on it notes why and aborts the
// stream; the first task sees the stream fail and answers.
//
// Runs on:  the gateway's loop.
class Exchange {
 public:
  enum class End {
    KeepAlive,    // the connection may carry another request
    Leave,        // it is over
    LeaveSlowly,  // over, but the client may still be sending
  };

  Exchange(Proxy& proxy, std::shared_ptr<ClientConnection> client, HttpParser request);

  Task<End> run(std::shared_ptr<Exchange> self);

 private:
  enum class BodyState {
    Sending,
    Sent,
    ClientSlow,
    ClientGone,
    Malformed,
    TooLarge,
    UpstreamFailed,  // the instance takes no more; its answer may still come
    Stopped,         // the answer was complete first
  };
  using MaybeRefusal = std::optional<Refusal>;
  // Nobody is left to answer to.
  static Refusal nobody() { return {0, "client_gone", ""}; }

  // ---- exchange.cc ----
  MaybeRefusal find_group();
  Task<MaybeRefusal> send_until_answered(std::shared_ptr<Exchange> self);
  Task<End> refuse(Refusal refusal);
  bool client_gone() const { return client_->input().gone(); }
  TimePoint now() const { return proxy_.clock().now(); }
  Duration response_timeout() const {
    return std::chrono::milliseconds(group_->route().server_response_timeout_ms);
  }

  // ---- reach_instance.cc ----
  // Fills slot_ and stream_ if nothing must be waited for; leaves a slot if only that was at hand.
  bool reach_at_once();
  // Fills slot_ and stream_.
  Task<MaybeRefusal> reach_instance();
  Task<MaybeRefusal> admit();
  Task<MaybeRefusal> wait_for_slot();
  bool take_idle_stream();
  Task<MaybeRefusal> open_stream();
  TimePoint send_deadline() const {
    return arrived_ + std::chrono::milliseconds(group_->route().client_request_timeout_ms);
  }

  // ---- request_body.cc ----
  // Appends to request_bytes_ what of the body is here already.
  MaybeRefusal take_early_body();
  Task<Result<>> send_body(std::shared_ptr<Exchange> self);
  Task<BodyState> send_rest_of_body();
  Task<BodyState> send_piece(std::string bytes);
  TimePoint body_deadline() const;
  void body_ended(BodyState state);
  Refusal body_too_large() const;

  // ---- answer.cc ----
  // The head of the final answer is in response_ afterwards.
  Task<MaybeRefusal> read_answer_head();
  Task<MaybeRefusal> forward_interim();
  // More of the answer; false at the stream's orderly end.
  Task<Result<bool>> fill_answer();
  Refusal broken_answer(const Error& error) const;
  Task<End> relay_answer();
  // What head_out_ has already goes first.
  Task<bool> relay_body();
  // Puts head_out_, the pieces and what follows them into buffers_, in chunks if the client gets
  // chunks.
  void frame_pieces(bool last);
  Task<bool> write_rest(size_t sent);
  End finish(bool complete);

  // ---- websocket.cc ----
  Task<End> splice(std::shared_ptr<Exchange> self);
  Task<Result<>> splice_up(std::shared_ptr<Exchange> self);
  Task<void> splice_down();
  void touch();

  Proxy& proxy_;
  const std::shared_ptr<ClientConnection> client_;
  HttpParser request_;
  RequestPlan plan_;
  GroupPtr group_;
  const TimePoint arrived_;

  std::vector<std::string> tried_;  // instances that took no connection
  std::optional<InFlight> slot_;
  // Destroyed with this object only, because two tasks may be inside it.
  link::TunnelStreamPtr stream_;
  bool reused_ = false;  // the stream has carried requests before

  std::string& request_bytes_;  // the head, and what of the body came with it
  BodyState body_ = BodyState::Sending;
  uint64_t body_bytes_ = 0;
  size_t body_unusable_ = 0;  // of what was read ahead: the beginning of a chunk's frame
  TimePoint body_started_;
  Duration body_held_up_{};  // by the instance, not by the client

  std::optional<HttpParser> response_;
  std::string& answer_;  // read from the stream, not yet used
  std::string& spare_;
  std::string& head_out_;
  std::string& end_out_;
  std::vector<std::string_view>& pieces_;     // of answer_
  std::vector<asio::const_buffer>& buffers_;  // of head_out_, pieces_ and end_out_
  ResponsePlan response_plan_;
  bool answer_began_ = false;  // a byte of an answer was read
  bool head_arrived_ = false;
  std::optional<Notify> spliced_;  // the other task of a WebSocket has ended
  bool up_ended_ = false;
};

}  // namespace mesclun::gateway
