// The one list of settings: names, ranges and sentences. Reading, checking and help walk over it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "companion/config.h"

namespace mesclun::companion {

// Called for every setting, those of a section before its sections. Names are keys of their
// section.
class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;
  virtual void begin(std::string_view section, std::string_view help) = 0;
  virtual void end() = 0;

  virtual void text(std::string_view name, std::string& value, std::string_view help) = 0;
  virtual void texts(std::string_view name, std::vector<std::string>& value,
                     std::string_view help) = 0;
  virtual void boolean(std::string_view name, bool& value, std::string_view help) = 0;
  virtual void integer(std::string_view name, int& value, int min, int max,
                       std::string_view help) = 0;
  virtual void number(std::string_view name, double& value, double min, double max,
                      std::string_view help) = 0;
  virtual void duration(std::string_view name, Duration& value, Duration min, Duration max,
                        std::string_view help) = 0;
  virtual void bytes(std::string_view name, uint64_t& value, uint64_t min, uint64_t max,
                     std::string_view help) = 0;
  // Where a value is found; `requests_too`: the word "requests" is possible.
  virtual void source(std::string_view name, FieldSource& value, bool requests_too,
                      std::string_view help) = 0;
  virtual void latencies(std::string_view name, std::vector<LatencyCheckConfig>& value,
                         std::string_view help) = 0;
  // One of `words`; `index` is the chosen one's place.
  virtual void word(std::string_view name, size_t& index, std::span<const std::string_view> words,
                    std::string_view help) = 0;

  template <class E, size_t N>
  void choice(std::string_view name, E& value, const std::array<std::string_view, N>& words,
              std::string_view help) {
    auto index = static_cast<size_t>(value);
    word(name, index, words, help);
    value = static_cast<E>(index);
  }
};

void visit_fields(Config& config, FieldVisitor& visitor);

// "header X-Tokens", "json /max_tokens", "requests"; InvalidArgument says what is possible.
Result<FieldSource> parse_field_source(std::string_view text, bool requests_too);
std::string to_string(const FieldSource& source);

// The environment variable of a setting: "front.queue_max" to "MESCLUN_APP_FRONT_QUEUE_MAX".
std::string environment_name(std::string_view path);

}  // namespace mesclun::companion
