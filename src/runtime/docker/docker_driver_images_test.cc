// Which images the Docker driver removes, and when. Needs docker-registry, too.
#include "runtime/docker/docker_driver_test_kit.h"
#include "runtime/docker/images.h"

namespace mesclun::runtime {
namespace {

class DockerImageTest : public DockerTest {
 protected:
  Task<Result<std::unique_ptr<DockerDriver>>> open() {
    co_return co_await DockerDriver::open(loop_.executor(), loop_.clock, settings_);
  }

  Task<Result<>> pull_then_look_again() {
    CO_TRY(const uint16_t port, free_port());
    TestRegistry registry(port);
    const std::string idle = registry.push("idle:1");
    const std::string used = registry.push("used:1");
    const std::string theirs = registry.push("theirs:1");
    const std::string had = registry.push("had:1");
    EXPECT_EQ(TestEngine::docker({"pull", "-q", had}), 0);
    CO_TRY(std::unique_ptr<DockerDriver> driver, co_await open());
    for (const std::string& image : {idle, used, theirs, had}) {
      CO_TRY(const bool here, co_await driver->has_image(image));
      EXPECT_EQ(here, image == had) << image;
      CO_TRY_DO(co_await driver->pull(image, {}, [](double) {}));
    }
    RunSpec lives = spec("sleep 600");
    lives.image = used;
    CO_TRY_DO(co_await driver->create(lives));
    EXPECT_EQ(TestEngine::docker({"create", "--name", "of-the-owner", theirs, "true"}), 0);
    co_await driver->close();
    driver.reset();

    // Its successor keeps nothing.
    settings_.image_cache.age_max = 1ms;
    CO_TRY(driver, co_await open());
    CO_TRY_DO(co_await until_gone(idle));
    EXPECT_TRUE(co_await is_there(used)) << "a run has it";
    EXPECT_TRUE(co_await is_there(had)) << "it was there before";
    EXPECT_TRUE(co_await is_there(theirs)) << "a container of its owner has it";
    EXPECT_EQ(TestEngine::docker({"rm", "of-the-owner"}), 0);
    CO_TRY_DO(co_await until_gone(theirs));
    CO_TRY_DO(co_await driver->stop(lives.instance_id, 0s));
    CO_TRY_DO(co_await driver->remove(lives.instance_id));
    CO_TRY_DO(co_await until_gone(used));
    EXPECT_TRUE(co_await is_there(had));
    co_await driver->close();
    EXPECT_EQ(TestEngine::docker({"rmi", had}), 0);
    co_return Result<>();
  }

  Task<Result<>> end_private_runs() {
    CO_TRY(const uint16_t port, free_port());
    TestRegistry registry(port);
    const std::string secret = registry.push("secret:1");
    const std::string wanted_later = registry.push("wanted-later:1");
    const std::string cached = registry.push("cached:1");
    const std::string everybodys = registry.push("everybodys:1");
    CO_TRY(std::unique_ptr<DockerDriver> driver, co_await open());
    std::vector<std::string> runs;
    for (const std::string& image : {secret, wanted_later, cached, everybodys}) {
      RegistryAccess access{.registry = "127.0.0.1", .user = "ann", .password = "x"};
      if (image == everybodys) access = {};
      CO_TRY_DO(co_await driver->pull(image, std::move(access), [](double) {}));
      RunSpec lives = spec("sleep 600");
      lives.image = image;
      lives.image_caching = image == cached || image == secret;
      CO_TRY_DO(co_await driver->create(lives));
      runs.push_back(lives.instance_id);
    }
    // Their groups change their minds.
    CO_TRY_DO(driver->set_image_caching(runs[0], false));
    CO_TRY_DO(driver->set_image_caching(runs[1], true));
    EXPECT_EQ(driver->set_image_caching("nobody", true).code(), ErrorCode::NotFound);
    for (const std::string& id : runs) {
      CO_TRY_DO(co_await driver->stop(id, 0s));
      CO_TRY_DO(co_await driver->remove(id));
    }
    co_await driver->close();
    driver.reset();

    // What it wrote down is enough for its successor.
    settings_.image_cache.private_age_max = 1ms;
    CO_TRY(driver, co_await open());
    CO_TRY_DO(co_await until_gone(secret));
    for (const std::string& image : {wanted_later, cached, everybodys}) {
      EXPECT_TRUE(co_await is_there(image)) << image;
      EXPECT_EQ(TestEngine::docker({"rmi", image}), 0);
    }
    co_await driver->close();
    co_return Result<>();
  }

 private:
  Result<uint16_t> free_port() {
    TRY(Listener free, Listener::bind(loop_.executor(), {.host = "127.0.0.1"}));
    const uint16_t port = free.endpoint().port;
    free.close();
    return port;
  }
  // Without asking the driver, which would note that it is needed.
  Task<bool> is_there(std::string image) {
    Engine engine(loop_.clock, settings_.engine);
    const Result<json::value> known = co_await inspect_image(engine, image);
    co_return known.has_value();
  }
  Task<Result<>> until_gone(std::string image) {
    const TimePoint end = loop_.clock.now() + kSoon;
    while (co_await is_there(image)) {
      if (loop_.clock.now() > end) co_return Error::deadline(image + " is still there");
      CO_TRY_DO(co_await loop_.clock.sleep_for(50ms));
    }
    co_return Result<>();
  }
};

TEST_F(DockerImageTest, WhatItPulledGoesWhenNobodyNeedsIt) {
  if (::access("/usr/bin/docker-registry", X_OK) != 0) GTEST_SKIP() << "no docker-registry";
  settings_.image_period = 50ms;
  if (!IsSkipped()) loop_.run(pull_then_look_again(), 120s);
}

TEST_F(DockerImageTest, WhatCredentialsBroughtGoesSoonUnlessItsGroupWantsItCached) {
  if (::access("/usr/bin/docker-registry", X_OK) != 0) GTEST_SKIP() << "no docker-registry";
  settings_.image_period = 50ms;
  if (!IsSkipped()) loop_.run(end_private_runs(), 120s);
}

}  // namespace
}  // namespace mesclun::runtime
