#include <fmt/format.h>
#include <gmock/gmock.h>

#include "agent/agent_test_kit.h"
#include "agent/probe_runner.h"
#include "base/test_certificate.h"
#include "base/tls_server.h"
#include "companion/grpc_health.h"

namespace mesclun::agent {
namespace {

api::Probe make_probe() {
  api::Probe probe{.initial_delay_seconds = 0,
                   .period_seconds = 1,
                   .timeout_seconds = 1,
                   .success_threshold = 1,
                   .failure_threshold = 1};
  probe.exec = api::ProbeExec{{"check"}};
  return probe;
}

class ProbeRunner : public testing::Test {
 protected:
  ProbeOutcome ask_application(runtime::ContainerDriver& application, const api::Probe& probe) {
    ProbeOutcome outcome;
    auto body = [](runtime::ContainerDriver& d, Clock& clock, api::Probe asked,
                   ProbeOutcome& out) -> Task<Result<>> {
      CO_TRY(out, co_await run_probe(d, clock, "i", std::move(asked), true));
      co_return Result<>();
    };
    loop.run(body(application, loop.clock, probe, outcome));
    return outcome;
  }
  void end(runtime::ContainerDriver& application) {
    auto body = [](runtime::ContainerDriver& ending) -> Task<Result<>> {
      co_await ending.close();
      co_return Result<>();
    };
    loop.run(body(application));
  }
  Task<Result<>> begin(runtime::FakeRun behaviour) {
    driver.set_script([behaviour](const runtime::RunSpec&, Random&) { return behaviour; });
    runtime::RunSpec spec{.instance_id = "i"};
    CO_TRY_DO(co_await driver.create(std::move(spec)));
    co_return co_await driver.start("i");
  }
  ProbeOutcome run(api::Probe probe) {
    ProbeOutcome out;
    loop.run(run_into(std::move(probe), out));
    return out;
  }
  Task<Result<>> run_into(api::Probe probe, ProbeOutcome& out) {
    CO_TRY(out, co_await run_probe(driver, loop.clock, "i", std::move(probe), true));
    co_return Result<>();
  }
  Task<Result<>> close() {
    co_await driver.close();
    co_return Result<>();
  }
  void TearDown() override { loop.run(close()); }

  static api::Probe http_probe() {
    api::Probe probe = make_probe();
    probe.timeout_seconds = 2;
    probe.exec.reset();
    probe.http = api::ProbeHttp{.path = "/health", .port = 8000, .headers = {{"X-Key", "k"}}};
    return probe;
  }

  VirtualLoop loop;
  SeededRandom random{1};
  runtime::FakeDriver driver{loop.executor(), loop.clock, random};
};

TEST_F(ProbeRunner, HttpPassesFrom200To399) {
  loop.run(begin({}));
  for (int status : {200, 302, 399, 400, 503}) {
    driver.set_application([status](const std::string&, const HttpRequest& request) {
      EXPECT_EQ(request.head.target, "/health");
      EXPECT_EQ(request.head.headers.find("x-key"), "k");
      HttpResponse response;
      response.status = status;
      return response;
    });
    const ProbeOutcome outcome = run(http_probe());
    EXPECT_EQ(outcome.passed, status < 400) << status;
    EXPECT_EQ(outcome.detail, fmt::format("HTTP {} from :8000/health", status));
  }
}

TEST_F(ProbeRunner, APageOfAnySizePasses) {
  loop.run(begin({}));
  driver.set_application([](const std::string&, const HttpRequest&) {
    HttpResponse response;
    response.body = std::string(3'000'000, 'x');
    return response;
  });
  EXPECT_TRUE(run(http_probe()).passed);
}

TEST_F(ProbeRunner, NobodyListeningFailsWithTheReason) {
  loop.run(begin({.ready_after = 10s}));
  const ProbeOutcome outcome = run(http_probe());
  EXPECT_FALSE(outcome.passed);
  EXPECT_EQ(outcome.detail, "connection refused");
}

// A driver whose one application is a function of the connection.
class FakeApplication : public runtime::ContainerDriver {
 public:
  explicit FakeApplication(VirtualLoop& loop)
      : loop_(loop), scope_(loop.executor(), "application") {}
  Task<void> close() override { co_await scope_.stop(); }
  runtime::DriverFacts facts() const override { return {}; }
  Task<Result<std::vector<runtime::RunInfo>>> list() override {
    co_return std::vector<runtime::RunInfo>();
  }
  Task<Result<>> create(runtime::RunSpec) override { co_return Result<>(); }
  Result<std::optional<Listener>> metadata_listener(const std::string&) override {
    return std::optional<Listener>();
  }
  Task<Result<>> start(std::string) override { co_return Result<>(); }
  Task<Result<>> set_limits(std::string, runtime::RunLimits) override { co_return Result<>(); }
  Task<Result<runtime::RunExit>> wait(std::string) override { co_return Error::not_found("x"); }
  Task<Result<>> stop(std::string, Duration) override { co_return Result<>(); }
  Task<Result<>> remove(std::string) override { co_return Result<>(); }
  Task<Result<ConnPtr>> connect(std::string, uint16_t, bool, Duration) override {
    auto [ours, theirs] = memory_conn_pair(loop_.executor(), loop_.clock);
    scope_.spawn(serve(std::move(theirs)));
    co_return std::move(ours);
  }
  Task<Result<int32_t>> exec(std::string, std::vector<std::string>, Duration) override {
    co_return 0;
  }
  Task<Result<std::vector<runtime::LogChunk>>> read_log(std::string, size_t) override {
    co_return std::vector<runtime::LogChunk>();
  }

