// The front between callers and an application, under virtual time: both are coroutines at the ends
// of pipes in memory, so that seconds of waiting are exact and cost nothing. For tests.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/race.h"
#include "base/test_loop.h"
#include "companion/front_server.h"
#include "http/server.h"

namespace mesclun::companion {

struct Answer {
  int status = 0;
  HeaderList headers;
  std::string body;
  TimePoint at{};
};

class FrontTest : public ::testing::Test, public FrontObserver {
 protected:
  void SetUp() override {
    config.front.listen = ":0";
    config.application.address = "127.0.0.1:1";
  }
  void TearDown() override { loop.run(stop()); }

  // Everything is there from the second 0 on.
  void start() {
    judge.emplace(config.application);
    judge->started(loop.clock.now());
    link.emplace(loop.clock, [this](Duration) { return dial_application(); }, "app");
    FrontObserver& observer = *this;
    front.emplace(loop.executor(), loop.clock, random, config, *link, *judge, observer);
    pages.emplace(loop.clock, config, *judge, &*front, [] { return MonitorStatus{}; });
    server.emplace(loop.executor(), *front, *pages);
  }
  Task<Result<>> stop_front() {
    co_await front->stop();
    co_await server->stop();
    co_return Result<>();
  }
  Task<Result<>> stop() {
    if (front) CO_TRY_DO(co_await stop_front());
    co_await application_tasks.stop();
    co_return Result<>();
  }

  // The application's end of a new connection.
  Task<Result<ConnPtr>> dial_application() {
    auto [ours, its] = memory_conn_pair(loop.executor(), loop.clock);
    auto handler = [this](HttpRequest request) { return application(std::move(request)); };
    application_tasks.spawn(serve_http(std::move(its), loop.clock, HttpLimits{}, std::move(handler),
                                       [](const Error&) { return HttpResponse{.status = 500}; }));
    ++dials;
    ConnPtr conn = std::move(ours);
    co_return conn;
  }

  // Squares numbers, singly or in batches; `work` for each call.
  virtual Task<HttpResponse> application(HttpRequest request) {
    ++calls;
    most_at_once = std::max(most_at_once, ++at_once);
    const Result<> slept = co_await loop.clock.sleep_for(work);
    --at_once;
    HttpResponse response;
    if (!slept) co_return response;
    response.headers.add("Content-Type", "application/json");
    if (always_status != 200) {
      response.status = always_status;
      co_return response;
    }
    if (status_of_next != 200) {
      response.status = std::exchange(status_of_next, 200);
      co_return response;
    }
    const json::value body = *parse_json(request.body);
    if (request.path() != "/batch") {
      response.body = square(body);
      co_return response;
    }
    batch_sizes.push_back(body.at("items").as_array().size());
    std::string items;
    for (const json::value& item : body.at("items").as_array()) {
      const int64_t n = item.at("body").at("data").as_int64();
      last_path = item.at("path").as_string();
      if (n == poison && (poison_fails_alone || body.at("items").as_array().size() > 1)) {
        response.status = 500;
        co_return response;
      }
      if (n == left_out) continue;
      items += fmt::format(
          "{}{{\"id\":{},\"status\":{},\"body\":{}}}", items.empty() ? "" : ",",
          json::serialize(item.at("id")), n == bad_item ? 422 : 200,
          n == large ? "\"" + std::string(1'000'000, 'x') + "\"" : square(item.at("body")));
    }
    response.body = "{\"items\":[" + items + "]}";
    co_return response;
  }
  static std::string square(const json::value& body) {
    const int64_t n = body.at("data").as_int64();
    return fmt::format("{{\"result\":{}}}", n * n);
  }

  ConnPtr connect() {
    auto [ours, its] = memory_conn_pair(loop.executor(), loop.clock);
    server->accept(std::move(its));
    return std::move(ours);
  }

  Task<Result<Answer>> call(HttpCall call) {
    const ConnPtr conn = connect();
    bool keep_alive = false;
    CO_TRY(HttpReply reply,
           co_await http_call(*conn, std::move(call), "front", 1 << 20, keep_alive));
    Answer answer{reply.status, std::move(reply.headers), std::move(reply.body), loop.clock.now()};
    co_return answer;
  }
  static HttpCall predict(int64_t n) {
    HttpCall call{
        .method = "POST", .target = "/predict", .body = fmt::format("{{\"data\":{}}}", n)};
    call.headers.add("Content-Type", "application/json");
    return call;
  }

  // Sends and notes the answer at its number; a call that fails notes status -1.
  Task<Result<>> send(HttpCall request, Duration after, Answer& out) {
    CO_TRY_DO(co_await loop.clock.sleep_for(after));
    Result<Answer> answer = co_await call(std::move(request));
    out = answer ? std::move(*answer) : Answer{.status = -1};
    co_return Result<>();
  }
  void spawn(HttpCall request, Duration after, Answer& out) {
    callers.spawn(send(std::move(request), after, out));
  }
  Task<Result<>> all_answered() {
    co_await callers.drain();
    co_return Result<>();
  }
  void run() { loop.run(all_answered()); }

  void finished(TimePoint, TimePoint, double w) override { observed_work += w; }

  VirtualLoop loop;
  SeededRandom random{1};
  Config config;
  std::optional<HealthJudge> judge;
  std::optional<ApplicationLink> link;
  std::optional<Front> front;
  std::optional<StatusPages> pages;
  std::optional<FrontServer> server;
  Scope application_tasks{loop.executor(), "application"};
  Scope callers{loop.executor(), "callers"};

  Duration work = 2s;
  int64_t poison = -1;
  bool poison_fails_alone = false;
  std::string last_path;
  int always_status = 200;
  int64_t left_out = -1;
  int64_t large = -1;  // has an answer of a megabyte
  int64_t bad_item = -1;
  int status_of_next = 200;
  int dials = 0;
  int calls = 0;
  int at_once = 0;
  int most_at_once = 0;
  std::vector<size_t> batch_sizes;
  double observed_work = 0;
};

}  // namespace mesclun::companion
