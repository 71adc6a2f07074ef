#include "sim/ears.h"

namespace mesclun::sim {

class Ears::Listening final : public link::Session {
 public:
  Listening(Ears& ears, size_t node, uint64_t number, link::SessionPtr session)
      : ears_(ears), node_(node), number_(number), session_(std::move(session)) {}

  Task<Result<link::Message>> receive() override { co_return note(co_await session_->receive()); }
  Task<Result<link::Message>> receive_within(Duration limit) override {
    co_return note(co_await session_->receive_within(limit));
  }
  Result<> send(const link::Message& message) override {
    ears_.said(node_, message);
    return session_->send(message);
  }
  Task<Result<>> wait_for_room() override { return session_->wait_for_room(); }
  Task<Result<>> wait_until_below(size_t bytes) override {
    return session_->wait_until_below(bytes);
  }
  bool has_room() const override { return session_->has_room(); }
  void let_in() override { session_->let_in(); }
  Task<Result<>> pump() override { return session_->pump(); }
  void close() override { session_->close(); }
  std::string peer_address() const override { return session_->peer_address(); }

 private:
  Result<link::Message> note(Result<link::Message> message) {
    if (message) ears_.heard(node_, number_, *message);
    return message;
  }

  Ears& ears_;
  const size_t node_;
  const uint64_t number_;
  const link::SessionPtr session_;
};

link::SessionPtr Ears::listen(size_t node, link::SessionPtr session) {
  nodes_[node].session = ++last_session_;
  nodes_[node].reported = false;
  return std::make_unique<Listening>(*this, node, last_session_, std::move(session));
}

void Ears::heard(size_t index, uint64_t session, const link::Message& message) {
  Node& node = nodes_[index];
  if (node.session != session) return;
  if (const auto* hello = std::get_if<link::Hello>(&message)) node.machine_id = hello->machine_id;
  if (const auto* report = std::get_if<link::Report>(&message)) {
    if (!node.reported) events_.tells_again(node.machine_id);
    node.reported = true;
    for (const link::InstanceReport& told : report->instances) {
      if (told.status.outcome == link::RunOutcome::Succeeded) succeeded_.insert(told.allocation_id);
    }
    for (const link::InstanceEvent& event : report->events) {
      events_.told(node.machine_id, event, is_placed_(node.machine_id, event.group_id));
    }
  }
  // Who only says hello, again and again, is as silent as before.
  if (node.reported) last_heard_[node.machine_id] = clock_.now();
}

void Ears::said(size_t node, const link::Message& message) {
  const auto* acknowledge = std::get_if<link::Acknowledge>(&message);
  if (acknowledge != nullptr) {
    events_.acknowledged(nodes_[node].machine_id, acknowledge->sequence);
  } else if (const auto* welcome = std::get_if<link::Welcome>(&message)) {
    events_.acknowledged(nodes_[node].machine_id, welcome->acknowledged);
  }
}

TimePoint Ears::last_heard(const std::string& machine_id) const {
  const auto found = last_heard_.find(machine_id);
  return found == last_heard_.end() ? TimePoint{} : found->second;
}

}  // namespace mesclun::sim
