#include "companion/multipart.h"

#include <fmt/format.h>

#include <algorithm>

namespace mesclun::companion {

namespace {

// The value of a parameter after the first ';', with or without quotes: boundary=x, name="a b".
std::string parameter(std::string_view value, std::string_view name) {
  size_t at = value.find(';');
  while (at != std::string_view::npos) {
    ++at;
    size_t end = at;
    bool quoted = false;
    for (; end < value.size() && (quoted || value[end] != ';'); ++end) {
      if (quoted && value[end] == '\\') {
        ++end;
      } else if (value[end] == '"') {
        quoted = !quoted;
      }
    }
    const std::string_view field = trim_blanks(value.substr(at, std::min(end, value.size()) - at));
    const size_t equals = field.find('=');
    if (equals != std::string_view::npos && iequals(trim_blanks(field.substr(0, equals)), name)) {
      std::string_view text = trim_blanks(field.substr(equals + 1));
      if (text.size() < 2 || text.front() != '"' || text.back() != '"') return std::string(text);
      text = text.substr(1, text.size() - 2);
      std::string out;
      for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) ++i;
        out.push_back(text[i]);
      }
      return out;
    }
    at = end < value.size() ? end : std::string_view::npos;
  }
  return {};
}

Result<Part> parse_part(std::string_view text) {
  Part part;
  bool named = false;
  while (true) {
    const size_t end = text.find("\r\n");
    if (end == std::string_view::npos) return Error::invalid("the head of a part does not end");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 2);
    if (line.empty()) break;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) {
      return Error::invalid("a header of a part has no colon");
    }
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trim_blanks(line.substr(colon + 1));
    if (iequals(name, "Content-Disposition")) {
      part.name = parameter(value, "name");
      named = !part.name.empty();
    } else {
      part.headers.add(name, value);
    }
  }
  if (!named) return Error::invalid("a part has no Content-Disposition with a name");
  part.body = text;
  return part;
}

}  // namespace

Result<std::vector<Part>> parse_multipart(std::string_view content_type, std::string_view message,
                                          size_t parts_max) {
  const std::string boundary = parameter(content_type, "boundary");
  if (boundary.empty() || boundary.size() > 200) {
    return Error::invalid("the Content-Type has no boundary");
  }
  const std::string delimiter = "\r\n--" + boundary;
  // The first delimiter may be at the very beginning, without its line break.
  size_t at = 0;
  if (message.starts_with(std::string_view(delimiter).substr(2))) {
    at = delimiter.size() - 2;
  } else {
    at = message.find(delimiter);
    if (at == std::string_view::npos) return Error::invalid("the boundary does not occur");
    at += delimiter.size();
  }
  std::vector<Part> parts;
  while (true) {
    if (message.substr(at).starts_with("--")) return parts;
    const size_t line_end = message.find("\r\n", at);
    if (line_end == std::string_view::npos ||
        !trim_blanks(message.substr(at, line_end - at)).empty()) {
      return Error::invalid("a boundary is not followed by a new line");
    }
    const size_t end = message.find(delimiter, line_end);
    if (end == std::string_view::npos) return Error::invalid("the last boundary is missing");
    if (parts.size() >= parts_max) {
      return Error::invalid(fmt::format("more than {} parts", parts_max));
    }
    // An empty part's body: its blank line is the delimiter's own line break.
    const std::string_view text = message.substr(line_end + 2, end + 2 - (line_end + 2));
    Result<Part> part = parse_part(text);
    if (!part) return part.error();
    if (part->body.ends_with("\r\n")) part->body.remove_suffix(2);
    parts.push_back(std::move(*part));
    at = end + delimiter.size();
  }
}

void append_part(std::string_view boundary, const Part& part, std::string& out) {
  fmt::format_to(std::back_inserter(out), "--{}\r\nContent-Disposition: form-data; name=\"{}\"\r\n",
                 boundary, part.name);
  for (size_t i = 0; i < part.headers.size(); ++i) {
    fmt::format_to(std::back_inserter(out), "{}: {}\r\n", part.headers[i].name,
                   part.headers[i].value);
  }
  out += "\r\n";
  out += part.body;
  out += "\r\n";
}

void append_multipart_end(std::string_view boundary, std::string& out) {
  fmt::format_to(std::back_inserter(out), "--{}--\r\n", boundary);
}

}  // namespace mesclun::companion
