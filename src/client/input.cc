#include "client/input.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "api/container_group.h"
#include "base/yaml.h"

namespace mesclun::client {

namespace {

constexpr size_t kDocumentBytesMax = 4 * 1024 * 1024;
constexpr size_t kSetDepthMax = 16;

Result<std::string> read_stream(std::FILE* file, const std::string& name) {
  std::string text;
  char buffer[64 * 1024];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, file)) {
    text.append(buffer, n);
    if (text.size() > kDocumentBytesMax) return Error::invalid(name + ": larger than 4 MiB");
  }
  if (std::ferror(file) != 0) {
    return Error::invalid(fmt::format("cannot read {}: {}", name, std::strerror(errno)));
  }
  return text;
}

// "malformed JSON at byte 17: …" to the line of that byte.
int line_of_json_error(std::string_view text, const std::string& message) {
  constexpr std::string_view kMark = "at byte ";
  const size_t at = message.find(kMark);
  if (at == std::string::npos) return 1;
  const size_t byte = std::strtoul(message.c_str() + at + kMark.size(), nullptr, 10);
  return 1 + static_cast<int>(std::ranges::count(text.substr(0, byte), '\n'));
}

bool is_json(std::string_view name, std::string_view text) {
  if (name.ends_with(".yaml") || name.ends_with(".yml")) return false;
  if (name.ends_with(".json")) return true;
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && (text[first] == '{' || text[first] == '[');
}

// "line 3, column 5: bad" to "group.yaml:3: bad".
Error yaml_error(const std::string& name, const std::string& message) {
  int line = 0;
  int column = 0;
  int used = 0;
  if (std::sscanf(message.c_str(), "line %d, column %d: %n", &line, &column, &used) >= 2 &&
      used > 0) {
    return Error::invalid(fmt::format("{}:{}: malformed YAML: {} (column {})", name, line,
                                      message.substr(static_cast<size_t>(used)), column));
  }
  return Error::invalid(fmt::format("{}: malformed YAML: {}", name, message));
}

// The YAML reader knows members by their plain names; a JSON pointer escapes ~ and /.
std::string unescape_pointer(std::string_view pointer) {
  std::string out;
  for (size_t i = 0; i < pointer.size(); ++i) {
    if (pointer[i] == '~' && i + 1 < pointer.size() &&
        (pointer[i + 1] == '0' || pointer[i + 1] == '1')) {
      out += pointer[++i] == '0' ? '~' : '/';
    } else {
      out += pointer[i];
    }
  }
  return out;
}

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> names(1);
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\' && i + 1 < path.size()) {
      names.back() += path[++i];
    } else if (path[i] == '.') {
      names.emplace_back();
    } else {
      names.back() += path[i];
    }
  }
  return names;
}

json::value read_set_value(const std::vector<std::string>& names, std::string_view text) {
  if (text == "null") return nullptr;
  const bool is_text = names.size() >= 2 && names[names.size() - 2] == "environment_variables";
  if (!is_text) {
    if (auto value = parse_json(text)) return *std::move(value);
  }
  return json::string(text);
}

}  // namespace

Result<std::vector<Document>> parse_documents(const std::string& name, std::string_view text) {
  std::vector<Document> documents;
  if (is_json(name, text)) {
    Result<json::value> value = parse_json(text);
    if (!value) {
      const std::string& message = value.error().message;
      return Error::invalid(
          fmt::format("{}:{}: {}", name, line_of_json_error(text, message), message));
    }
    Document& document = documents.emplace_back(name, *std::move(value));
    // Nearly all JSON is YAML, so the same reader knows the lines.
    if (Result<YamlDocument> yaml = parse_yaml(text)) document.lines = std::move(yaml->lines);
  } else {
    Result<std::vector<YamlDocument>> yaml = parse_yaml_documents(text);
    if (!yaml) return yaml_error(name, yaml.error().message);
    for (YamlDocument& one : *yaml) {
      documents.emplace_back(name, std::move(one.value), std::move(one.lines));
    }
  }
  for (const Document& document : documents) {
    if (document.value.is_object()) continue;
    return Error::invalid(
        fmt::format("{}: must be an object with members such as name and container, not {}",
                    documents.size() > 1 ? locate(document, "") : name,
                    document.value.is_null() ? "empty" : "a single value or a list"));
  }
  return documents;
}

