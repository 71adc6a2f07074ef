#include "client/load_input.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/json.h"
#include "base/text.h"

namespace mesclun::client {

namespace {

constexpr size_t kBodyBytesMax = 256 * 1024 * 1024;

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

// A control character would end the field and begin another.
bool is_field_value(std::string_view text) {
  return std::ranges::none_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7F;
  });
}

}  // namespace

Result<std::string> read_body_file(const std::string& path, std::FILE* in) {
  const bool is_standard = path == "-";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> opened(
      is_standard ? nullptr : std::fopen(path.c_str(), "rbe"), &std::fclose);
  std::FILE* file = is_standard ? in : opened.get();
  const auto cannot = [&] {
    return Error::invalid(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  };
  if (file == nullptr) return cannot();
  std::string text;
  std::vector<char> buffer(64 * 1024);
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), file)) {
    text.append(buffer.data(), n);
    if (text.size() > kBodyBytesMax) return Error::invalid(path + ": larger than 256 MiB");
  }
  if (std::ferror(file) != 0) return cannot();
  return text;
}

Result<std::vector<std::string>> split_json_lines(const std::string& name, std::string_view text) {
  std::vector<std::string> bodies;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string_view line = trim_line(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty()) continue;
    if (const Result<json::value> value = parse_json(line); !value) {
      return Error::invalid(fmt::format("{}:{}: {}", name, number, value.error().message));
    }
    bodies.emplace_back(line);
  }
  if (bodies.empty()) return Error::invalid(name + ": there is no JSON line in it");
  return bodies;
}

Result<> add_header(HeaderList& headers, std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view name = trim_line(text.substr(0, colon));
  const std::string_view value =
      colon == std::string_view::npos ? std::string_view() : trim_line(text.substr(colon + 1));
  if (colon == std::string_view::npos || !is_token(name) || !is_field_value(value)) {
    return Error::invalid(
        fmt::format("'{}' is no header field: write 'Name: value'", text.substr(0, 64)));
  }
  if (iequals(name, "Content-Length") || iequals(name, "Transfer-Encoding") ||
      iequals(name, "Connection")) {
    return Error::invalid(fmt::format("{} is set by the client itself", name));
  }
  headers.add(name, value);
  return {};
}

}  // namespace mesclun::client
