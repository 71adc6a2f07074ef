// Which right is asked for and shown, under virtual time, over a driver that only pulls.
#include "agent/image_fetch.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/test_loop.h"
#include "runtime/fake_driver.h"

namespace mesclun::agent {
namespace {

using runtime::RegistryAccess;
using testing::ElementsAre;
using testing::HasSubstr;

// Has what was pulled; pulls what the script lets it.
class PullingDriver final : public runtime::ContainerDriver {
 public:
  PullingDriver(const asio::any_io_executor& executor, Clock& clock, Random& random)
      : clock_(clock), rest_(executor, clock, random) {}

  std::set<std::string> images;
  Duration takes = 1s;
  std::function<Result<>(const RegistryAccess&)> script = [](const RegistryAccess&) {
    return Result<>();
  };
  std::vector<std::string> shown;  // of each pull
  std::optional<Error> trouble;    // when it is asked what it has

  Task<Result<bool>> has_image(std::string image) override {
    if (trouble) co_return *trouble;
    co_return images.contains(image);
  }
  Task<Result<>> pull(std::string image, RegistryAccess access,
                      std::function<void(double)>) override {
    shown.push_back(access.token.empty() ? fmt::format("{}:{}", access.user, access.password)
                                         : access.token);
    CO_TRY_DO(co_await clock_.sleep_for(takes));
    const Result<> pulled = script(access);
    if (pulled) images.insert(image);
    co_return pulled;
  }

  Task<void> close() override { return rest_.close(); }
  runtime::DriverFacts facts() const override { return rest_.facts(); }
  Task<Result<std::vector<runtime::RunInfo>>> list() override { return rest_.list(); }
  Task<Result<>> create(runtime::RunSpec spec) override { return rest_.create(std::move(spec)); }
  Result<std::optional<Listener>> metadata_listener(const std::string& id) override {
    return rest_.metadata_listener(id);
  }
  Task<Result<>> start(std::string id) override { return rest_.start(std::move(id)); }
  Task<Result<>> set_limits(std::string id, runtime::RunLimits limits) override {
    return rest_.set_limits(std::move(id), limits);
  }
  Task<Result<runtime::RunExit>> wait(std::string id) override { return rest_.wait(std::move(id)); }
  Task<Result<>> stop(std::string id, Duration grace) override {
    return rest_.stop(std::move(id), grace);
  }
  Task<Result<>> remove(std::string id) override { return rest_.remove(std::move(id)); }
  Task<Result<ConnPtr>> connect(std::string id, uint16_t port, bool v6, Duration limit) override {
    return rest_.connect(std::move(id), port, v6, limit);
  }
  Task<Result<int32_t>> exec(std::string id, std::vector<std::string> command,
                             Duration limit) override {
    return rest_.exec(std::move(id), std::move(command), limit);
  }
  Task<Result<std::vector<runtime::LogChunk>>> read_log(std::string id, size_t lines) override {
    return rest_.read_log(std::move(id), lines);
  }

 private:
  Clock& clock_;
  runtime::FakeDriver rest_;
};

class ImageFetchTest : public testing::Test {
 protected:
  ~ImageFetchTest() override { loop_.run(close()); }
  Task<Result<>> close() {
    co_await driver_.close();
    co_return Result<>();
  }
  Task<Result<>> keep(ImageFetch fetch) {
    CO_TRY(got_, co_await fetch_image(std::move(fetch), std::string(kImage)));
    co_return Result<>();
  }
  Fetched::End fetch(std::string organization = "acme") {
    ImageFetch fetch{.driver = driver_,
                     .clock = loop_.clock,
                     .rights = rights_,
                     .private_images = images_,
                     .save_private_images = [this]() -> Result<> {
                       if (disk_full_) return Error::unavailable("disk full");
                       ++saves_;
                       return {};
                     },
                     .spec = {"group", 1},
                     .organization_id = std::move(organization),
                     .is_unwanted = [] { return false; },
                     .wake = wake_,
                     .show = [](std::optional<int32_t>) {}};
    loop_.run(keep(std::move(fetch)));
    return got_.end;
  }
  bool answer(const link::PullRequest& request) {
    ++asked_;
    if (!session_) return false;
    link::PullReply reply = reply_;
    reply.spec = request.spec;
    if (reply.kind == link::PullKind::Token) reply.secret = fmt::format("token-{}", asked_);
    rights_.on_reply(std::move(reply));
    return true;
  }

  static constexpr std::string_view kImage = "ghcr.io/team/app:1";

