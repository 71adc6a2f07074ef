#include "gateway/refusal.h"

#include <fmt/format.h>

#include "api/problem.h"
#include "http/message.h"

namespace mesclun::gateway {

namespace {

struct Meaning {
  int status;
  std::string_view meaning;
  std::string_view advice;
};

constexpr Meaning kMeanings[] = {
    {400, "The request is not valid HTTP.",
     "Check the request line, the Host header and the size of the headers."},
    {403, "This application takes requests with an API key only.",
     "Send the key of a member of the application's organization in the header Salad-Api-Key."},
    {404, "No application is known under this host name.", "Check the spelling of the host name."},
    {408, "The request came too slowly.", "Try again over a faster connection."},
    {410, "The application under this host name was deleted.",
     "Ask its owner for the new address."},
    {413, "The body of the request is larger than the gateway takes.",
     "Put large data into a storage service and send its address."},
    {500, "The gateway failed.", "Try again; if it stays, tell the operator."},
    {501, "The gateway does not support this kind of request.",
     "Use a method and a protocol of HTTP/1.1."},
    {502, "The application's instance could not be reached or broke off.",
     "Try again. If it stays, the application may not listen on its port (on IPv6), or may crash."},
    {503, "No instance of the application can take the request now.",
     "Try again in a while. The application may be starting, stopped, or not ready."},
    {504, "The request waited too long for an instance.",
     "Try again with fewer requests at once, or add instances."},
    {524, "The application did not answer in time.",
     "Make the work shorter than the timeout, or hand it to a job queue."},
};

const Meaning& meaning_of(int status) {
  for (const Meaning& row : kMeanings) {
    if (row.status == status) return row;
  }
  static constexpr Meaning kUnknown{0, "The request failed.", "Try again."};
  return kUnknown;
}

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string html(const Refusal& refusal) {
  const Meaning& row = meaning_of(refusal.status);
  const std::string_view title = http_reason(refusal.status);
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{0} {1}</title>\n"
      "<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:4em auto;padding:0 "
      "1em}}"
      "h1{{font-size:1.4em}}code{{color:#666}}</style></head>\n"
      "<body>\n<h1>{0} {1}</h1>\n<p>{2}</p>\n<p>{3}</p>\n<p><b>What to do:</b> {4}</p>\n"
      "<p><code>{5}</code> &middot; answered by the gateway, not by the application</p>\n</body>\n"
      "</html>\n",
      refusal.status, title, row.meaning, escape(refusal.detail), row.advice, refusal.reason);
}

}  // namespace

bool prefers_html(std::string_view accept) {
  // Browsers name text/html first and say */* last; API clients name neither or JSON.
  const size_t page = accept.find("text/html");
  if (page == std::string_view::npos) return false;
  const size_t data = accept.find("json");
  return data == std::string_view::npos || page < data;
}

std::string render(const Refusal& refusal, RefusalForm form) {
  const std::string body =
      form.html ? html(refusal) : api::problem_json(refusal.reason, refusal.status, refusal.detail);
  ResponseHead head;
  head.status = refusal.status;
  head.headers.add("Content-Type", form.html ? "text/html; charset=utf-8" : api::kProblemMediaType);
  head.headers.add("Content-Length", std::to_string(body.size()));
  head.headers.add("Cache-Control", "no-store");
  head.headers.add(kGatewayErrorHeader, refusal.reason);
  // Soon enough for a place to be free or another machine to be found, late enough not to pile up.
  if (refusal.status == 503) head.headers.add("Retry-After", "1");
  if (!form.request_id.empty()) head.headers.add(kRequestIdHeader, form.request_id);
  if (!form.keep_alive) head.headers.add("Connection", "close");
  std::string out;
  write_head(head, out);
  if (!form.to_head) out += body;
  return out;
}

std::string render_redirect(std::string_view host, uint16_t port, std::string_view target,
                            bool keep_alive) {
  // Not a colon within the brackets of an address.
  const size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos) {
    host = host.substr(0, colon);
  }
  ResponseHead head;
  head.status = 308;
  head.headers.add("Location",
                   fmt::format("https://{}{}{}", host, port == 443 ? "" : fmt::format(":{}", port),
                               target.starts_with('/') ? target : "/"));
  head.headers.add("Content-Length", "0");
  head.headers.add(kGatewayErrorHeader, "https_only");
  if (!keep_alive) head.headers.add("Connection", "close");
  std::string out;
  write_head(head, out);
  return out;
}

}  // namespace mesclun::gateway
