#include "companion/json_span.h"

namespace mesclun::companion {

namespace {

// Walks over JSON that a parser has found valid. Still never reads beyond the end.
class Walker {
 public:
  explicit Walker(std::string_view text) : text_(text) {}

  char peek() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  // A member's name, without its quotes and with its escapes.
  std::string_view name() {
    const std::string_view text = value();
    return text.size() < 2 ? text : text.substr(1, text.size() - 2);
  }
  // The text of the next value of any kind, without white space around it.
  std::string_view value() {
    const char first = peek();
    const size_t begin = at_;
    if (first == '"') {
      skip_string();
    } else if (first == '{' || first == '[') {
      skip_nested();
    } else {
      while (at_ < text_.size() && !is_space(text_[at_]) && text_[at_] != ',' &&
             text_[at_] != '}' && text_[at_] != ']') {
        ++at_;
      }
    }
    return text_.substr(begin, at_ - begin);
  }

 private:
  static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

  void skip_string() {
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\') ++at_;
    }
    at_ = at_ < text_.size() ? at_ + 1 : text_.size();
  }
  void skip_nested() {
    int depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        skip_string();
        continue;
      }
      ++at_;
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && --depth == 0) return;
    }
  }

  std::string_view text_;
  size_t at_ = 0;
};

// The last member of that name, as parsers take it.
std::string_view member(std::string_view object, std::string_view name) {
  Walker walker(object);
  std::string_view found;
  if (!walker.take('{')) return found;
  while (walker.peek() == '"') {
    const bool is_it = walker.name() == name;
    if (!walker.take(':')) break;
    const std::string_view value = walker.value();
    if (is_it) found = value;
    if (!walker.take(',')) break;
  }
  return found;
}

}  // namespace

std::vector<std::string_view> raw_item_bodies(std::string_view text) {
  std::vector<std::string_view> bodies;
  Walker walker(member(text, "items"));
  if (!walker.take('[')) return bodies;
  while (walker.peek() == '{') {
    bodies.push_back(member(walker.value(), "body"));
    if (!walker.take(',')) break;
  }
  return bodies;
}

}  // namespace mesclun::companion
