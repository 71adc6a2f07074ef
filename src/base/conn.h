// A two-way byte stream: TCP, a unix socket, a stream of a tunnel, or memory. Everything above it
// is written once.
#pragma once

#include <boost/asio/buffer.hpp>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/task.h"

namespace mesclun {

// Runs on:  one loop. At most one read and one write at a time, which may overlap each other.
// Errors:   DeadlineExceeded after the deadline; Unavailable when the peer or the network broke the
//           stream; Cancelled. After an error of one direction only close() makes sense.
class Conn {
 public:
  virtual ~Conn() = default;

  // At least one byte, or 0 at the peer's orderly end.
  virtual Task<Result<size_t>> read_some(asio::mutable_buffer buffer) = 0;
  // All of it, in order, or an error.
  virtual Task<Result<>> write(std::span<const asio::const_buffer> buffers) = 0;
  Task<Result<>> write(std::string_view text) {
    const asio::const_buffer buffer(text.data(), text.size());
    co_return co_await write(std::span(&buffer, 1));
  }

  // Waits for bytes without a task and without a buffer. Calls `then` once, in a later turn of the loop:
  // true, there are bytes to read; false, the stream is over, by its end, an error or its deadline.
  // Not after close(), nor once the connection is gone. Returns false, and never calls, for a kind of
  // stream that cannot tell. Not beside a read.
  virtual bool when_readable(std::function<void(bool readable)> then) {
    std::ignore = then;
    return false;
  }
  // A read_some() that waits fails with Cancelled, unless bytes have come; the stream goes on. Not
  // beside a write().
  virtual void cancel_read() {}

  // Writes what the stream takes without waiting, and returns how many bytes that was; 0 as well
  // when it takes none or has failed, which write() then tells. Not beside a write(). Where it took a
  // part, the next write begins with the rest.
  virtual size_t write_now(std::span<const asio::const_buffer> buffers) {
    std::ignore = buffers;
    return 0;
  }

  // Whether another message may be exchanged: nothing is unread, and the peer has not ended or
  // broken the stream, as far as is known without waiting. What a peer wrote while the stream rested
  // would be taken for its next answer.
  virtual bool is_clean() const { return true; }
  // What is known of the peer without reading: what it sent before its end may be unread. A peer that
  // sends no more may listen on, or be gone without a word; then the next bytes to it tell.
  enum class Peer { There, SendsNoMore, Gone };
  virtual Peer peer() const { return Peer::There; }

  // From then on reads and writes fail, the pending ones too. Precise to 100 ms on real
  // connections.
  virtual void set_deadline(TimePoint when) = 0;
  // The same for a peer that may read as slowly as it likes: real connections move the deadline on
  // by `idle`, whenever it comes, if the peer's machine has taken bytes meanwhile. A buffer of some
  // megabytes hides for minutes from write() that it empties.
  virtual void set_idle_deadline(TimePoint when, Duration idle) {
    std::ignore = idle;
    set_deadline(when);
  }
  // Bytes that were written so far.
  virtual uint64_t written() const { return 0; }
  // The stream is over, and the peer's machine has taken nothing after the first `first` bytes that
  // were written, so nobody has read them. False also where that is not known.
  virtual bool is_lost_after(uint64_t first) const {
    std::ignore = first;
    return false;
  }
  // Tells the peer that nothing more will come; reading goes on.
  virtual void shutdown_write() = 0;
  // Ends both directions at once; pending operations fail with Unavailable. Safe to repeat.
  virtual void close() = 0;
  // Closes so that the peer sees a reset instead of an orderly end, for a message that broke in the
  // middle.
  virtual void abort() { close(); }

  // Nobody on the way can read it.
  virtual bool is_encrypted() const { return false; }
  // The peer's address for people and X-Forwarded-For: "192.0.2.7", "unix", "memory".
  virtual std::string peer_address() const = 0;
  // Gives up the descriptor, so that another loop can take it over. -1 if there is none.
  virtual int release_descriptor() { return -1; }
};

using ConnPtr = std::unique_ptr<Conn>;

// A stream that was read ahead: hands out `head` first.
ConnPtr with_read_ahead(ConnPtr conn, std::string head);

// Two ends of a pipe in memory. Each direction holds at most `capacity` bytes; then the writer
// waits.
std::pair<ConnPtr, ConnPtr> memory_conn_pair(const asio::any_io_executor& executor, Clock& clock,
                                             size_t capacity = 64 * 1024);

// Reads exactly buffer.size() bytes. Unavailable if the stream ends first.
Task<Result<>> read_exactly(Conn& conn, asio::mutable_buffer buffer);

// Copies until the end of `from`, then shuts `to` down for writing. Returns the bytes copied.
// While copying, each side must move within `idle` or the copy ends with DeadlineExceeded.
Task<Result<uint64_t>> copy_stream(Conn& from, Conn& to, Clock& clock, Duration idle);

}  // namespace mesclun
