#include "companion/config_reader.h"

#include <cmath>
#include <regex>
#include <set>

#include "base/integer.h"
#include "base/socket_conn.h"
#include "base/text.h"
#include "base/units.h"
#include "base/yaml.h"
#include "companion/config_clashes.h"
#include "companion/config_fields.h"

namespace mesclun::companion {

namespace {

std::string suggestion(std::string_view word, const std::set<std::string>& known) {
  const std::string* best = nullptr;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best = &candidate;
      best_distance = distance;
    }
  }
  return best == nullptr ? "" : fmt::format("; did you mean {}?", *best);
}

std::string show(const json::value& value) {
  std::string text = json::serialize(value);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

// A number with its unit, or a bare one; never empty.
std::string as_written(const json::value& value) {
  if (value.is_string()) return std::string(value.as_string());
  return value.is_number() ? json::serialize(value) : "?";
}

// What Kubernetes puts into every container about a service, here one named mesclun-app or
// mesclun-app-SOMETHING: ..._SERVICE_HOST, ..._SERVICE_PORT, ..._PORT=tcp://10.0.0.1:80,
// ..._PORT_80_TCP and that with _PROTO, _PORT and _ADDR.
bool is_service_link(const std::string& name, const std::string& value) {
  static const std::regex plain(".*_SERVICE_HOST|.*_PORT_[0-9]+_(TCP|UDP|SCTP)_(PROTO|ADDR)");
  static const std::regex number(".*_SERVICE_PORT(_.*)?|.*_PORT_[0-9]+_(TCP|UDP|SCTP)_PORT");
  static const std::regex url(".*_PORT|.*_PORT_[0-9]+_(TCP|UDP|SCTP)");
  if (std::regex_match(name, plain)) return true;
  if (std::regex_match(name, number)) return parse_integer<uint16_t>(value).has_value();
  return std::regex_match(name, url) &&
         (value.starts_with("tcp://") || value.starts_with("udp://") ||
          value.starts_with("sctp://"));
}

// Walks the settings, and takes each from the environment, else from the file.
class ConfigReader final : public FieldVisitor {
 public:
  ConfigReader(std::string_view file_name, const YamlDocument& document,
               const Environment& environment, LoadedConfig& out)
      : file_name_(file_name), document_(document), environment_(environment), out_(out) {
    push("", "", &document.value);
  }

  void finish() {
    pop();
    check_environment();
  }

  void begin(std::string_view section, std::string_view) override {
    const json::value* value = member(section);
    if (value != nullptr && value->is_null()) value = nullptr;
    push(join(section), stack_.back().pointer + "/" + std::string(section), value);
  }
  void end() override { pop(); }

  void text(std::string_view name, std::string& value, std::string_view) override {
    const std::string path = join(name);
    if (const std::string* given = from_environment(path)) {
      value = *given;
      note(path, path.ends_with("secret_access_key") ? "***" : value, "$" + environment_name(path));
      return;
    }
    const json::value* found = member(name);
    if (found == nullptr) return;
    if (found->is_string()) {
      value = found->as_string();
    } else if (found->is_number() || found->is_bool()) {
      value = json::serialize(*found);
    } else {
      return bad(name, "must be text", *found);
    }
    note(path, path.ends_with("secret_access_key") ? "***" : value, line_of(name));
  }

  void texts(std::string_view name, std::vector<std::string>& value, std::string_view) override {
    take(name, [&](const json::value& given) -> Result<> {
      std::vector<std::string> list;
      if (given.is_string()) {
        list.emplace_back(given.as_string());
      } else if (given.is_array()) {
        for (const json::value& item : given.as_array()) {
          if (!item.is_string()) return Error::invalid("must be a list of texts");
          list.emplace_back(item.as_string());
        }
      } else {
        return Error::invalid("must be a list of texts");
      }
      value = std::move(list);
      return {};
    });
  }

  void boolean(std::string_view name, bool& value, std::string_view) override {
    take(name, [&](const json::value& given) -> Result<> {
      if (!given.is_bool()) return Error::invalid("must be true or false");
      value = given.as_bool();
      return {};
    });
  }

  void integer(std::string_view name, int& value, int min, int max, std::string_view) override {
    take(name, [&](const json::value& given) -> Result<> {
      if (!given.is_int64() || given.as_int64() < min || given.as_int64() > max) {
        return Error::invalid(fmt::format("must be a whole number from {} to {}", min, max));
      }
      value = static_cast<int>(given.as_int64());
      return {};
    });
  }

  void number(std::string_view name, double& value, double min, double max,
              std::string_view) override {
    take(name, [&](const json::value& given) -> Result<> {
      const double number = given.is_number() ? given.to_number<double>() : NAN;
      if (!(number >= min && number <= max)) {
        return Error::invalid(fmt::format("must be a number from {} to {}", min, max));
      }
      value = number;
      return {};
    });
  }

  void duration(std::string_view name, Duration& value, Duration min, Duration max,
                std::string_view) override {
    take(name, [&](const json::value& given) -> Result<> {
      const std::string text = as_written(given);
      const Result<Duration> parsed = parse_duration(text);
      if (!parsed || *parsed < min || *parsed > max) {
        return Error::invalid(
            fmt::format("must be a time with its unit, such as 30s, from {} to {}",
                        format_duration(min), format_duration(max)));
      }
      value = *parsed;
      return {};
    });
  }

  void bytes(std::string_view name, uint64_t& value, uint64_t min, uint64_t max,
             std::string_view) override {
    take(name, [&](const json::value& given) -> Result<> {
      const std::string text = as_written(given);
      const Result<uint64_t> parsed = parse_bytes(text);
      if (!parsed || *parsed < min || *parsed > max) {
        return Error::invalid(fmt::format("must be a size, such as 64MiB, from {} to {}",
                                          format_bytes(min), format_bytes(max)));
      }
      value = *parsed;
      return {};
    });
  }

  void source(std::string_view name, FieldSource& value, bool requests_too,
              std::string_view) override {
    take(name, [&](const json::value& given) -> Result<> {
      if (!given.is_string()) return Error::invalid("must be text");
      TRY(value, parse_field_source(std::string_view(given.as_string()), requests_too));
      return {};
    });
  }

  void latencies(std::string_view name, std::vector<LatencyCheckConfig>& value,
                 std::string_view) override {
    take(name, [&](const json::value& given) -> Result<> {
      const Error shape =
          Error::invalid("must be a list such as [{address: \"example.com:443\", ms_max: 200}]");
      if (!given.is_array()) return shape;
      std::vector<LatencyCheckConfig> list;
      for (const json::value& item : given.as_array()) {
        if (!item.is_object()) return shape;
        LatencyCheckConfig check;
        for (const auto& [key, field] : item.as_object()) {
          if (key == "address" && field.is_string()) {
            check.address = field.as_string();
          } else if (key == "ms_max" && field.is_number()) {
            check.ms_max = field.to_number<double>();
          } else {
            return shape;
          }
        }
        if (!parse_endpoint(check.address)) return shape;
        list.push_back(std::move(check));
      }
      value = std::move(list);
      return {};
    });
  }

  void word(std::string_view name, size_t& index, std::span<const std::string_view> words,
            std::string_view) override {
    take(name, [&](const json::value& given) -> Result<> {
      for (size_t i = 0; given.is_string() && i < words.size(); ++i) {
        if (words[i] == std::string_view(given.as_string())) {
          index = i;
          return {};
        }
      }
      return Error::invalid(fmt::format("must be {}", fmt::join(words, ", ")));
    });
  }

 private:
  struct Level {
    std::string path;     // "front"
    std::string pointer;  // "/front"
    const json::object* object = nullptr;
    std::set<std::string> known = {};
  };

  void push(std::string path, std::string pointer, const json::value* value) {
    Level level{std::move(path), std::move(pointer)};
    if (value != nullptr && value->is_object()) {
      level.object = &value->as_object();
    } else if (value != nullptr && !value->is_null()) {
      problem(line_at(level.pointer),
              fmt::format("{} must be a section with settings in it, not {}",
                          level.path.empty() ? "the file" : level.path, show(*value)));
    }
    stack_.push_back(std::move(level));
  }

  void pop() {
    const Level& level = stack_.back();
    if (level.object != nullptr) {
      for (const auto& [key, value] : *level.object) {
        const std::string name(key);
        if (level.known.contains(name)) continue;
        problem(line_at(level.pointer + "/" + name),
                fmt::format("there is no setting {}{}{}{}", level.path,
                            level.path.empty() ? "" : ".", name, suggestion(name, level.known)));
      }
    }
    stack_.pop_back();
  }

  std::string join(std::string_view name) const {
    const std::string& path = stack_.back().path;
    return path.empty() ? std::string(name) : path + "." + std::string(name);
  }

  const json::value* member(std::string_view name) {
    Level& level = stack_.back();
    level.known.emplace(name);
    return level.object == nullptr ? nullptr : level.object->if_contains(name);
  }

  const std::string* from_environment(const std::string& path) {
    const std::string name = environment_name(path);
    known_variables_.insert(name);
    const auto found = environment_.find(name);
    if (found == environment_.end()) return nullptr;
    member(path.substr(path.rfind('.') + 1));  // the file's is known too, though not used
    return &found->second;
  }

  template <class Read>
  void take(std::string_view name, Read read) {
    const std::string path = join(name);
    if (const std::string* given = from_environment(path)) {
      const Result<YamlDocument> parsed = parse_yaml(*given);
      const json::value value = parsed ? parsed->value : json::value(json::string(*given));
      const std::string where = "$" + environment_name(path);
      if (const Result<> result = read(value); !result) {
        problem(where, fmt::format("{} {}, not {}", path, result.error().message, show(value)));
      } else {
        note(path, *given, where);
      }
      return;
    }
    const json::value* found = member(name);
    if (found == nullptr) return;
    if (const Result<> result = read(*found); !result) {
      bad(name, result.error().message, *found);
    } else {
      note(path, show(*found), line_of(name));
    }
  }

  void bad(std::string_view name, std::string_view what, const json::value& value) {
    problem(line_of(name), fmt::format("{} {}, not {}", join(name), what, show(value)));
  }
  void problem(std::string where, std::string text) {
    out_.problems.push_back({std::move(where), std::move(text)});
  }
  void note(std::string path, std::string value, std::string where) {
    out_.set.push_back({std::move(path), std::move(value), std::move(where)});
  }
  std::string line_of(std::string_view name) const {
    return line_at(stack_.back().pointer + "/" + std::string(name));
  }
  std::string line_at(const std::string& pointer) const {
    const auto found = document_.lines.find(pointer);
    return found == document_.lines.end() ? std::string(file_name_)
                                          : fmt::format("{}:{}", file_name_, found->second);
  }

  void check_environment() {
    for (const auto& [name, value] : environment_) {
      if (!name.starts_with("MESCLUN_APP_") || known_variables_.contains(name)) continue;
      if (name == "MESCLUN_APP_CONFIG" || name == "MESCLUN_APP_BIN") continue;
      if (is_service_link(name, value)) {
        out_.ignored.push_back("$" + name);
        continue;
      }
      problem("$" + name,
              fmt::format("there is no such setting{}", suggestion(name, known_variables_)));
    }
  }

  std::string_view file_name_;
  const YamlDocument& document_;
  const Environment& environment_;
  LoadedConfig& out_;
  std::vector<Level> stack_;
  std::set<std::string> known_variables_;
};

}  // namespace

LoadedConfig read_config(std::string_view file_name, std::string_view text,
                         const Environment& environment) {
  LoadedConfig out;
  if (const auto uri = environment.find("SALAD_METADATA_URI");
      uri != environment.end() && !uri->second.empty()) {
    out.config.metadata.uri = uri->second;
  }
  YamlDocument document;
  if (!text.empty()) {
    Result<YamlDocument> parsed = parse_yaml(text);
    if (parsed) {
      document = std::move(*parsed);
    } else {
      out.problems.push_back({std::string(file_name), parsed.error().message});
    }
  }
  ConfigReader reader(file_name, document, environment, out);
  visit_fields(out.config, reader);
  reader.finish();
  if (out.problems.empty()) {
    for (const ConfigClash& clash : find_clashes(out.config)) {
      std::string where(file_name);
      for (const ConfigValue& value : out.set) {
        if (value.path == clash.path) where = value.where;
      }
      out.problems.push_back({std::move(where), clash.path + " " + clash.text});
    }
  }
  return out;
}

}  // namespace mesclun::companion
