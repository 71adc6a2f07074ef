// One accepted request on its way through the queue.
#pragma once

#include <memory>

#include "base/notify.h"
#include "companion/batch_codec.h"
#include "companion/refusal.h"
#include "companion/request_queue.h"

namespace mesclun::companion {

// Shared by the request's connection, the front, and the batch that carries it. All of it belongs
// to the front's loop.
struct Ticket {
  enum class State {
    Waiting,   // in the queue, or in a batch with the application
    Granted,   // unbatched: its connection may talk to the application now
    Answered,  // batched: `answer` is there
    Refused,   // `refusal` says why: displaced, or the batch failed
  };

  explicit Ticket(const asio::any_io_executor& executor) : changed(executor) {}

  void grant() {
    holds_slot = true;
    change_to(State::Granted);
  }
  void answer_with(ItemAnswer item) {
    answer = std::move(item);
    change_to(State::Answered);
  }
  void refuse_with(Refusal why) {
    refusal = std::move(why);
    change_to(State::Refused);
  }

  // Filled in by the connection; of a batched request also what the batch needs.
  QueuedRequest queued;
  std::string path;  // with its query
  std::string content_type;
  std::string body;

  State state = State::Waiting;
  bool dispatched = false;
  uint64_t dispatch = 0;
  TimePoint began{};        // with the application
  bool holds_slot = false;  // granted, and not yet done with the application
  bool left = false;        // its caller has its answer or went away
  ItemAnswer answer;
  Refusal refusal;
  Notify changed;

 private:
  void change_to(State next) {
    state = next;
    changed.notify_all();
  }
};
using TicketPtr = std::shared_ptr<Ticket>;

}  // namespace mesclun::companion
