// Keeps a session with the cloud: dials, says hello, reads, and begins again when it breaks.
#pragma once

#include <functional>

#include "agent/agent_settings.h"
#include "base/back_off.h"
#include "base/scope.h"
#include "link/dialer.h"

namespace mesclun::agent {

// What a session is for.
class SessionUser {
 public:
  virtual ~SessionUser() = default;
  virtual link::Hello hello() const = 0;
  // The cloud took us in. `session` is good until disconnected().
  virtual void connected(link::Session& session, const link::Welcome& welcome) = 0;
  virtual void received(link::Message message) = 0;
  virtual void disconnected() = 0;
  // Says what there is to say until the session ends or the task is cancelled.
  virtual Task<Result<>> speak(link::Session& session) = 0;
};

// Runs on: the agent's loop, until cancelled. There is always a next try: a node without a cloud
//          keeps what runs.
// Time:    dial and hello have 10 s each; a cloud that says nothing for three heartbeats is dialled
//          anew.
class SessionLoop {
 public:
  SessionLoop(const asio::any_io_executor& executor, Clock& clock, Random& random,
              link::Dialer& dialer, SessionUser& user, const AgentSettings& settings);

  Task<Result<>> run();

  // For people: "connected", or what went wrong last.
  const std::string& state() const { return state_; }

 private:
  Task<Result<>> converse(link::Session& session);
  Task<Result<>> talk(link::Session& session);
  Task<Result<>> listen(link::Session& session, Duration silence);
  Duration after(const Error& error);

  const asio::any_io_executor executor_;
  Clock& clock_;
  Random& random_;
  link::Dialer& dialer_;
  SessionUser& user_;
  const AgentSettings& settings_;
  BackOff back_off_;
  std::string state_ = "not connected yet";
};

}  // namespace mesclun::agent
