#include "http/message.h"

#include <charconv>

#include "base/error.h"

namespace mesclun {

namespace {

void write_headers(const HeaderList& headers, std::string& out) {
  for (size_t i = 0; i < headers.size(); ++i) {
    const HeaderList::View field = headers[i];
    out.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  out.append("\r\n");
}

}  // namespace

void HeaderList::add(std::string_view name, std::string_view value) {
  if (fields_.empty()) {
    // Most heads fit; growing from nothing to there would take four steps each.
    fields_.reserve(16);
    text_.reserve(512);
  }
  fields_.push_back({static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(name.size()),
                     static_cast<uint32_t>(value.size())});
  text_.append(name).append(value);
}

void HeaderList::set(std::string_view name, std::string_view value) {
  remove(name);
  add(name, value);
}

void HeaderList::remove(std::string_view name) {
  std::erase_if(fields_, [&](const Field& field) {
    return iequals(std::string_view(text_).substr(field.at, field.name_size), name);
  });
}

void HeaderList::clear() {
  text_.clear();
  fields_.clear();
}

std::optional<std::string_view> HeaderList::find(std::string_view name) const {
  for (size_t i = 0; i < fields_.size(); ++i) {
    const View field = (*this)[i];
    if (iequals(field.name, name)) return field.value;
  }
  return std::nullopt;
}

bool HeaderList::has_token(std::string_view name, std::string_view token) const {
  for (size_t i = 0; i < fields_.size(); ++i) {
    const View field = (*this)[i];
    if (!iequals(field.name, name)) continue;
    std::string_view rest = field.value;
    while (true) {
      const size_t comma = rest.find(',');
      if (iequals(trim_blanks(rest.substr(0, comma)), token)) return true;
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return false;
}

void RequestHead::clear() {
  method.clear();
  target.clear();
  http_1_0 = false;
  headers.clear();
  host.clear();
}

void ResponseHead::clear() {
  status = 0;
  reason.clear();
  http_1_0 = false;
  headers.clear();
}

void write_head(const RequestHead& head, std::string& out) {
  out.append(head.method).append(" ").append(head.target);
  out.append(head.http_1_0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
  write_headers(head.headers, out);
}

void write_head(const ResponseHead& head, std::string& out) {
  char digits[12];
  const auto end = std::to_chars(digits, digits + sizeof digits, head.status).ptr;
  out.append(head.http_1_0 ? "HTTP/1.0 " : "HTTP/1.1 ");
  out.append(digits, end).append(" ");
  out.append(head.reason.empty() ? http_reason(head.status) : std::string_view(head.reason));
  out.append("\r\n");
  write_headers(head.headers, out);
}

}  // namespace mesclun
