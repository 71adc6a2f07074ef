#include "base/yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <charconv>

namespace mesclun {

namespace {

constexpr int kDepthMax = 32;
constexpr int kValuesMax = 100'000;

struct TooLarge : std::runtime_error {
  using std::runtime_error::runtime_error;
};

json::value scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return json::string(text);  // quoted
  if (text.empty() || text == "~" || text == "null") return nullptr;
  if (text == "true") return true;
  if (text == "false") return false;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  // 010 means 10 to some readers and 8 to others, so it stays text.
  const bool leading_zero = text.size() > 1 && text[0] == '0' && text[1] != '.';
  int64_t integer = 0;
  if (const auto [at, error] = std::from_chars(begin, end, integer);
      error == std::errc() && at == end && !leading_zero) {
    return integer;
  }
  double number = 0;
  if (const auto [at, error] = std::from_chars(begin, end, number);
      error == std::errc() && at == end && !leading_zero && std::isfinite(number)) {
    return number;
  }
  return json::string(text);
}

class Converter {
 public:
  explicit Converter(std::map<std::string, int>& lines) : lines_(lines) {}

  json::value convert(const YAML::Node& node, const std::string& path, int depth) {
    if (depth > kDepthMax) throw TooLarge("more than 32 levels deep");
    if (++values_ > kValuesMax) throw TooLarge("more than 100000 values");
    lines_[path] = node.Mark().line + 1;
    switch (node.Type()) {
      case YAML::NodeType::Map: {
        json::object object;
        for (const auto& member : node) {
          const std::string key = member.first.as<std::string>();
          // yaml-cpp keeps both, and one of them would silently not count.
          if (object.contains(key)) {
            throw YAML::Exception(member.first.Mark(), fmt::format("'{}' is given twice", key));
          }
          object[key] = convert(member.second, path + "/" + key, depth + 1);
        }
        return object;
      }
      case YAML::NodeType::Sequence: {
        json::array array;
        for (size_t i = 0; i < node.size(); ++i) {
          array.push_back(convert(node[i], path + "/" + std::to_string(i), depth + 1));
        }
        return array;
      }
      case YAML::NodeType::Scalar:
        return scalar(node);
      default:
        return nullptr;
    }
  }

 private:
  std::map<std::string, int>& lines_;
  int values_ = 0;
};

}  // namespace

Result<YamlDocument> parse_yaml(std::string_view text) {
  YamlDocument document;
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    document.value = Converter(document.lines).convert(root, "", 0);
  } catch (const YAML::Exception& e) {
    return Error::invalid(
        fmt::format("line {}, column {}: {}", e.mark.line + 1, e.mark.column + 1, e.msg));
  } catch (const TooLarge& e) {
    return Error::invalid(e.what());
  }
  return document;
}

}  // namespace mesclun
