// Heads of HTTP/1.1 messages, kept flat: a proxy reads and writes thousands a second.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace mesclun {

// Header fields in order of arrival, names and values back to back in one string.
class HeaderList {
 public:
  struct View {
    std::string_view name;
    std::string_view value;
  };

  void add(std::string_view name, std::string_view value);
  // Replaces every field of that name.
  void set(std::string_view name, std::string_view value);
  void remove(std::string_view name);
  void clear();

  size_t size() const { return fields_.size(); }
  View operator[](size_t i) const {
    const Field& field = fields_[i];
    const std::string_view text(text_);
    return {text.substr(field.at, field.name_size),
            text.substr(field.at + field.name_size, field.value_size)};
  }
  // The first field of that name, any case.
  std::optional<std::string_view> find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name).has_value(); }
  // True if a comma-separated list of that name has the token, any case: Connection: keep-alive,
  // Upgrade.
  bool has_token(std::string_view name, std::string_view token) const;

 private:
  struct Field {
    uint32_t at;
    uint32_t name_size;
    uint32_t value_size;
  };
  std::string text_;
  std::vector<Field> fields_;
};

struct RequestHead {
  std::string method;
  std::string target;  // once read: a path with its query, or * or, for CONNECT, host and port
  bool http_1_0 = false;
  HeaderList headers;
  std::string host;  // once read: whom it is for, by the target or the Host header; may be empty

  void clear();
};

struct ResponseHead {
  int status = 0;
  std::string reason;
  bool http_1_0 = false;
  HeaderList headers;

  void clear();
};

// How the body of a message is delimited.
struct BodyFraming {
  enum class Kind { None, Length, Chunked, UntilClose };
  Kind kind = Kind::None;
  uint64_t length = 0;
};

// Appends the head in wire form, with the empty line.
void write_head(const RequestHead& head, std::string& out);
void write_head(const ResponseHead& head, std::string& out);

}  // namespace mesclun
