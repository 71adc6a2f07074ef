#include "link/messages.h"

#include <array>

namespace mesclun::link {

namespace {

// In the order of the variant.
constexpr std::array<std::string_view, std::variant_size_v<Message>> kTypes = {
    "hello",         "welcome",     "goodbye",       "known_specs",
    "spec",          "desired",     "report",        "acknowledge",
    "heartbeat",     "logs",        "token_request", "token_reply",
    "gateway_hello", "routes",      "usage",         "logs_acknowledge",
    "exec_open",     "exec_data",   "exec_window",   "exec_input_end",
    "exec_resize",   "exec_signal", "exec_close",    "exec_exit",
    "pull_request",  "pull_reply"};

template <size_t kIndex = 0>
Result<Message> read_as(size_t index, const json::value& value) {
  if constexpr (kIndex == std::variant_size_v<Message>) {
    return Error::internal("no such message");
  } else {
    if (index != kIndex) return read_as<kIndex + 1>(index, value);
    std::variant_alternative_t<kIndex, Message> body{};
    JsonProblems problems;
    read_json(value, body, JsonPath{}, problems);
    if (!problems.empty()) return problems.to_error();
    return Message(std::move(body));
  }
}

}  // namespace

std::string_view message_name(const Message& message) {
  return kTypes[message.index()];
}

std::string encode(const Message& message) {
  json::value value = std::visit([](const auto& body) { return write_json(body); }, message);
  value.get_object()["type"] = json::string(kTypes[message.index()]);
  return json::serialize(value);
}

Result<Message> decode(std::string_view text) {
  TRY(const json::value value, parse_json(text));
  const json::object* object = value.if_object();
  const json::value* type = object == nullptr ? nullptr : object->if_contains("type");
  if (type == nullptr || !type->is_string()) return Error::invalid("a message needs a type");
  const auto found = std::ranges::find(kTypes, std::string_view(type->get_string()));
  if (found == kTypes.end()) return Error::invalid("unknown type of message");
  return read_as(static_cast<size_t>(found - kTypes.begin()), value);
}

}  // namespace mesclun::link
