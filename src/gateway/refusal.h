// Answers that the gateway makes itself (contract: status codes made by the gateway), told from the
// application's by the header X-Gateway-Error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mesclun::gateway {

inline constexpr std::string_view kGatewayErrorHeader = "X-Gateway-Error";
// Follows one request from the client through us to the application, and back with the answer.
inline constexpr std::string_view kRequestIdHeader = "X-Request-Id";

struct Refusal {
  int status = 0;
  std::string_view reason;  // X-Gateway-Error: a constant word such as "no_instance"
  std::string detail;       // what happened to this request, for people
};

// Of more than one place.
inline const Refusal kNoHost{400, "bad_host", "the request names no host"};
inline const Refusal kStarting{503, "starting", "the gateway has not heard from the cloud yet"};

struct RefusalForm {
  bool html = false;     // else a problem object
  bool to_head = false;  // no body
  bool keep_alive = false;
  std::string_view request_id = {};
};

// Whether a client that sends this Accept header would rather read HTML than JSON.
bool prefers_html(std::string_view accept);

// The whole answer, ready to send.
std::string render(const Refusal& refusal, RefusalForm form);
// The same request belongs to https, at `port`. `host` may have another port.
std::string render_redirect(std::string_view host, uint16_t port, std::string_view target,
                            bool keep_alive);

}  // namespace mesclun::gateway
