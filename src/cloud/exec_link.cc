#include "cloud/exec_link.h"

#include <fmt/format.h>

#include "base/crypto.h"

namespace mesclun::cloud {

namespace {

// As on the other side: heartbeats and wishes for the node pass between.
constexpr size_t kQueuedBytesMax = 64 * 1024;

}  // namespace

NodeExec::NodeExec(const asio::any_io_executor& executor, ExecLink& link, std::string id)
    : link_(&link), id_(std::move(id)), changed_(executor) {}

NodeExec::NodeExec(const asio::any_io_executor& executor, std::string id, Error why)
    : link_(nullptr), id_(std::move(id)), changed_(executor) {
  lose(std::move(why));
}

NodeExec::~NodeExec() {
  if (link_ != nullptr) link_->close(*this);
}

Task<Result<std::variant<NodeExec::Output, NodeExec::End>>> NodeExec::read() {
  while (unread_.empty() && !end_) CO_TRY_DO(co_await changed_.wait());
  if (unread_.empty()) co_return *end_;
  Output output = std::move(unread_.front());
  unread_.pop_front();
  if (const int64_t more = received_.read(output.bytes.size()); more > 0) {
    say(link::ExecWindow{.exec_id = id_, .bytes = more});
  }
  co_return output;
}

Task<Result<>> NodeExec::write(std::string bytes) {
  std::string_view left = bytes;
  while (!left.empty()) {
    while (!end_ && (sending_.room() == 0 || link_->is_full(id_))) {
      CO_TRY_DO(co_await changed_.wait());
    }
    if (end_) co_return Error::unavailable("the command has ended");
    const std::string_view piece = left.substr(0, sending_.room());
    left.remove_prefix(piece.size());
    sending_.sent(piece.size());
    say(link::ExecData{.exec_id = id_, .channel = link::ExecChannel::Input, .data = base64(piece)});
  }
  co_return Result<>();
}

void NodeExec::end_input() {
  say(link::ExecInputEnd{.exec_id = id_});
}

void NodeExec::resize(int32_t rows, int32_t columns) {
  say(link::ExecResize{.exec_id = id_, .rows = rows, .columns = columns});
}

void NodeExec::signal(int32_t number) {
  say(link::ExecSignal{.exec_id = id_, .number = number});
}

void NodeExec::lose(Error why) {
  if (end_) return;
  end_ = End{.code = -1, .detail = why.message, .error = std::move(why)};
  changed_.notify_all();
}

void NodeExec::take(link::ExecData& data) {
  Result<std::string> bytes = from_base64(data.data);
  if (!bytes || data.channel == link::ExecChannel::Input || !received_.take(bytes->size())) {
    lose(Error::unavailable("the machine said what nobody understands"));
    return;
  }
  if (!bytes->empty()) unread_.push_back({.channel = data.channel, .bytes = *std::move(bytes)});
  changed_.notify_all();
}

void NodeExec::take(const link::ExecWindow& window) {
  if (!sending_.grant(window.bytes)) {
    lose(Error::unavailable("the machine asked for more than there may be"));
  }
  changed_.notify_all();
}

// What it had said before is read before it.
void NodeExec::take(const link::ExecExit& exit) {
  if (end_) return;
  end_ = End{.code = exit.code, .detail = exit.detail, .error = {}};
  if (!exit.error_code.empty()) {
    end_->error =
        Error{error_code_named(exit.error_code).value_or(ErrorCode::Unavailable), exit.detail};
  }
  changed_.notify_all();
}

void NodeExec::say(link::Message message) {
  if (link_ == nullptr || end_) return;
  if (!link_->say(id_, std::move(message))) {
    lose({ErrorCode::ResourceExhausted, "too much was asked of the command at once"});
  }
}

ExecLink::~ExecLink() {
  for (const auto& [id, exec] : execs_) {
    exec->link_ = nullptr;
    exec->lose(Error::unavailable("the machine lost its connection to the cloud"));
  }
}

Result<std::unique_ptr<NodeExec>> ExecLink::open(link::ExecOpen order) {
  if (execs_.size() >= kExecsMax) {
    return Error{ErrorCode::ResourceExhausted,
                 fmt::format("its machine runs {} commands for people already", kExecsMax)};
  }
  auto exec = std::make_unique<NodeExec>(executor_, *this, order.exec_id);
  execs_[order.exec_id] = exec.get();
  exec->say(std::move(order));
  return exec;
}

bool ExecLink::take(link::Message& message) {
  return std::visit(
      [this](auto& body) {
        using Body = std::remove_cvref_t<decltype(body)>;
        if constexpr (std::is_same_v<Body, link::ExecData> ||
                      std::is_same_v<Body, link::ExecWindow> ||
                      std::is_same_v<Body, link::ExecExit>) {
          // Of one that was closed here, something may be on its way.
          if (NodeExec* exec = find(body.exec_id)) exec->take(body);
          return true;
        } else {
          return false;
        }
      },
      message);
}

Task<Result<>> ExecLink::run() {
  while (true) {
    while (waiting_.empty()) CO_TRY_DO(co_await changed_.wait());
    CO_TRY_DO(co_await session_.wait_until_below(kQueuedBytesMax));
    // One that was closed meanwhile has taken its messages along.
    if (waiting_.empty()) continue;
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    const auto count = waiting_of_.find(next.exec_id);
    if (--count->second == 0) waiting_of_.erase(count);
    const Result<> sent = session_.send(next.message);
    // One that fits no frame is its own loss.
    if (!sent && sent.code() != ErrorCode::OutOfRange) co_return sent;
    NodeExec* exec = find(next.exec_id);
    if (exec == nullptr) continue;
    if (!sent) exec->lose(sent.error());
    exec->changed_.notify_all();
  }
}

NodeExec* ExecLink::find(const std::string& exec_id) const {
  const auto found = execs_.find(exec_id);
  return found == execs_.end() ? nullptr : found->second;
}

bool ExecLink::is_full(const std::string& exec_id) const {
  const auto found = waiting_of_.find(exec_id);
  return found != waiting_of_.end() && found->second >= kWaitingMax / 2;
}

bool ExecLink::say(const std::string& exec_id, link::Message message) {
  size_t& count = waiting_of_[exec_id];
  if (count >= kWaitingMax) return false;
  ++count;
  waiting_.push_back({.exec_id = exec_id, .message = std::move(message)});
  changed_.notify_all();
  return true;
}

// Also of one that has ended: it may not know yet.
void ExecLink::close(const NodeExec& exec) {
  execs_.erase(exec.id());
  std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.exec_id == exec.id(); });
  waiting_of_.erase(exec.id());
  waiting_of_[exec.id()] = 1;
  waiting_.push_back({.exec_id = exec.id(), .message = link::ExecClose{.exec_id = exec.id()}});
  changed_.notify_all();
}

}  // namespace mesclun::cloud