 protected:
  virtual Task<Result<>> serve(ConnPtr conn) = 0;
  Clock& clock() { return loop_.clock; }

 private:
  VirtualLoop& loop_;
  Scope scope_;
};

// Speaks TLS with a certificate of its own making, for a name that nobody asks for.
class TlsApplication final : public FakeApplication {
 public:
  explicit TlsApplication(VirtualLoop& loop) : FakeApplication(loop) {}
  int status = 200;
  bool plain = false;

 private:
  Task<Result<>> serve(ConnPtr conn) override {
    if (!plain) {
      CO_TRY(conn, co_await tls_server(std::move(conn), own_.certificate_pem, own_.key_pem, clock(),
                                       10s));
    }
    auto handler = [this](HttpRequest) -> Task<HttpResponse> {
      HttpResponse response;
      response.status = status;
      co_return response;
    };
    co_return co_await serve_http(std::move(conn), clock(), HttpLimits{}, std::move(handler),
                                  [](const Error&) { return HttpResponse{.status = 400}; });
  }

  const TestCertificate own_ = make_test_certificate("DNS:elsewhere.example");
};

TEST_F(ProbeRunner, HttpsIsCarriedOutWithWhateverCertificate) {
  TlsApplication application(loop);
  api::Probe probe = http_probe();
  probe.http->scheme.emplace(api::ProbeScheme::Https);
  const auto ask = [&] { return ask_application(application, probe); };
  EXPECT_TRUE(ask().passed) << ask().detail;
  EXPECT_EQ(ask().detail, "HTTP 200 from :8000/health");
  probe.http->headers.push_back({"Host", "app.example:8443"});
  EXPECT_TRUE(ask().passed);
  application.status = 503;
  EXPECT_FALSE(ask().passed);
  EXPECT_EQ(ask().detail, "HTTP 503 from :8000/health");
  application.status = 200;
  application.plain = true;
  EXPECT_FALSE(ask().passed) << "it speaks no TLS";
  end(application);
}

// The companion's health over gRPC is the server here.
class GrpcApplication final : public FakeApplication {
 public:
  explicit GrpcApplication(VirtualLoop& loop) : FakeApplication(loop) {}
  companion::Health health = companion::Health::Ready;

