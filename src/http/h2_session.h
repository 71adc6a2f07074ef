// The server's side of one HTTP/2 connection (RFC 9113), by nghttp2. Each stream is served as a
// connection of HTTP/1.1, so that one set of rules holds for both (docs/adr/0018-http2.md).
#pragma once

#include <functional>
#include <map>

#include "http/h2_budget.h"
#include "http/h2_stream.h"
#include "http/reader.h"

struct nghttp2_session;

namespace mesclun {

struct H2Limits {
  uint32_t streams_max = 100;
  size_t head_bytes_max = 32 * 1024;
  Duration head_timeout = 10s;    // from the first frame of a head to its last
  Duration idle_timeout = 75s;    // without a stream
  Duration write_timeout = 100s;  // in which the client takes nothing
};

// Runs on:   one loop.
// Bound:     128 KiB of each request, 64 KiB of each answer; at most streams_max streams, and as many
//            again that the client has left and their servers not yet.
// Floods:    a client that breaks off streams, pings, or says nothing in many frames faster than
//            H2Budget allows is sent away with ENHANCE_YOUR_CALM.
// Lifetime:  run() holds it; connections of streams may outlive it.
class H2Session final : public H2Carrier {
 public:
  // `serve` gets a connection for each request. `head` was read from `conn` before.
  using Serve = std::function<void(ConnPtr)>;
  H2Session(const asio::any_io_executor& executor, ConnPtr conn, std::string head, Clock& clock,
            H2Limits limits, Serve serve);
  ~H2Session() override;

  // Until the connection is over.
  Task<Result<>> run(std::shared_ptr<H2Session> self);
  // Takes no more streams; run() ends when those under way have.
  void drain();
  size_t streams() const { return streams_.size(); }

  // ---- for its streams ----
  void consumed(int32_t id, size_t bytes) override;
  void send_head(H2Stream& stream, const H2Fields& fields, HeadKind kind) override;
  void resume(int32_t id) override;
  void reset(int32_t id, uint32_t code) override;
  Clock& clock() override { return clock_; }
  const Conn& conn() const override { return *conn_; }

 private:
  struct Callbacks;  // of nghttp2
  friend struct Callbacks;

  Task<void> read_frames();
  Task<void> write_frames();
  Task<void> write_and_look();
  Task<void> look_after();
  // False: nothing that follows would be understood.
  bool take_frames(std::string_view bytes);
  std::string next_frames();
  void begin_head(int32_t id);
  void head_ended(const std::shared_ptr<H2Stream>& stream, bool ended);
  void refuse(int32_t id, uint32_t code);
  void spend(H2Allowance& allowance);
  void send_away(uint32_t code);
  std::shared_ptr<H2Stream> find(int32_t id);

  ConnPtr conn_;
  Clock& clock_;
  const H2Limits limits_;
  const Serve serve_;
  const asio::any_io_executor executor_;
  std::string head_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, std::shared_ptr<H2Stream>> streams_;
  std::vector<std::weak_ptr<H2Stream>> left_;  // by the client, perhaps served on
  H2Budget budget_;
  Notify to_write_;
  TimePoint idle_since_;
  TimePoint head_since_ = TimePoint::max();  // a head is coming
};

}  // namespace mesclun
