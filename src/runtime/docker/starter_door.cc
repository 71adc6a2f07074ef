#include "runtime/docker/starter_door.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "base/file.h"
#include "base/race.h"

namespace mesclun::runtime {

namespace {

constexpr size_t kAnswerBytesMax = 256;

void append_number(std::string& out, size_t number) {
  const auto value = static_cast<uint32_t>(number);
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

Task<Result<StartAnswer>> give_orders(Listener& listener, std::string orders, Clock& clock) {
  CO_TRY(const ConnPtr conn, co_await listener.accept(clock));
  CO_TRY_DO(co_await conn->write(orders));
  std::string answer;
  std::string buffer(kAnswerBytesMax, '\0');
  while (answer.size() < kAnswerBytesMax) {
    CO_TRY(const size_t n, co_await conn->read_some(asio::buffer(buffer)));
    if (n == 0) break;
    answer.append(buffer, 0, n);
  }
  if (answer.starts_with('+')) co_return StartAnswer{};
  if (answer.starts_with('-') && answer.size() > 1) co_return StartAnswer{answer.substr(1)};
  co_return Error::unavailable("the container ended while it was started");
}

}  // namespace

Result<std::string> write_orders(const StartOrders& orders) {
  std::string texts;
  for (const std::string& argument : orders.command) texts.append(argument).push_back('\0');
  for (const auto& [name, value] : orders.environment) {
    texts.append(name).append("=").append(value).push_back('\0');
  }
  if (texts.size() > kOrdersBytesMax) {
    return Error{ErrorCode::OutOfRange,
                 fmt::format("command and environment have {} bytes, more than {}", texts.size(),
                             kOrdersBytesMax)};
  }
  std::string out;
  append_number(out, texts.size());
  append_number(out, orders.command.size());
  append_number(out, orders.environment.size());
  return out + texts;
}

Result<StarterDoor> StarterDoor::open(const asio::any_io_executor& executor, std::string folder) {
  std::string path = folder + "/socket";
  ::unlink(path.c_str());
  TRY(Listener listener, Listener::bind(executor, Endpoint{.host = path, .is_unix = true}));
  // Images may run as any user.
  if (::chmod(path.c_str(), 0666) != 0) return system_error("cannot open " + path);
  return StarterDoor(std::make_unique<Listener>(std::move(listener)), std::move(path));
}

StarterDoor::~StarterDoor() {
  close();
}

void StarterDoor::close() {
  if (!listener_) return;
  listener_->close();
  listener_.reset();
  ::unlink(path_.c_str());
}

Task<Result<StartAnswer>> StarterDoor::serve(StartOrders orders, Clock& clock, Duration limit) {
  CO_TRY(std::string text, write_orders(orders));
  if (!listener_) co_return Error{ErrorCode::FailedPrecondition, "the door is closed"};
  Result<StartAnswer> answer =
      co_await within(clock, limit, give_orders(*listener_, std::move(text), clock));
  close();
  co_return answer;
}

}  // namespace mesclun::runtime