 private:
  Task<Result<>> serve(ConnPtr conn) override {
    return companion::serve_grpc_health(
        std::move(conn), clock(), [this] { return companion::HealthVerdict{.health = health}; });
  }
};

TEST_F(ProbeRunner, GrpcPassesWhileTheServiceIsServing) {
  GrpcApplication application(loop);
  api::Probe probe = http_probe();
  probe.http.reset();
  probe.grpc = api::ProbeGrpc{.port = 8000, .service = "ready"};
  const auto ask = [&] { return ask_application(application, probe); };
  EXPECT_TRUE(ask().passed) << ask().detail;
  EXPECT_EQ(ask().detail, "gRPC health SERVING from :8000");
  application.health = companion::Health::Busy;
  EXPECT_EQ(ask().detail, "gRPC health NOT_SERVING from :8000");
  EXPECT_FALSE(ask().passed);
  probe.grpc->service = "";
  EXPECT_TRUE(ask().passed) << "alive";
  probe.grpc->service = std::string(300, 'x');
  EXPECT_EQ(ask().detail, "gRPC health gRPC status 5 from :8000");
  TlsApplication http(loop);
  http.plain = true;
  EXPECT_FALSE(ask_application(http, probe).passed) << "it speaks no HTTP/2";
  end(application);
  end(http);
}

TEST_F(ProbeRunner, TcpPassesWhenItConnects) {
  loop.run(begin({}));
  api::Probe probe = make_probe();
  probe.exec.reset();
  probe.tcp = api::ProbeTcp{.port = 9000};
  EXPECT_TRUE(run(probe).passed);
  driver.set_healthy("i", false);
  EXPECT_FALSE(run(probe).passed);
}

TEST_F(ProbeRunner, ExecPassesOnStatusZero) {
  loop.run(begin({}));
  EXPECT_TRUE(run(make_probe()).passed);
  driver.set_healthy("i", false);
  const ProbeOutcome outcome = run(make_probe());
  EXPECT_FALSE(outcome.passed);
  EXPECT_EQ(outcome.detail, "check exited with 1");
}

// A driver whose application takes connections and never answers.
TEST_F(ProbeRunner, ASlowAnswerFailsAtTheTimeout) {
  class Silent final : public runtime::ContainerDriver {
   public:
    explicit Silent(VirtualLoop& loop) : loop_(loop) {}
    Task<void> close() override { co_return; }
    runtime::DriverFacts facts() const override { return {}; }
    Task<Result<std::vector<runtime::RunInfo>>> list() override {
      co_return std::vector<runtime::RunInfo>();
    }
    Task<Result<>> create(runtime::RunSpec) override { co_return Result<>(); }
    Result<std::optional<Listener>> metadata_listener(const std::string&) override {
      return std::optional<Listener>();
    }
    Task<Result<>> start(std::string) override { co_return Result<>(); }
    Task<Result<>> set_limits(std::string, runtime::RunLimits) override { co_return Result<>(); }
    Task<Result<runtime::RunExit>> wait(std::string) override { co_return Error::not_found("x"); }
    Task<Result<>> stop(std::string, Duration) override { co_return Result<>(); }
    Task<Result<>> remove(std::string) override { co_return Result<>(); }
    Task<Result<ConnPtr>> connect(std::string, uint16_t, bool, Duration) override {
      auto [ours, theirs] = memory_conn_pair(loop_.executor(), loop_.clock);
      theirs_ = std::move(theirs);
      co_return std::move(ours);
    }
    Task<Result<int32_t>> exec(std::string, std::vector<std::string>, Duration) override {
      co_return 0;
    }
    Task<Result<std::vector<runtime::LogChunk>>> read_log(std::string, size_t) override {
      co_return std::vector<runtime::LogChunk>();
    }

   private:
    VirtualLoop& loop_;
    ConnPtr theirs_;
  };
  Silent silent(loop);
  ProbeOutcome outcome;
  const TimePoint before = loop.clock.now();
  auto body = [](runtime::ContainerDriver& d, Clock& clock, api::Probe probe,
                 ProbeOutcome& out) -> Task<Result<>> {
    CO_TRY(out, co_await run_probe(d, clock, "i", std::move(probe), false));
    co_return Result<>();
  };
  loop.run(body(silent, loop.clock, http_probe(), outcome));
  EXPECT_FALSE(outcome.passed);
  EXPECT_EQ(outcome.detail, "no answer within 2 s");
  EXPECT_EQ(loop.clock.now() - before, 2s);
}

}  // namespace
}  // namespace mesclun::agent
