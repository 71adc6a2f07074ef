#include "base/units.h"
#include "companion/config_fields.h"
#include "companion/config_reader.h"

namespace mesclun::companion {

namespace {

// Prints what it visits, one setting a paragraph.
class SettingsPrinter final : public FieldVisitor {
 public:
  std::string out;

  void begin(std::string_view section, std::string_view help) override {
    path_.emplace_back(section);
    out += fmt::format("\n{}: {}\n", fmt::join(path_, "."), help);
  }
  void end() override { path_.pop_back(); }

  void text(std::string_view name, std::string& value, std::string_view help) override {
    print(name, "text", fmt::format("\"{}\"", value), help);
  }
  void texts(std::string_view name, std::vector<std::string>&, std::string_view help) override {
    print(name, "list of texts", "[]", help);
  }
  void boolean(std::string_view name, bool& value, std::string_view help) override {
    print(name, "true|false", fmt::format("{}", value), help);
  }
  void integer(std::string_view name, int& value, int min, int max,
               std::string_view help) override {
    print(name, fmt::format("{}..{}", min, max), fmt::format("{}", value), help);
  }
  void number(std::string_view name, double& value, double min, double max,
              std::string_view help) override {
    print(name, fmt::format("{}..{}", min, max), fmt::format("{}", value), help);
  }
  void duration(std::string_view name, Duration& value, Duration min, Duration max,
                std::string_view help) override {
    print(name, fmt::format("{}..{}", format_duration(min), format_duration(max)),
          format_duration(value), help);
  }
  void bytes(std::string_view name, uint64_t& value, uint64_t min, uint64_t max,
             std::string_view help) override {
    print(name, fmt::format("{}..{}", format_bytes(min), format_bytes(max)), format_bytes(value),
          help);
  }
  void source(std::string_view name, FieldSource&, bool requests_too,
              std::string_view help) override {
    print(name,
          requests_too ? "\"header NAME\", \"json /POINTER\" or \"requests\""
                       : "\"header NAME\" or \"json /POINTER\"",
          "\"\"", help);
  }
  void latencies(std::string_view name, std::vector<LatencyCheckConfig>&,
                 std::string_view help) override {
    print(name, "list", "[]", help);
  }
  void word(std::string_view name, size_t& index, std::span<const std::string_view> words,
            std::string_view help) override {
    print(name, fmt::format("{}", fmt::join(words, "|")), std::string(words[index]), help);
  }

 private:
  void print(std::string_view name, std::string_view type, std::string value,
             std::string_view help) {
    const std::string path = fmt::format("{}.{}", fmt::join(path_, "."), name);
    out +=
        fmt::format("  {}  {}  default {}\n      ${}\n", name, type, value, environment_name(path));
    if (!help.empty()) out += fmt::format("      {}\n", help);
  }

  std::vector<std::string> path_;
};

}  // namespace

std::string describe_settings() {
  Config config;
  SettingsPrinter printer;
  visit_fields(config, printer);
  return printer.out.substr(1);
}

}  // namespace mesclun::companion
