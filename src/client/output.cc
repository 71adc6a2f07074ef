#include "client/output.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/text.h"

namespace mesclun::client {

namespace {

constexpr size_t kNoteLineMax = 4096;

struct Range {
  char32_t first;
  char32_t last;
};
constexpr Range kZeroWidth[] = {{0x0300, 0x036F}, {0x1AB0, 0x1AFF}, {0x200B, 0x200F},
                                {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}};
constexpr Range kWide[] = {{0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},
                           {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},
                           {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F},
                           {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};

bool within_any(char32_t value, std::span<const Range> ranges) {
  return std::ranges::any_of(ranges,
                             [&](const Range& r) { return value >= r.first && value <= r.last; });
}

// Controls move the cursor, and the marks of text direction reorder what is read.
bool is_control(char32_t value) {
  return value < 0x20 || (value >= 0x7F && value < 0xA0) || (value >= 0x202A && value <= 0x202E) ||
         (value >= 0x2066 && value <= 0x2069);
}

// The length of a colour sequence at the start of `text`; 0 if there is none.
size_t colour_sequence(std::string_view text) {
  if (!text.starts_with("\x1b[")) return 0;
  const size_t end = text.find_first_not_of("0123456789;:", 2);
  return end != std::string_view::npos && text[end] == 'm' && end < 64 ? end + 1 : 0;
}

void pretty(const json::value& value, std::string& out, size_t depth) {
  const std::string indent(2 * (depth + 1), ' ');
  const std::string outdent(2 * depth, ' ');
  if (value.is_object() && !value.get_object().empty()) {
    out += "{";
    const char* separator = "\n";
    for (const auto& member : value.get_object()) {
      out += separator + indent + json::serialize(member.key()) + ": ";
      pretty(member.value(), out, depth + 1);
      separator = ",\n";
    }
    out += "\n" + outdent + "}";
  } else if (value.is_array() && !value.get_array().empty()) {
    out += "[";
    const char* separator = "\n";
    for (const json::value& item : value.get_array()) {
      out += separator + indent;
      pretty(item, out, depth + 1);
      separator = ",\n";
    }
    out += "\n" + outdent + "]";
  } else {
    out += json::serialize(value);
  }
}

void append_padded(std::string& out, const std::string& cell, size_t width, bool last) {
  out += cell;
  if (!last) out.append(width - display_width(cell) + 2, ' ');
}

}  // namespace

Console Console::standard() {
  Console console;
  console.out_is_terminal = ::isatty(STDOUT_FILENO) == 1;
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::string_view(term) == "dumb";
  console.err_is_terminal = ::isatty(STDERR_FILENO) == 1 && !dumb;
  return console;
}

void Console::print(std::string_view text) const {
  std::fwrite(text.data(), 1, text.size(), out);
  std::fflush(out);
}

void Console::note(std::string_view text) const {
  std::string shown;
  while (true) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    shown += printable(line.substr(0, kNoteLineMax));
    shown += line.size() > kNoteLineMax ? "…\n" : "\n";
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  std::fwrite(shown.data(), 1, shown.size(), err);
  std::fflush(err);
}

size_t display_width(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    if (point.bytes == 0) {
      ++width;
    } else if (within_any(point.value, kWide)) {
      width += 2;
    } else if (!within_any(point.value, kZeroWidth)) {
      ++width;
    }
    text.remove_prefix(std::max<size_t>(point.bytes, 1));
  }
  return width;
}

std::string printable(std::string_view text, bool keep_colours) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    if (const size_t colour = keep_colours ? colour_sequence(text) : 0; colour > 0) {
      out += text.substr(0, colour);
      text.remove_prefix(colour);
      continue;
    }
    const CodePoint point = first_code_point(text);
    const size_t bytes = std::max<size_t>(point.bytes, 1);
    if (point.bytes == 0 || (is_control(point.value) && point.value != '\t')) {
      out += kReplacementCharacter;
    } else {
      out += text.substr(0, bytes);
    }
    text.remove_prefix(bytes);
  }
  return out;
}

void Table::add(std::vector<std::string> cells) {
  cells.resize(headings_.size());
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::render() const {
  std::vector<size_t> widths;
  for (const std::string& heading : headings_) widths.push_back(display_width(heading));
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  }
  std::string out;
  const auto line = [&](const std::vector<std::string>& cells) {
    // No spaces at the end of a line: the padding stops at the last cell that says something.
    size_t used = cells.size();
    while (used > 0 && cells[used - 1].empty()) --used;
    for (size_t i = 0; i < used; ++i) append_padded(out, cells[i], widths[i], i + 1 == used);
    out += '\n';
  };
  line(headings_);
  for (const auto& row : rows_) line(row);
  return out;
}

std::string render_fields(const std::vector<std::pair<std::string, std::string>>& fields) {
  size_t width = 0;
  for (const auto& [name, value] : fields) {
    if (!value.empty()) width = std::max(width, display_width(name));
  }
  std::string out;
  for (const auto& [name, value] : fields) {
    if (value.empty()) continue;
    append_padded(out, name, width, false);
    out += printable(value) + '\n';
  }
  return out;
}

std::string pretty_json(const json::value& value) {
  std::string out;
  pretty(value, out, 0);
  out += '\n';
  return out;
}

std::string age(std::string_view rfc3339, WallTime now) {
  const Result<WallTime> time = parse_rfc3339(rfc3339);
  if (!time) return "";
  // Clocks differ a little: never "-1s".
  const int64_t seconds = std::max<int64_t>(0, to_unix_seconds(now) - to_unix_seconds(*time));
  if (seconds < 120) return fmt::format("{}s", seconds);
  if (seconds < 120 * 60) return fmt::format("{}m", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{}h", seconds / 3600);
  return fmt::format("{}d", seconds / 86400);
}

std::string short_time(std::string_view rfc3339) {
  const Result<WallTime> time = parse_rfc3339(rfc3339);
  if (!time) return std::string(rfc3339);
  return format_rfc3339(*time).substr(0, 19) + "Z";
}

void Progress::update(std::string text) {
  if (!console_.err_is_terminal || text == shown_) return;
  std::fputs(("\r\x1b[K" + printable(text)).c_str(), console_.err);
  std::fflush(console_.err);
  shown_ = std::move(text);
}

void Progress::clear() {
  if (shown_.empty()) return;
  std::fputs("\r\x1b[K", console_.err);
  std::fflush(console_.err);
  shown_.clear();
}

void Progress::done(std::string_view text) {
  clear();
  console_.note(text);
}

}  // namespace mesclun::client
