#include "base/yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
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
  // `values`: of all documents together.
  Converter(std::map<std::string, int>& lines, int& values) : lines_(lines), values_(values) {}

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
  int& values_;
};

}  // namespace

Result<std::vector<YamlDocument>> parse_yaml_documents(std::string_view text) {
  std::vector<YamlDocument> documents;
  try {
    int values = 0;
    for (const YAML::Node& root : YAML::LoadAll(std::string(text))) {
      YamlDocument document;
      document.value = Converter(document.lines, values).convert(root, "", 0);
      documents.push_back(std::move(document));
    }
  } catch (const YAML::Exception& e) {
    return Error::invalid(
        fmt::format("line {}, column {}: {}", e.mark.line + 1, e.mark.column + 1, e.msg));
  } catch (const TooLarge& e) {
    return Error::invalid(e.what());
  }
  if (std::ranges::any_of(documents, [](const auto& d) { return !d.value.is_null(); })) {
    std::erase_if(documents, [](const YamlDocument& d) { return d.value.is_null(); });
  }
  if (documents.empty()) documents.emplace_back();
  return documents;
}

Result<YamlDocument> parse_yaml(std::string_view text) {
  TRY(std::vector<YamlDocument> documents, parse_yaml_documents(text));
  if (documents.size() > 1) {
    return Error::invalid(fmt::format("line {}, column 1: a second document; only one can be here",
                                      documents[1].lines.at("")));
  }
  return std::move(documents.front());
}

}  // namespace mesclun
