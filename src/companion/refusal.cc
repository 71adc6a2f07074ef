#include "companion/refusal.h"

#include "base/json.h"

namespace mesclun::companion {

namespace {

void append_answer(ResponseHead head, std::string_view body, bool keep_alive, bool to_head,
                   std::string& out) {
  head.headers.add("Content-Length", std::to_string(body.size()));
  if (!keep_alive) head.headers.add("Connection", "close");
  write_head(head, out);
  if (!to_head) out += body;
}

}  // namespace

Refusal application_refusal(const Error& error, const FrontConfig& config) {
  const std::string text = "the application did not answer: " + error.message;
  if (error.code == ErrorCode::DeadlineExceeded) {
    return {config.timeout_status, "deadline", text, {}};
  }
  if (error.code == ErrorCode::Unavailable) return {502, "application_unreachable", text, {}};
  return {502, "application_bad_answer", text, {}};
}

void append_refusal(const Refusal& refusal, bool keep_alive, bool to_head, std::string& out) {
  ResponseHead head;
  head.status = refusal.status;
  head.headers.add("Content-Type", "application/json");
  head.headers.add("X-Mesclun-App", refusal.code);
  if (refusal.retry_after) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*refusal.retry_after).count();
    head.headers.add("Retry-After", std::to_string(std::max<int64_t>(1, seconds)));
  }
  const json::object error{{"code", refusal.code}, {"message", refusal.message}};
  append_answer(std::move(head), json::serialize(json::object{{"error", error}}), keep_alive,
                to_head, out);
}

void append_page(int status, std::string_view content_type, std::string_view body, bool keep_alive,
                 bool to_head, std::string& out) {
  ResponseHead head;
  head.status = status;
  head.headers.add("Content-Type", content_type);
  head.headers.add("Cache-Control", "no-store");
  append_answer(std::move(head), body, keep_alive, to_head, out);
}

}  // namespace mesclun::companion
