#include "cloud/log_query.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "base/text.h"

namespace mesclun::cloud {

namespace {

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::string_view kEndsWord = " \t\r\n()\"=!<>~";
constexpr std::string_view kLabels = "resource.labels.";
constexpr std::string_view kJson = "json_log.";
constexpr size_t kPathMax = 32;  // as deep as our JSON goes

struct NamedField {
  std::string_view name;
  LogField field;
};
constexpr NamedField kFields[] = {{"time", LogField::Time},
                                  {"receive_time", LogField::ReceiveTime},
                                  {"severity", LogField::Severity},
                                  {"severity_number", LogField::SeverityNumber},
                                  {"trace_id", LogField::TraceId},
                                  {"span_id", LogField::SpanId},
                                  {"parent_span_id", LogField::ParentSpanId},
                                  {"text_log", LogField::TextLog},
                                  {"resource.type", LogField::ResourceType},
                                  {"log", LogField::Log}};
constexpr std::string_view kFieldNames =
    "a field (time, receive_time, severity, severity_number, trace_id, span_id, parent_span_id, "
    "text_log, log, resource.type, resource.labels.NAME, json_log.PATH)";

bool is_order(LogOperator op) {
  return op == LogOperator::Greater || op == LogOperator::Less || op == LogOperator::GreaterEqual ||
         op == LogOperator::LessEqual;
}

}  // namespace

class LogQueryParser {
 public:
  explicit LogQueryParser(std::string_view text) : text_(text) {}

  Result<LogQuery> parse() {
    LogQuery query;
    skip_blanks();
    if (at_ < text_.size()) {
      TRY(query.root_, read_or(0));
      if (at_ < text_.size()) return expected("'and', 'or' or the end");
    }
    query.clauses_ = clauses_;
    return query;
  }

 private:
  using Node = LogQuery::Node;

  Error expected(std::string_view what) const { return expected(what, at_); }
  Error expected(std::string_view what, size_t at) const {
    const std::string_view rest = text_.substr(at);
    const std::string found =
        rest.empty() ? "the query ends" : fmt::format("found '{}'", valid_utf8(rest, 20));
    return Error::invalid(fmt::format("query, character {}: expected {}, {}", at + 1, what, found));
  }
  void skip_blanks() {
    while (at_ < text_.size() && kBlanks.contains(text_[at_])) ++at_;
  }
  bool take(std::string_view sign) {
    if (!text_.substr(at_).starts_with(sign)) return false;
    at_ += sign.size();
    return true;
  }
  std::string_view word() const {
    const std::string_view rest = text_.substr(at_);
    return rest.substr(0, std::min(rest.find_first_of(kEndsWord), rest.size()));
  }
  bool take_word(std::string_view wanted) {
    if (!iequals(word(), wanted)) return false;
    at_ += wanted.size();
    skip_blanks();
    return true;
  }

  Result<Node> read_or(int depth) { return read_list(Node::Kind::Or, depth); }
  Result<Node> read_list(Node::Kind kind, int depth) {
    const bool is_or = kind == Node::Kind::Or;
    const auto part = [&] { return is_or ? read_list(Node::Kind::And, depth) : read_not(depth); };
    TRY(Node first, part());
    skip_blanks();
    const std::string_view joint = is_or ? "or" : "and";
    if (!iequals(word(), joint)) return first;
    Node list{.kind = kind};
    list.children.push_back(std::move(first));
    while (take_word(joint)) {
      TRY(Node next, part());
      list.children.push_back(std::move(next));
      skip_blanks();
    }
    return list;
  }

  Result<Node> read_not(int depth) {
    if (depth >= LogQuery::kDepthMax) {
      return Error::invalid(
          fmt::format("query, character {}: at most {} parentheses and nots go "
                      "inside each other",
                      at_ + 1, LogQuery::kDepthMax));
    }
    skip_blanks();
    if (take_word("not")) {
      TRY(Node inner, read_not(depth + 1));
      Node node{.kind = Node::Kind::Not};
      node.children.push_back(std::move(inner));
      return node;
    }
    if (!take("(")) {
      Node node;
      TRY(node.clause, read_clause());
      return node;
    }
    TRY(Node inner, read_or(depth + 1));
    skip_blanks();
    if (!take(")")) return expected("'and', 'or' or ')'");
    return inner;
  }

  Result<LogClause> read_clause() {
    ++clauses_;
    LogClause clause;
    TRY_DO(read_field(clause));
    skip_blanks();
    const size_t operator_at = at_;
    TRY_DO(read_operator(clause));
    if (clause.field == LogField::Log && clause.op != LogOperator::Contains) {
      return expected("contains, !contains, contains~ or !contains~ after 'log'", operator_at);
    }
    skip_blanks();
    const size_t value_at = at_;
    TRY_DO(read_value(clause));
    TRY_DO(fit_value(clause, value_at));
    return clause;
  }

  Result<> read_field(LogClause& clause) {
    const std::string_view name = word();
    for (const NamedField& known : kFields) {
      if (name != known.name) continue;
      clause.field = known.field;
      at_ += name.size();
      return {};
    }
    if (name.starts_with(kLabels)) {
      at_ += kLabels.size();
      clause.field = LogField::Label;
      clause.label = word();
      at_ += clause.label.size();
      return clause.label.empty() ? Result<>(expected("the name of a label")) : Result<>();
    }
    if (name.starts_with(kJson)) {
      at_ += kJson.size();
      clause.field = LogField::JsonLog;
      return read_path(clause.path);
    }
    if (name == "json_log") return expected("'.' and the path of a member", at_ + name.size());
    return expected(kFieldNames);
  }