  VirtualLoop loop_;
  SeededRandom random_{1};
  PullingDriver driver_{loop_.executor(), loop_.clock, random_};
  Notify wake_{loop_.executor()};
  PrivateImages::Organizations stored_;
  PrivateImages images_{stored_};
  bool session_ = true;
  bool disk_full_ = false;
  int asked_ = 0;
  int saves_ = 0;
  link::PullReply reply_;
  PullRights rights_{loop_.executor(), loop_.clock,
                     [this](const link::PullRequest& request) { return answer(request); }};
  Fetched got_;
};

TEST_F(ImageFetchTest, AnImageForEverybodyIsAskedForOnceAndThenHere) {
  EXPECT_EQ(fetch(), Fetched::End::There);
  EXPECT_EQ(fetch("other"), Fetched::End::There);
  EXPECT_EQ(asked_, 1);
  EXPECT_THAT(driver_.shown, ElementsAre(":"));
  EXPECT_EQ(saves_, 0);
}

TEST_F(ImageFetchTest, AnImageOfOneTenantIsProvenByTheNext) {
  reply_.kind = link::PullKind::Token;
  EXPECT_EQ(fetch("acme"), Fetched::End::There);
  EXPECT_EQ(fetch("acme"), Fetched::End::There);
  EXPECT_THAT(driver_.shown, ElementsAre("token-1"));

  reply_ = {};
  driver_.script = [](const RegistryAccess& access) -> Result<> {
    if (access.empty()) return Error{ErrorCode::PermissionDenied, "denied"};
    return {};
  };
  EXPECT_EQ(fetch("thief"), Fetched::End::NoMachine) << "though it is here";
  EXPECT_THAT(driver_.shown, ElementsAre("token-1", ":"));
  EXPECT_EQ(fetch("acme"), Fetched::End::There);
}

TEST_F(ImageFetchTest, APrivateImageComesOnlyWhenThatIsStored) {
  reply_.kind = link::PullKind::Password;
  reply_.user = "u";
  disk_full_ = true;
  EXPECT_EQ(fetch(), Fetched::End::ThisMachine);
  EXPECT_TRUE(driver_.shown.empty());
}

TEST_F(ImageFetchTest, ARefusalOfTheCloudIsTheGroupsFault) {
  reply_.refusal_code = "permission_denied";
  reply_.refusal = "ghcr.io refuses the credentials: 401";
  EXPECT_EQ(fetch(), Fetched::End::NoMachine);
  EXPECT_EQ(got_.why,
            "cannot pull the image ghcr.io/team/app:1: ghcr.io refuses the credentials: 401");
  EXPECT_TRUE(driver_.shown.empty());

  reply_.refusal_code = "unavailable";
  asked_ = 0;
  EXPECT_EQ(fetch(), Fetched::End::ThisMachine);
  EXPECT_EQ(asked_, 3);
}

TEST_F(ImageFetchTest, WithoutACloudARefusalProvesNothing) {
  session_ = false;
  driver_.script = [](const RegistryAccess&) {
    return Error{ErrorCode::PermissionDenied, "denied"};
  };
  EXPECT_EQ(fetch(), Fetched::End::ThisMachine);
  EXPECT_EQ(driver_.shown.size(), 3u);
  driver_.script = [](const RegistryAccess&) { return Result<>(); };
  EXPECT_EQ(fetch(), Fetched::End::There) << "an image for everybody needs no cloud";
}

TEST_F(ImageFetchTest, ATokenThatRanOutIsReplaced) {
  reply_.kind = link::PullKind::Token;
  driver_.takes = 5min;
  driver_.script = [](const RegistryAccess& access) -> Result<> {
    if (access.token != "token-3") return Error{ErrorCode::PermissionDenied, "unauthorized"};
    return {};
  };
  EXPECT_EQ(fetch(), Fetched::End::There);
  EXPECT_THAT(driver_.shown, ElementsAre("token-1", "token-2", "token-3"));
  driver_.images.clear();
  driver_.takes = 1s;
  driver_.shown.clear();
  EXPECT_EQ(fetch(), Fetched::End::NoMachine) << "one that is refused at once is no good";
  EXPECT_EQ(driver_.shown.size(), 1u);
}

TEST_F(ImageFetchTest, ANameThatIsNoneIsNotTheMachinesTrouble) {
  driver_.trouble = Error::invalid("invalid reference format");
  EXPECT_EQ(fetch(), Fetched::End::NoMachine);
  driver_.trouble = Error::unavailable("no engine");
  EXPECT_EQ(fetch(), Fetched::End::ThisMachine);
}

}  // namespace
}  // namespace mesclun::agent
