// Byte streams between a gateway and the instances of one node, all over one connection that the
// node dialled.
//
//   gateway                                node
//   Tunnel(Opens)  open(target) ── OPEN ──► Tunnel(Accepts) ── connect(target) ──► application
//        ▲ TunnelStream ◄──── OPENED, DATA, WINDOW, FIN, RESET ────► copied both ways
#pragma once

#include <functional>
#include <memory>

#include "base/conn.h"
#include "link/tunnel_frames.h"

namespace mesclun::link {

struct TunnelLimits {
  size_t streams_max = 4096;
  // What a stream whose reader keeps up may have under way unread. Larger than kWindowInitial only
  // while the whole tunnel holds less than `buffered_bytes_max`: 4,096 streams that nobody reads
  // hold 4,096 x 64 KiB = 256 MiB at most.
  uint32_t window_bytes = 256 * 1024;
  size_t buffered_bytes_max = 64 * 1024 * 1024;
  // Frames that wait for the connection; beyond, writers wait, each for one piece in turn.
  size_t out_bytes_max = 128 * 1024;
  Duration ping_after = 250ms;     // of hearing nothing
  Duration suspect_after = 800ms;  // of hearing nothing: three pings without answer
  Duration dead_after = 10s;       // the tunnel breaks
  Duration write_timeout = 30s;    // for the connection to take what was handed to it
  Duration open_timeout = 10s;     // accepting side: for `connect`
};

// The gateway's end of one stream. Of Conn: deadlines are precise to 100 ms; close() is an orderly
// end for the peer, abort() a reset. After a reset by the peer what had arrived can still be read.
class TunnelStream : public Conn {
 public:
  // Waits as read_some does, then swaps all that has arrived into `into`, which must be empty (its
  // capacity is used again). False at the peer's orderly end.
  virtual Task<Result<bool>> read_all(std::string& into) = 0;
  // Both without waiting, all or nothing: false where read_all() or write() would wait or fail.
  virtual bool read_all_now(std::string& into) = 0;
  virtual bool write_all_now(std::span<const asio::const_buffer> buffers) = 0;
  // True while the stream could carry another request: nothing unread, nothing ended.
  bool is_clean() const override = 0;
  // The stream is over, and the application has taken nothing of what was written since the last byte
  // that it sent: a request may be sent to another, whatever its method. Waits for at most `limit`
  // for the node to tell, where the application has ended its side.
  virtual Task<bool> is_unread(Duration limit) = 0;
};
using TunnelStreamPtr = std::unique_ptr<TunnelStream>;

class TunnelCore;

// Runs on:  one loop.
// Errors:   run() ends with Unavailable when the connection broke or fell silent, InvalidArgument
//           when the peer broke the protocol, Cancelled. All streams have failed by then.
// Lifetime: streams may outlive the tunnel; they only fail. The clock outlives both.
class Tunnel {
 public:
  // Accepting side: connects to the application. Unavailable (Cause::Refused tells that nobody
  // listens, anything else counts as unreachable) and DeadlineExceeded go to the opener.
  using Connect = std::function<Task<Result<ConnPtr>>(TunnelTarget)>;

  // The gateway's side: opens streams.
  static std::unique_ptr<Tunnel> opening(const asio::any_io_executor& executor, ConnPtr conn,
                                         Clock& clock, TunnelLimits limits = {});
  // The node's side: connects each stream to its target and copies both ways, with half-close,
  // back-pressure and resets passed on.
  static std::unique_ptr<Tunnel> accepting(const asio::any_io_executor& executor, ConnPtr conn,
                                           Clock& clock, Connect connect, TunnelLimits limits = {});
  ~Tunnel();

  // Carries frames until the tunnel breaks or the caller is cancelled. Call it once; the tunnel
  // must not be destroyed before it has returned.
  Task<Result<>> run();
  // Breaks the tunnel at once; run() returns soon.
  void close();

  // Opening side. No byte has reached the application when this fails: Unavailable (Refused or
  // Unreachable), DeadlineExceeded, ResourceExhausted (too many streams), Cancelled.
  Task<Result<TunnelStreamPtr>> open(TunnelTarget target, Duration limit);

  bool up() const;       // run() goes on
  bool suspect() const;  // nothing was heard for suspect_after
  size_t streams() const;
  // Unread bytes of all streams and frames not yet taken by the connection.
  size_t buffered_bytes() const;

 private:
  explicit Tunnel(std::shared_ptr<TunnelCore> core);
  std::shared_ptr<TunnelCore> core_;
};

}  // namespace mesclun::link