  // Members by their names, "quoted" where these have other signs; items of a list by their numbers.
  Result<> read_path(std::vector<std::string>& path) {
    do {
      if (path.size() >= kPathMax) return expected("a path of at most 32 names");
      std::string name;
      if (at_ < text_.size() && text_[at_] == '"') {
        TRY(name, read_quoted());
      } else {
        const std::string_view rest = word();
        name = rest.substr(0, rest.find('.'));
        at_ += name.size();
        if (name.empty()) return expected("the name of a member");
      }
      path.push_back(std::move(name));
    } while (take("."));
    return {};
  }

  Result<> read_operator(LogClause& clause) {
    constexpr std::pair<std::string_view, LogOperator> kSigns[] = {
        {">=", LogOperator::GreaterEqual},
        {"<=", LogOperator::LessEqual},
        {">", LogOperator::Greater},
        {"<", LogOperator::Less}};
    for (const auto& [sign, op] : kSigns) {
      if (!take(sign)) continue;
      clause.op = op;
      return {};
    }
    constexpr std::pair<std::string_view, LogOperator> kWords[] = {
        {"contains", LogOperator::Contains},
        {"startswith", LogOperator::StartsWith},
        {"endswith", LogOperator::EndsWith}};
    const size_t begin = at_;
    clause.negated = take("!");
    bool known = take("=");
    clause.op = LogOperator::Equal;
    for (const auto& [name, op] : kWords) {
      if (known || !iequals(word(), name)) continue;
      at_ += name.size();
      clause.op = op;
      known = true;
    }
    if (!known) {
      return expected(
          "an operator (= != =~ !=~ > < >= <= contains startswith endswith, with ! before or ~ "
          "behind a word)",
          begin);
    }
    clause.ignore_case = take("~");
    return {};
  }

  Result<std::string> read_quoted() {
    const size_t begin = at_++;
    std::string out;
    while (at_ < text_.size() && text_[at_] != '"') {
      const bool escape = text_[at_] == '\\' && at_ + 1 < text_.size() &&
                          (text_[at_ + 1] == '"' || text_[at_ + 1] == '\\');
      if (escape) ++at_;
      out += text_[at_++];
    }
    if (at_ >= text_.size()) {
      return Error::invalid(
          fmt::format("query, character {}: the quoted text has no closing '\"'", begin + 1));
    }
    ++at_;
    return out;
  }

  Result<> read_value(LogClause& clause) {
    const size_t begin = at_;
    if (at_ < text_.size() && text_[at_] == '"') {
      TRY(clause.text, read_quoted());
    } else {
      clause.text = word();
      at_ += clause.text.size();
      if (clause.text.empty()) return expected("a value");
    }
    if (clause.text.size() > LogQuery::kValueMax) {
      return Error::invalid(fmt::format("query, character {}: a value has at most {} characters",
                                        begin + 1, LogQuery::kValueMax));
    }
    return {};
  }

  // The value in the forms that the field and the operator need.
  Result<> fit_value(LogClause& clause, size_t value_at) {
    clause.number = parse_log_number(clause.text);
    if (const auto time = parse_rfc3339(clause.text)) clause.time = to_unix_nanos(*time);
    const bool compares = is_order(clause.op) || clause.op == LogOperator::Equal;
    const bool of_time = clause.field == LogField::Time || clause.field == LogField::ReceiveTime;
    if (compares && of_time && !clause.time) {
      return expected("a time such as 2026-01-31T23:59:59Z", value_at);
    }
    if (compares && clause.field == LogField::SeverityNumber && !clause.number) {
      return expected("a number", value_at);
    }
    if (compares && clause.field == LogField::Severity) {
      const auto severity = enum_from_name<Severity>(lower_case(clause.text));
      if (!severity) {
        return expected(
            "default, debug, info, notice, warning, error, critical, alert or emergency", value_at);
      }
      clause.severity = *severity;
    }
    if (is_order(clause.op) && clause.field != LogField::Severity && !clause.number &&
        !clause.time) {
      return expected("a number or a time such as 2026-01-31T23:59:59Z", value_at);
    }
    if (clause.ignore_case) clause.text = lower_case(clause.text);
    return {};
  }

  const std::string_view text_;
  size_t at_ = 0;
  size_t clauses_ = 0;
};

Result<LogQuery> LogQuery::parse(std::string_view text) {
  if (text.size() > kTextMax) {
    return Error::invalid(fmt::format("query: at most {} characters", kTextMax));
  }
  return LogQueryParser(text).parse();
}

bool LogQuery::holds(const Node& node, const LogEntry& entry) {
  const auto child_holds = [&](const Node& child) { return holds(child, entry); };
  switch (node.kind) {
    case Node::Kind::And:
      return std::ranges::all_of(node.children, child_holds);
    case Node::Kind::Or:
      return std::ranges::any_of(node.children, child_holds);
    case Node::Kind::Not:
      return !holds(node.children.front(), entry);
    case Node::Kind::Clause:
      return node.clause->matches(entry);
  }
  return false;
}

}  // namespace mesclun::cloud
