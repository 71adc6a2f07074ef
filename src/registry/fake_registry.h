// For tests: what a pull is asked of.
#pragma once

#include <fmt/format.h>

#include "base/crypto.h"
#include "http/server.h"
#include "registry/image_name.h"

namespace mesclun::registry {

// A registry, its token realm and AWS, behind one port of the loopback. It knows one user, u, whose
// password is `password`.
class FakeRegistry {
 public:
  enum class Wants { Nothing, Password, Token };

  FakeRegistry(const asio::any_io_executor& executor, Clock& clock)
      : executor_(executor),
        server_(
            executor, clock, "registry", {},
            [this](HttpRequest request) { return handle(std::move(request)); },
            [](const Error&) { return HttpResponse{.status = 400}; }) {}

  Result<> begin() {
    TRY(Listener listener, Listener::bind(executor_, Endpoint{.host = "127.0.0.1"}));
    address = listener.endpoint().to_string();
    server_.serve(std::move(listener));
    return {};
  }
  Task<void> stop() { return server_.stop(); }
  ImageName image() const { return {.registry = address, .repository = "team/app"}; }

  std::string address;
  Wants wants = Wants::Token;
  std::string password = "right";
  std::vector<std::string> calls;  // "GET /v2/ Basic …"

 private:
  Task<HttpResponse> handle(HttpRequest request) {
    const std::string shown(request.head.headers.find("Authorization").value_or(""));
    calls.push_back(fmt::format("{} {} {}", request.head.method, request.head.target, shown));
    const bool proven = shown == "Basic " + base64("u:" + password);
    HttpResponse response;
    if (request.path() == "/token") {
      response.status = proven ? 200 : 401;
      response.body = R"({"token": "pull-token", "expires_in": 300})";
    } else if (request.path() == "/ecr/") {
      response.body = fmt::format(
          R"({{"authorizationData": [{{"authorizationToken": "{}", "expiresAt": 99999999999}}]}})",
          base64("AWS:from-aws"));
    } else if (wants == Wants::Token || (wants == Wants::Password && !proven)) {
      response.status = 401;
      response.headers.add(
          "WWW-Authenticate",
          wants == Wants::Token
              ? fmt::format(R"(Bearer realm="http://{}/token",service="fake")", address)
              : R"(Basic realm="fake")");
    }
    co_return response;
  }

  asio::any_io_executor executor_;
  HttpServer server_;
};

}  // namespace mesclun::registry