Result<Document> parse_document(const std::string& name, std::string_view text) {
  TRY(std::vector<Document> documents, parse_documents(name, text));
  if (documents.size() > 1) {
    return Error::invalid(
        fmt::format("{}: a second document; only one can be here", locate(documents[1], "")));
  }
  return std::move(documents.front());
}

namespace {

struct NamedText {
  std::string name;
  std::string text;
};

Result<NamedText> read_input(const std::string& path, std::FILE* in) {
  if (path == "-") {
    TRY(std::string text, read_stream(in, "standard input"));
    return NamedText{"standard input", std::move(text)};
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                             &std::fclose);
  if (file == nullptr) {
    return Error::invalid(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  }
  TRY(std::string text, read_stream(file.get(), path));
  return NamedText{path, std::move(text)};
}

}  // namespace

Result<std::vector<Document>> read_documents(const std::string& path, std::FILE* in) {
  TRY(const NamedText input, read_input(path, in));
  return parse_documents(input.name, input.text);
}

Result<Document> read_document(const std::string& path, std::FILE* in) {
  TRY(const NamedText input, read_input(path, in));
  return parse_document(input.name, input.text);
}

std::string locate(const Document& document, std::string_view pointer) {
  std::string path(pointer);
  while (true) {
    for (const std::string& candidate : {path, unescape_pointer(path)}) {
      const auto found = document.lines.find(candidate);
      if (found != document.lines.end()) return fmt::format("{}:{}", document.name, found->second);
    }
    if (path.empty()) return document.name;
    const size_t slash = path.rfind('/');
    path.resize(slash == std::string::npos ? 0 : slash);
  }
}

std::string locate_mistakes(const Document& document, std::string_view detail) {
  std::string out;
  while (!detail.empty()) {
    // A message may hold "; " itself, so only "; /" starts the next mistake.
    const size_t end = detail.find("; /");
    const std::string_view mistake = detail.substr(0, end);
    detail.remove_prefix(end == std::string_view::npos ? detail.size() : end + 2);
    if (!out.empty()) out += '\n';
    const std::string_view pointer =
        mistake.starts_with("/") ? mistake.substr(0, mistake.find(' ')) : std::string_view();
    if (pointer.empty()) {
      out += mistake;
    } else {
      out += fmt::format("{}: {}", locate(document, pointer), mistake);
    }
  }
  return out;
}

std::vector<std::string> unknown_group_members(const Document& document) {
  api::GroupSpec spec;
  JsonProblems problems;
  problems.refuse_unknown_members = true;
  read_json(document.value, spec, JsonPath{}, problems);
  std::vector<std::string> lines;
  for (const JsonProblem& problem : problems.all()) {
    if (problem.message != "is not a known member") continue;
    lines.push_back(fmt::format("{}: {} is not a member that the API knows: it is ignored",
                                locate(document, problem.path), problem.path));
  }
  return lines;
}

Result<> apply_set(json::object& patch, std::string_view assignment) {
  const size_t equals = assignment.find('=');
  const std::string_view path = assignment.substr(0, equals);
  const std::vector<std::string> names = split_path(path);
  const bool bad_path = std::ranges::any_of(names, [](const auto& name) { return name.empty(); });
  if (equals == std::string_view::npos || bad_path || names.size() > kSetDepthMax) {
    return Error::invalid(fmt::format(
        "--set '{}': write PATH=VALUE, such as container.image=nginx:1.27", assignment));
  }
  json::object* at = &patch;
  for (size_t i = 0; i + 1 < names.size(); ++i) {
    json::value& next = (*at)[names[i]];
    if (!next.is_object()) next = json::object();
    at = &next.get_object();
  }
  (*at)[names.back()] = read_set_value(names, assignment.substr(equals + 1));
  return {};
}

}  // namespace mesclun::client
