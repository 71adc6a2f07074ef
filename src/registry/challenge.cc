#include "registry/challenge.h"

#include <optional>

#include "base/text.h"

namespace mesclun::registry {

namespace {

constexpr size_t kFieldBytesMax = 8 * 1024;
constexpr size_t kChallengesMax = 8;
constexpr size_t kDetailsMax = 16;

bool is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  bool at_end() const { return rest_.empty(); }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void skip_blanks() {
    while (rest_.starts_with(' ') || rest_.starts_with('\t')) rest_.remove_prefix(1);
  }
  // Between the elements of a list, of which some may be empty.
  void skip_commas() {
    skip_blanks();
    while (take(',')) skip_blanks();
  }
  std::string_view token() {
    size_t size = 0;
    while (size < rest_.size() && is_token_char(rest_[size])) ++size;
    return take_bytes(size);
  }
  std::optional<std::string> quoted() {
    if (!take('"')) return std::nullopt;
    std::string out;
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return out;
      if (c == '\\') {
        if (rest_.empty()) break;
        out += rest_.front();
        rest_.remove_prefix(1);
      } else {
        out += c;
      }
    }
    return std::nullopt;
  }
  // "name=value" is next, and not a new scheme.
  bool detail_is_next() const {
    Cursor ahead = *this;
    if (ahead.token().empty()) return false;
    ahead.skip_blanks();
    return ahead.take('=');
  }

 private:
  std::string_view take_bytes(size_t size) {
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }

  std::string_view rest_;
};

bool read_detail(Cursor& cursor, Challenge& challenge) {
  std::string name = lower_case(cursor.token());
  cursor.skip_blanks();
  if (!cursor.take('=')) return false;
  cursor.skip_blanks();
  std::optional<std::string> value = cursor.quoted();
  if (!value) value = std::string(cursor.token());
  if (value->empty() || challenge.details.size() >= kDetailsMax) return false;
  challenge.details.emplace_back(std::move(name), *std::move(value));
  return true;
}

}  // namespace

std::string_view Challenge::detail(std::string_view name) const {
  for (const auto& [known, value] : details) {
    if (known == name) return value;
  }
  return {};
}

std::vector<Challenge> parse_challenges(std::string_view field) {
  std::vector<Challenge> out;
  Cursor cursor(field.substr(0, kFieldBytesMax));
  cursor.skip_commas();
  while (!cursor.at_end() && out.size() < kChallengesMax) {
    Challenge challenge{.scheme = lower_case(cursor.token())};
    if (challenge.scheme.empty()) break;
    out.push_back(std::move(challenge));
    cursor.skip_commas();
    while (cursor.detail_is_next()) {
      if (!read_detail(cursor, out.back())) return out;
      cursor.skip_commas();
    }
  }
  return out;
}

}  // namespace mesclun::registry
