// For tests: a transport that answers as a function says, after as long as it says.
#pragma once

#include <functional>

#include "client/traffic_client.h"

namespace mesclun::client {

class FakeTransport final : public Transport {
 public:
  struct Answer {
    Result<HttpReply> reply;
    Duration after{0};
  };
  struct Sent {
    TimePoint at;
    HttpCall call;
  };
  // Called with the number of the attempt, from 0.
  using Script = std::function<Answer(const HttpCall& call, size_t number)>;

  FakeTransport(Clock& clock, Script script) : clock_(clock), script_(std::move(script)) {}

  Task<Result<HttpReply>> send(HttpCall call, TimePoint deadline) override {
    Answer answer = script_(call, sent.size());
    sent.push_back({clock_.now(), std::move(call)});
    in_flight_peak = std::max(in_flight_peak, ++in_flight_);
    const TimePoint end = clock_.now() + answer.after;
    const Result<> slept = co_await clock_.sleep_until(std::min(end, deadline));
    --in_flight_;
    if (!slept) {
      ++cancelled;
      co_return slept.error();
    }
    if (end > deadline) co_return Error::deadline("no answer in time");
    co_return std::move(answer.reply);
  }

  std::vector<Sent> sent;
  size_t in_flight_peak = 0;
  size_t cancelled = 0;

 private:
  Clock& clock_;
  Script script_;
  size_t in_flight_ = 0;
};

inline FakeTransport::Answer fake_answer(int status, Duration after = 10ms) {
  HttpReply reply{.status = status};
  return {std::move(reply), after};
}

}  // namespace mesclun::client
