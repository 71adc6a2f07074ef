// What the application has written of an answer, and its caller has not read yet.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/conn.h"
#include "base/notify.h"
#include "companion/body_buffer.h"
#include "companion/config.h"

namespace mesclun::companion {

// Most callers read as fast as the application writes: then this keeps nothing, and costs nothing.
//
// Runs on:   one loop. One task puts; from the moment that is_behind(), another one runs
//            write_out().
// Promise:   keeps at most config.answer_buffer_max bytes and one piece of the application's more, and
//            less where the answers of all callers together fill half of `all`.
// Lifetime:  all that it is given outlives it.
class AnswerBuffer {
 public:
  AnswerBuffer(const asio::any_io_executor& executor, Conn& caller, Clock& clock,
               const FrontConfig& config, BodyBuffer& all)
      : executor_(executor), caller_(caller), clock_(clock), config_(config), share_(all) {}

  // Writes what the caller takes at once, and keeps the rest.
  void put(std::span<const asio::const_buffer> buffers);
  // Something is kept, or once was: the caller is slower than the application.
  bool is_behind() const { return changed_.has_value(); }
  // Until the caller has read so much that more may be put. Fails with Cancelled only.
  Task<Result<>> wait_for_room();
  // Nothing more will be put. `whole`: because there is nothing more.
  void end(bool whole);

  // Writes until the end. False: the answer broke off, or its caller left, read nothing for
  // config.idle_timeout, or in such a time less than config.rate_min wants.
  Task<bool> write_out();

 private:
  bool has_room() const;
  // False: too slow.
  bool keeps_the_rate();
  Task<bool> write_piece(std::string_view piece);

  asio::any_io_executor executor_;
  Conn& caller_;
  Clock& clock_;
  const FrontConfig& config_;
  BodyBuffer::Share share_;
  std::optional<Notify> changed_;  // from the first time that it was behind
  std::string kept_;               // not yet in the hands of write_out()
  uint64_t unwritten_ = 0;
  bool ended_ = false;
  bool broken_ = false;
  TimePoint window_began_{};  // of the rate
  uint64_t window_bytes_ = 0;
};

}  // namespace mesclun::companion
