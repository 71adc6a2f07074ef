// The access log, and the id by which a request is followed.
#include "gateway/access_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/test_folder.h"
#include "gateway/test_world.h"

namespace mesclun::gateway {
namespace {

AccessEntry entry_named(std::string_view id) {
  return {.id = id, .client = "c", .host = "h", .method = "GET", .target = "/\"\n", .status = 200};
}

TEST(AccessLog, ALineIsOneObject) {
  AccessEntry entry = entry_named("7");
  entry.wait = 1500us;
  entry.reason = "no_instance";
  const std::string line = to_json_line(entry);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const json::object read = json::parse(line).as_object();
  EXPECT_EQ(read.at("target"), "/\"\n");
  EXPECT_EQ(read.at("wait_ms").as_double(), 1.5);
  EXPECT_EQ(read.at("gateway_error"), "no_instance");
  EXPECT_FALSE(read.contains("instance"));
}

TEST(AccessLog, AFileThatIsMovedAwayIsMadeAnew) {
  const TestFolder folder;
  const std::string path = folder.path("access.log");
  Result<AccessLog> log = AccessLog::open(path);
  ASSERT_TRUE(log);
  log->add(entry_named("1"));
  log->flush();
  ASSERT_EQ(::rename(path.c_str(), (path + ".1").c_str()), 0);
  log->add(entry_named("2"));
  log->flush();
  EXPECT_NE(read_file(path + ".1")->find("\"id\":\"1\""), std::string::npos);
  EXPECT_NE(read_file(path)->find("\"id\":\"2\""), std::string::npos);
}

TEST(AccessLog, APipeThatNobodyReadsHoldsNothingUp) {
  const TestFolder folder;
  const std::string path = folder.path("pipe");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
  {
    Result<AccessLog> log = AccessLog::open(path);
    ASSERT_TRUE(log);
    for (int i = 0; i < 20'000; ++i) log->add(entry_named("x"));
    EXPECT_GT(log->dropped(), 1000u);
  }
  ::close(reader);
}

TEST(AccessLog, AnImpossiblePathIsAnError) {
  EXPECT_EQ(AccessLog::open("/nowhere/at/all").code(), ErrorCode::InvalidArgument);
}

Task<Result<>> call_twice(TestWorld& world) {
  HttpCall named;
  named.headers.add("X-Request-Id", "mine-1");
  CO_TRY(const HttpReply first, co_await call(world, std::move(named)));
  EXPECT_EQ(first.headers.find("X-Request-Id"), "mine-1");
  EXPECT_NE(first.body.find("X-Request-Id: mine-1"), std::string::npos) << first.body;
  HttpCall bad;
  bad.headers.add("X-Request-Id", "two words");
  CO_TRY(const HttpReply second, co_await call(world, std::move(bad)));
  const std::string made(second.headers.find("X-Request-Id").value_or(""));
  EXPECT_EQ(made.find(' '), std::string::npos);
  EXPECT_NE(second.body.find("X-Request-Id: " + made), std::string::npos) << second.body;
  HttpCall lost;
  lost.headers.add("Host", "g2.example");
  CO_TRY(const HttpReply third, co_await call(world, std::move(lost)));
  EXPECT_EQ(third.status, 503);
  EXPECT_EQ(third.headers.find("Retry-After"), "1");
  co_return Result<>();
}

TEST(AccessLog, ARequestIsFollowedByItsId) {
  const TestFolder folder;
  const std::string path = folder.path("access.log");
  {
    EchoWorld world;
    link::Route empty = make_route(0);
    empty.dns = "g2.example";
    world.set_routes({make_route(1), empty});
    world.gateway.proxy().log_to(*AccessLog::open(path));
    world.run(call_twice(world));
  }
  const std::string text = *read_file(path);
  const size_t end = text.find('\n');
  const json::object first = json::parse(text.substr(0, end)).as_object();
  EXPECT_EQ(first.at("id"), "mine-1");
  EXPECT_EQ(first.at("instance"), "i1");
  EXPECT_EQ(first.at("machine"), "m1");
  EXPECT_EQ(first.at("status"), 200);
  EXPECT_EQ(first.at("tries"), 1);
  EXPECT_EQ(std::ranges::count(text, '\n'), 3);
  const size_t last = text.rfind('\n', text.size() - 2);
  const json::object third = json::parse(text.substr(last + 1)).as_object();
  EXPECT_EQ(third.at("gateway_error"), "no_instance");
}

TEST(AccessLog, HistogramsCountWhatAnswered) {
  EchoWorld world;
  const auto body = [](TestWorld& w) -> Task<Result<>> {
    for (int i = 0; i < 3; ++i) CO_TRY_DO(co_await call(w, {}));
    co_return Result<>();
  };
  world.run(body(world));
  const GroupStats& stats = world.group("g.example").stats;
  for (const Histogram* one : {&stats.wait, &stats.connect, &stats.first_byte, &stats.total}) {
    EXPECT_EQ(one->count(), 3u);
  }
  const std::string text =
      metrics_text(world.gateway.table(), world.gateway.proxy(), world.gateway.hub());
  EXPECT_NE(text.find("mesclun_gateway_answers_total{host=\"g.example\",code=\"200\"} 3\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("total_seconds_count{host=\"g.example\"} 3\n"), std::string::npos);
}

}  // namespace
}  // namespace mesclun::gateway
