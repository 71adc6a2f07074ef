// What a container reaches of the world (walls/egress_test_kit.h), and of the machine that it runs on.
#include <fmt/ranges.h>
#include <gmock/gmock.h>

#include "base/race.h"
#include "base/scope.h"
#include "base/test_loop.h"
#include "runtime/docker/docker_driver.h"
#include "runtime/docker/engine_test_kit.h"
#include "runtime/walls/egress_test_kit.h"

namespace mesclun::runtime {
namespace {

constexpr Duration kSoon = 20s;
constexpr int64_t kMiB = 1024 * 1024;

// Tries everything at once and says what it hears: "tcp ADDRESS PORT" of each server that says hello, the
// address of a name, and which of some files it sees.
constexpr const char* kScript = R"sh(
try() { { (echo ?; sleep 2) | nc -w 3 $1 $2 | grep -q hello; } 2>/dev/null && echo tcp $1 $2; }
for target in $TARGETS; do try ${target%,*} ${target#*,} & done
nslookup world.example 2>/dev/null | grep -q 203.0.113.2 && echo knows names
for file in $FILES; do test -e $file && echo sees $file; done
wait
)sh";

RunSpec curious(const std::vector<std::string>& targets, const std::vector<std::string>& files) {
  RunSpec spec{.instance_id = "curious",
               .image = kTestImage,
               .command = {"sh", "-c", kScript},
               .memory_bytes = 256 * kMiB};
  spec.environment["TARGETS"] = fmt::format("{}", fmt::join(targets, " "));
  spec.environment["FILES"] = fmt::format("{}", fmt::join(files, " "));
  return spec;
}

Task<Result<>> look_around(RealLoop& loop, DockerDriver& driver, std::vector<std::string> files) {
  EXPECT_TRUE(driver.facts().warnings.empty());
  // The machine listens everywhere, and so would any service of its owner.
  CO_TRY(Listener v4, Listener::bind(loop.executor(), {.host = "0.0.0.0"}));
  CO_TRY(Listener v6, Listener::bind(loop.executor(), {.host = "::"}));
  const std::string port = std::to_string(v4.endpoint().port);
  Scope servers(loop.executor(), "servers of the machine");
  servers.spawn(greet(v4, loop.clock));
  servers.spawn(greet(v6, loop.clock));

  // Another container, which says hello at port 9.
  RunSpec other{.instance_id = "other",
                .image = kTestImage,
                .command = {"sh", "-c", "while :; do echo hello | nc -l -p 9; done"},
                .memory_bytes = 64 * kMiB};
  CO_TRY_DO(co_await driver.create(std::move(other)));
  CO_TRY_DO(co_await driver.start("other"));
  std::vector<std::string> targets{"127.0.0.1," + port,
                                   "203.0.113.1," + port,
                                   "192.168.77.1," + port,
                                   fmt::format("{},80", kPublicAddress),
                                   fmt::format("{},53", kNameServer),
                                   "169.254.169.254,80"};
  for (const char* address : kPrivateAddresses) targets.push_back(fmt::format("{},80", address));
  for (const char* address : kIpv6Addresses) targets.push_back(fmt::format("{},81", address));
  for (int number = 0, pairs = 0; number < 16384 && pairs < 2; ++number) {
    const EgressAddresses pair = egress_addresses(number);
    // The other's pair, and the one that is about to be made.
    if (!link_index(pair.interface) && pairs == 0) continue;
    ++pairs;
    targets.push_back(fmt::format("{},{}", pair.machine, port));
    targets.push_back(fmt::format("{},9", pair.run));
  }
  if (const std::string near = link_local_of_pair(); !near.empty()) {
    targets.push_back(fmt::format("{},{}", near, v6.endpoint().port));
  }
  CO_TRY_DO(co_await driver.create(curious(targets, files)));
  CO_TRY(std::optional<Listener> metadata, driver.metadata_listener("curious"));
  servers.spawn(greet(*metadata, loop.clock));
  CO_TRY_DO(co_await driver.start("curious"));
  CO_TRY_DO(co_await within(loop.clock, kSoon, driver.wait("curious")));
  CO_TRY(const std::vector<LogChunk> lines, co_await driver.read_log("curious", 100));
  std::vector<std::string> heard;
  for (const LogChunk& line : lines) heard.push_back(line.text);
  EXPECT_THAT(heard, testing::UnorderedElementsAre("tcp 203.0.113.2 80", "tcp 192.168.77.2 53",
                                                   "tcp 169.254.169.254 80", "knows names"));
  for (const std::string& file : files) EXPECT_EQ(::access(file.c_str(), F_OK), 0) << file;
  for (const char* id : {"curious", "other"}) {
    CO_TRY_DO(co_await driver.stop(id, 0s));
    CO_TRY_DO(co_await driver.remove(id));
  }
  co_await servers.stop();
  co_return Result<>();
}

Task<Result<>> open_and_look(RealLoop& loop, DockerDriverSettings settings) {
  CO_TRY(const auto driver, co_await DockerDriver::open(loop.executor(), loop.clock, settings));
  std::vector<std::string> files{settings.data_folder, settings.engine.host};
  Result<> result = co_await look_around(loop, *driver, std::move(files));
  co_await driver->close();
  co_return result;
}

TEST(DockerEgress, TheWorldIsOpenAndWhatIsPrivateIsClosed) {
  // Outside of the machine that is made here: containers have its network none the less.
  const Result<Endpoint> engine = TestEngine::get();
  if (!engine) GTEST_SKIP() << engine.error().message;
  const EgressWorld world;
  if (!world.possible()) GTEST_SKIP() << "needs root, nft and ip";
  const TestFolder folder;
  RealLoop loop;
  loop.run(open_and_look(loop, {.data_folder = folder.path("data"), .engine = *engine}));
}

}  // namespace
}  // namespace mesclun::runtime
