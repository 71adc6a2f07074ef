// The query language of the log (api.md §11.2):
//
//   query  = [ or ]
//   or     = and { "or" and }            and, or, not: any case
//   and    = not { "and" not }
//   not    = "not" not | "(" or ")" | clause
//   clause = field operator value        spaces are optional
//   value  = "quoted", with \" and \\ ; or a bare word, number or time
//
// An empty query is true of every entry.
#pragma once

#include "cloud/log_clause.h"

namespace mesclun::cloud {

class LogQuery {
 public:
  // Characters as bytes; parentheses and nots inside each other; bytes of a value and of a name.
  static constexpr size_t kTextMax = 20'000;
  static constexpr int kDepthMax = 64;
  static constexpr size_t kValueMax = 2'000;

  // InvalidArgument: at which character, what was expected there.
  static Result<LogQuery> parse(std::string_view text);

  bool matches(const LogEntry& entry) const { return !root_ || holds(*root_, entry); }
  // What looking at one entry costs, in looks at its text.
  size_t clauses() const { return clauses_; }

 private:
  friend class LogQueryParser;
  struct Node {
    enum class Kind { And, Or, Not, Clause };
    Kind kind = Kind::Clause;
    std::vector<Node> children;
    std::optional<LogClause> clause;
  };
  static bool holds(const Node& node, const LogEntry& entry);

  std::optional<Node> root_;
  size_t clauses_ = 0;
};

}  // namespace mesclun::cloud
