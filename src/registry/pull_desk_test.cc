#include "registry/pull_desk.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/test_loop.h"
#include "registry/fake_registry.h"

namespace mesclun::registry {
namespace {

using testing::HasSubstr;

struct World {
  explicit World(RealLoop& loop, PullAccessSettings settings = {.private_addresses = true})
      : registry(loop.executor(), loop.clock),
        desk(loop.executor(), loop.clock, std::move(settings)) {}

  Task<Result<PullAccess>> ask(std::string password, ImageName image,
                               api::RegistryKind kind = api::RegistryKind::Basic) {
    api::RegistryAuthentication login{.kind = kind, .user = "u", .secret = std::move(password)};
    co_return co_await desk.access("customer", std::move(image), std::move(login));
  }
  Task<Result<>> end() {
    co_await desk.stop();
    co_await registry.stop();
    co_return Result<>();
  }

  FakeRegistry registry;
  PullDesk desk;
};

Task<Result<>> token_cases(World& world) {
  CO_TRY_DO(world.registry.begin());
  const ImageName image = world.registry.image();
  CO_TRY(const PullAccess access, co_await world.ask("right", image));
  EXPECT_EQ(access.kind, PullAccess::Kind::Token);
  EXPECT_EQ(access.secret, "pull-token");
  EXPECT_EQ(world.registry.calls.size(), 2u);
  if (world.registry.calls.size() == 2) {
    EXPECT_EQ(world.registry.calls[0], "GET /v2/ ");
    EXPECT_THAT(world.registry.calls[1],
                HasSubstr("/token?service=fake&scope=repository%3Ateam%2Fapp%3Apull Basic"));
  }
  CO_TRY(const PullAccess again, co_await world.ask("right", image));
  EXPECT_EQ(again.secret, "pull-token");
  EXPECT_EQ(world.registry.calls.size(), 2u) << "it is kept";

  const auto wrong = co_await world.ask("wrong", image);
  EXPECT_EQ(wrong.code(), ErrorCode::PermissionDenied);
  EXPECT_EQ(world.registry.calls.size(), 4u) << "other credentials are another question";
  co_return co_await world.end();
}

TEST(PullDesk, CredentialsBecomeATokenForOneRepository) {
  RealLoop loop;
  World world(loop);
  loop.run(token_cases(world));
}

Task<Result<>> password_cases(World& world) {
  CO_TRY_DO(world.registry.begin());
  world.registry.wants = FakeRegistry::Wants::Password;
  CO_TRY(const PullAccess access, co_await world.ask("right", world.registry.image()));
  EXPECT_EQ(access.kind, PullAccess::Kind::Password);
  EXPECT_EQ(access.user, "u");
  EXPECT_EQ(access.secret, "right");
  const auto wrong = co_await world.ask("wrong", world.registry.image());
  EXPECT_EQ(wrong.code(), ErrorCode::PermissionDenied);

  world.registry.wants = FakeRegistry::Wants::Nothing;
  ImageName other = world.registry.image();
  other.repository = "team/open";
  CO_TRY(const PullAccess open, co_await world.ask("right", std::move(other)));
  EXPECT_EQ(open.kind, PullAccess::Kind::Nothing) << "no password leaves where none is wanted";
  EXPECT_EQ(open.secret, "");
  co_return co_await world.end();
}

TEST(PullDesk, APasswordLeavesOnlyWhereTheRegistryKnowsNothingLess) {
  RealLoop loop;
  World world(loop);
  loop.run(password_cases(world));
}

Task<Result<>> one_of_many(World& world, size_t& answered) {
  CO_TRY(const PullAccess access, co_await world.ask("right", world.registry.image()));
  if (access.secret == "pull-token") ++answered;
  co_return Result<>();
}

Task<Result<>> many_at_once(World& world, const asio::any_io_executor& executor) {
  CO_TRY_DO(world.registry.begin());
  size_t answered = 0;
  Scope scope(executor, "askers");
  for (int i = 0; i < 100; ++i) scope.spawn(one_of_many(world, answered));
  co_await scope.drain();
  EXPECT_EQ(answered, 100u);
  EXPECT_EQ(world.registry.calls.size(), 2u);
  co_return co_await world.end();
}

TEST(PullDesk, AHundredAskersAreOneQuestion) {
  RealLoop loop;
  World world(loop);
  loop.run(many_at_once(world, loop.executor()));
}

Task<Result<>> closed_cases(World& world) {
  CO_TRY_DO(world.registry.begin());
  const auto here = co_await world.ask("right", world.registry.image());
  EXPECT_EQ(here.code(), ErrorCode::PermissionDenied);
  EXPECT_TRUE(world.registry.calls.empty());
  co_return co_await world.end();
}

TEST(PullDesk, NoTenantSendsTheCloudIntoItsOwnNetwork) {
  RealLoop loop;
  World world(loop, {});
  loop.run(closed_cases(world));
}

Task<Result<>> ecr_cases(RealLoop& loop) {
  World server(loop);
  CO_TRY_DO(server.registry.begin());
  PullAccessSettings settings{.private_addresses = true};
  CO_TRY(settings.ecr, parse_http_url(fmt::format("http://{}/ecr/", server.registry.address)));
  World world(loop, std::move(settings));
  ImageName image{.registry = "1.dkr.ecr.eu-west-1.amazonaws.com", .repository = "team/app"};
  CO_TRY(const PullAccess access,
         co_await world.ask("key", std::move(image), api::RegistryKind::AwsEcr));
  EXPECT_EQ(access.kind, PullAccess::Kind::Password);
  EXPECT_EQ(access.user, "AWS");
  EXPECT_EQ(access.secret, "from-aws");
  EXPECT_EQ(server.registry.calls.size(), 1u);
  if (!server.registry.calls.empty()) {
    EXPECT_THAT(server.registry.calls[0], HasSubstr("/eu-west-1/ecr/aws4_request"));
  }
  CO_TRY_DO(co_await world.end());
  co_return co_await server.end();
}

TEST(PullDesk, AwsIsAskedForAPasswordOfHours) {
  RealLoop loop;
  loop.run(ecr_cases(loop));
}

// Answers nobody, so that questions stay out.
Task<Result<>> swallow(Listener& listener, Clock& clock) {
  std::vector<ConnPtr> held;
  while (true) {
    CO_TRY(ConnPtr conn, co_await listener.accept(clock));
    held.push_back(std::move(conn));
  }
}

Task<Result<>> question(World& world, std::string customer, ImageName image, int& refused) {
  api::RegistryAuthentication login{.user = "u", .secret = "p"};
  const auto answer =
      co_await world.desk.access(std::move(customer), std::move(image), std::move(login));
  if (answer.code() == ErrorCode::ResourceExhausted) ++refused;
  co_return Result<>();
}

Task<Result<>> bound_cases(World& world, RealLoop& loop) {
  const Endpoint any{.host = "127.0.0.1"};
  CO_TRY(Listener silent, Listener::bind(loop.executor(), any));
  Scope scope(loop.executor(), "askers");
  scope.spawn(swallow(silent, loop.clock));
  int refused = 0;
  for (size_t i = 0; i < PullDesk::kQuestionsOfCustomerMax + 3; ++i) {
    ImageName image{.registry = silent.endpoint().to_string(), .repository = fmt::format("a{}", i)};
    scope.spawn(question(world, "greedy", std::move(image), refused));
  }
  while (refused < 3) CO_TRY_DO(co_await loop.clock.sleep_for(1ms));
  CO_TRY_DO(world.registry.begin());
  CO_TRY(const PullAccess access, co_await world.ask("right", world.registry.image()));
  EXPECT_EQ(access.secret, "pull-token") << "others are served meanwhile";
  EXPECT_EQ(refused, 3);
  CO_TRY_DO(co_await world.end());
  co_await scope.stop();
  co_return Result<>();
}

TEST(PullDesk, SilentRegistriesOfOneCustomerKeepNobodyElse) {
  RealLoop loop;
  World world(loop);
  loop.run(bound_cases(world, loop));
}

}  // namespace
}  // namespace mesclun::registry
