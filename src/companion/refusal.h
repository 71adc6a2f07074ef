// Answers of the front itself.
#pragma once

#include <optional>
#include <string>

#include "companion/config.h"
#include "http/message.h"

namespace mesclun::companion {

struct Refusal {
  int status = 503;
  std::string code;     // X-Mesclun-App, for programs
  std::string message;  // for people
  std::optional<Duration> retry_after;
};

// What a caller is told when the application gave no answer.
Refusal application_refusal(const Error& error, const FrontConfig& config);

// Appends a whole answer with an application/json body.
void append_refusal(const Refusal& refusal, bool keep_alive, bool to_head, std::string& out);
// The same for a page about the companion itself, which nobody may cache.
void append_page(int status, std::string_view content_type, std::string_view body, bool keep_alive,
                 bool to_head, std::string& out);

}  // namespace mesclun::companion
