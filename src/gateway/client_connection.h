// One client's connection: its requests, one after the other.
#pragma once

#include "gateway/client_input.h"
#include "gateway/proxy.h"
#include "gateway/refusal.h"
#include "gateway/scratch.h"
#include "http/linger.h"

namespace mesclun::gateway {

// Runs on:  the gateway's loop; two tasks share it, so both hold it by shared_ptr.
class ClientConnection {
 public:
  ClientConnection(const asio::any_io_executor& executor, Proxy& proxy, IdleConns::Entry entry);

  Task<Result<>> run(std::shared_ptr<ClientConnection> self);
  Task<Result<>> read_ahead(std::shared_ptr<ClientConnection> self);
  // 503 without a look at the request.
  Task<void> turn_away();
  // One request: health is answered, all else is 503.
  Task<Result<>> answer_briefly(std::shared_ptr<ClientConnection> self);

  Conn& conn() { return conn_; }
  ClientInput& input() { return input_; }
  // For the one request under way.
  Scratch& scratch() { return scratch_; }
  const std::string& address() const { return address_; }
  std::string_view scheme() const { return conn_.is_encrypted() ? "https" : "http"; }
  // Waits for a request.
  bool idle() const { return idle_; }
  TimePoint idle_since() const { return idle_since_; }
  // Ends run() while the client is silent; then take_rest() has the connection.
  void let_go() { input_.let_go(); }
  // After run(): it was let go, and take_rest() has the connection, after which nothing else may be
  // called.
  bool rests() const { return input_.has_let_go(); }
  IdleConns::Entry take_rest() { return std::move(entry_); }
  // After run(): it speaks HTTP/2, and take_rest() has the connection, after what was read of it.
  bool speaks_http2() const { return speaks_http2_; }
  std::string take_read() { return std::move(read_); }
  void close() {
    conn_.close();
    input_.stop();
  }

 private:
  // False: the connection is over, without or after an answer.
  Task<bool> read_head(HttpReader& reader);
  // False: the connection is over.
  Task<bool> answer_health(HttpReader& reader);
  Task<bool> redirect(HttpReader& reader);
  Task<bool> answer_itself(bool keep_alive, std::string text);
  Task<void> answer_and_end(Refusal refusal);
  Task<void> end_slowly();

  Proxy& proxy_;
  IdleConns::Entry entry_;
  Conn& conn_;
  const std::string address_;
  ClientInput input_;
  Scratch scratch_;
  bool idle_ = false;
  bool first_ = true;  // nothing was read before
  bool speaks_http2_ = false;
  std::string read_;
  TimePoint idle_since_;
};

}  // namespace mesclun::gateway
