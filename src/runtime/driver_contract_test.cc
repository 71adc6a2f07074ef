// What driver.h promises, as facts that hold for every driver; for the process driver with every
// combination of walls. What only one driver has is tested beside it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "base/race.h"
#include "base/real_random.h"
#include "base/test_folder.h"
#include "base/test_loop.h"
#include "runtime/docker/docker_driver.h"
#include "runtime/docker/engine_test_kit.h"
#include "runtime/fake_driver.h"
#include "runtime/process/process_driver.h"

namespace mesclun::runtime {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Duration kSoon = 10s;

// An application, in words that every driver can follow. Without an exit it runs until it is told
// to end. It listens nowhere.
struct Application {
  std::optional<int32_t> exit;
  std::vector<std::string> lines;  // said at its start
  bool ignores_term = false;
  bool missing = false;      // there is no such program
  bool leaves_note = false;  // a file in its folder
  bool needs_note = false;   // exits with 1 if there is none
};

// One kind of driver, over something that outlives it.
class DriverKind {
 public:
  explicit DriverKind(RealLoop& loop) : loop_(loop) {}
  virtual ~DriverKind() = default;
  virtual Task<Result<ContainerDriver*>> open() = 0;
  virtual Task<void> close() = 0;
  virtual RunSpec spec(const Application& application) = 0;
  // For one that does not measure but is told.
  virtual void set_usage(const std::string& instance_id) { std::ignore = instance_id; }
  // Why it cannot be tried on this machine.
  virtual std::optional<std::string> missing() { return std::nullopt; }
  // Commands for exec: one that exits with 0, one that goes on for long.
  std::vector<std::string> quick = {"true"};
  std::vector<std::string> long_lasting = {"sleep", "60"};
  bool has_streams = true;  // open_exec() is there

 protected:
  RealLoop& loop_;
  int number_ = 0;
};

// The words of an application, as a script for a shell.
std::string script_of(const Application& application) {
  std::string script;
  if (application.ignores_term) script += "trap '' TERM; ";
  if (application.leaves_note) script += "touch note; ";
  for (const std::string& line : application.lines) script += fmt::format("echo '{}'; ", line);
  if (application.needs_note) script += "test -e note || exit 1; ";
  script += application.exit ? fmt::format("exit {}", *application.exit)
                             : std::string("while :; do sleep 0.02; done");
  return script;
}

class FakeKind final : public DriverKind {
 public:
  explicit FakeKind(RealLoop& loop) : DriverKind(loop) {
    has_streams = false;
    driver_.set_script([this](const RunSpec& spec, Random&) { return runs_[spec.instance_id]; });
  }
  Task<Result<ContainerDriver*>> open() override { co_return &driver_; }
  Task<void> close() override { co_await driver_.close(); }
  RunSpec spec(const Application& application) override {
    RunSpec spec{.instance_id = fmt::format("run-{}", ++number_)};
    FakeRun& run = runs_[spec.instance_id];
    run.output = application.lines;
    run.ready_after = 1h;
    run.exec_time = [this](const std::vector<std::string>& command) {
      return command == long_lasting ? Duration(60s) : Duration();
    };
    if (application.exit) run.exit_after = 10ms;
    run.exit_code = application.exit.value_or(0);
    if (application.ignores_term) run.stop_time = 1h;
    if (application.missing) run.start_failure = "no such program";
    return spec;
  }
  void set_usage(const std::string& instance_id) override {
    driver_.set_usage({.instance_id = instance_id, .cpu_time = 1s, .memory_bytes = 1});
  }

 private:
  RealRandom random_;
  std::map<std::string, FakeRun> runs_;
  FakeDriver driver_{loop_.executor(), loop_.clock, random_};
};

class ProcessKind final : public DriverKind {
 public:
  ProcessKind(RealLoop& loop, bool namespaces, bool cgroups) : DriverKind(loop) {
    settings_.data_folder = folder_.path("data");
    settings_.use_namespaces = namespaces;
    settings_.use_cgroups = cgroups;
    settings_.use_egress = false;
  }
  Task<Result<ContainerDriver*>> open() override {
    if (driver_) co_await driver_->close();
    driver_.reset();
    CO_TRY(driver_, co_await ProcessDriver::open(loop_.executor(), loop_.clock, settings_));
    co_return driver_.get();
  }
  Task<void> close() override {
    if (driver_) co_await driver_->close();
  }
  RunSpec spec(const Application& application) override {
    RunSpec spec{.instance_id = fmt::format("run-{}", ++number_)};
    spec.command = {"/bin/sh", "-c", script_of(application)};
    if (application.missing) spec.command = {"/no/such/program"};
    return spec;
  }

 private:
  const TestFolder folder_;
  ProcessDriverSettings settings_;
  std::unique_ptr<ProcessDriver> driver_;
};

class DockerKind final : public DriverKind {
 public:
  explicit DockerKind(RealLoop& loop) : DriverKind(loop), engine_(TestEngine::get()) {
    settings_.data_folder = folder_.path("data");
    settings_.use_egress = false;
    if (engine_) settings_.engine = *engine_;
  }
  std::optional<std::string> missing() override {
    if (engine_) return std::nullopt;
    return engine_.error().message;
  }
  Task<Result<ContainerDriver*>> open() override {
    if (driver_) co_await driver_->close();
    driver_.reset();
    CO_TRY(driver_, co_await DockerDriver::open(loop_.executor(), loop_.clock, settings_));
    co_return driver_.get();
  }
  Task<void> close() override {
    if (driver_) co_await driver_->close();
  }
  RunSpec spec(const Application& application) override {
    RunSpec spec{.instance_id = fmt::format("run-{}", ++number_),
                 .image = kTestImage,
                 .command = {"sh", "-c", script_of(application)},
                 .memory_bytes = int64_t{256} * 1024 * 1024};
    if (application.missing) spec.command = {"/no/such/program"};
    return spec;
  }

 private:
  const TestFolder folder_;
  Result<Endpoint> engine_;
  DockerDriverSettings settings_;
  std::unique_ptr<DockerDriver> driver_;
};

struct KindName {
  const char* name;
  std::unique_ptr<DriverKind> (*make)(RealLoop&);
};
template <bool namespaces, bool cgroups>
std::unique_ptr<DriverKind> make_process(RealLoop& loop) {
  return std::make_unique<ProcessKind>(loop, namespaces, cgroups);
}
constexpr KindName kKinds[] = {
    {"Fake",
     [](RealLoop& loop) -> std::unique_ptr<DriverKind> {
       return std::make_unique<FakeKind>(loop);
     }},
    {"Process", make_process<true, true>},
    {"ProcessWithoutGroups", make_process<true, false>},
    {"ProcessWithoutNamespaces", make_process<false, true>},
    {"ProcessWithoutWalls", make_process<false, false>},
    {"Docker",
     [](RealLoop& loop) -> std::unique_ptr<DriverKind> {
       return std::make_unique<DockerKind>(loop);
     }},
};

class DriverContract : public testing::TestWithParam<KindName> {
 public:
  using Body = Task<Result<>> (*)(DriverContract& t, ContainerDriver& driver);

  void run(Body body) {
    if (const auto missing = kind->missing()) GTEST_SKIP() << *missing;
    loop.run(open_and_run(body));
  }

  Task<Result<std::string>> create(ContainerDriver& driver, Application application) {
    RunSpec spec = kind->spec(application);
    std::string id = spec.instance_id;
    CO_TRY_DO(co_await driver.create(std::move(spec)));
    co_return id;
  }
  Task<Result<std::string>> start(ContainerDriver& driver, Application application) {
    CO_TRY(std::string id, co_await create(driver, std::move(application)));
    CO_TRY_DO(co_await driver.start(id));
    co_return id;
  }
  Task<Result<RunExit>> end_of(ContainerDriver& driver, std::string id) {
    co_return co_await within(loop.clock, kSoon, driver.wait(std::move(id)));
  }
  Task<Result<RunExit>> run_to_end(ContainerDriver& driver, Application application) {
    CO_TRY(const std::string id, co_await start(driver, std::move(application)));
    co_return co_await end_of(driver, id);
  }
  // Until it has said so much.
  Task<Result<std::vector<std::string>>> read(ContainerDriver& driver, std::string id,
                                              size_t lines) {
    std::vector<std::string> texts;
    const TimePoint end = loop.clock.now() + kSoon;
    while (texts.size() < lines && loop.clock.now() < end) {
      CO_TRY(const std::vector<LogChunk> chunks,
             co_await driver.read_log(id, lines - texts.size()));
      for (const LogChunk& chunk : chunks) texts.push_back(chunk.text);
      CO_TRY_DO(co_await loop.clock.sleep_for(5ms));
    }
    co_return texts;
  }

  RealLoop loop;
  std::unique_ptr<DriverKind> kind = GetParam().make(loop);

 private:
  Task<Result<>> open_and_run(Body body) {
    CO_TRY(ContainerDriver * driver, co_await kind->open());
    Result<> result = co_await body(*this, *driver);
    // The body may have opened it again.
    CO_TRY(driver, co_await kind->open());
    CO_TRY(const std::vector<RunInfo> left, co_await driver->list());
    for (const RunInfo& run : left) {
      EXPECT_TRUE(co_await driver->stop(run.instance_id, 0s));
      EXPECT_TRUE(co_await driver->remove(run.instance_id));
    }
    co_await kind->close();
    co_return result;
  }
};

INSTANTIATE_TEST_SUITE_P(Every, DriverContract, testing::ValuesIn(kKinds),
                         [](const testing::TestParamInfo<KindName>& info) {
                           return std::string(info.param.name);
                         });

// A coroutine as the body of a test.
#define CONTRACT(name)                                                                        \
  Task<Result<>> Contract##name([[maybe_unused]] DriverContract& t, ContainerDriver& driver); \
  TEST_P(DriverContract, name) {                                                              \
    run(Contract##name);                                                                      \
  }                                                                                           \
  Task<Result<>> Contract##name([[maybe_unused]] DriverContract& t, ContainerDriver& driver)

CONTRACT(UnknownRunsAreNotFound) {
  const std::string id = "nobody";
  EXPECT_EQ(driver.metadata_listener(id).code(), ErrorCode::NotFound);
  EXPECT_EQ((co_await driver.start(id)).code(), ErrorCode::NotFound);
  EXPECT_EQ((co_await driver.wait(id)).code(), ErrorCode::NotFound);
  EXPECT_EQ((co_await driver.stop(id, 0s)).code(), ErrorCode::NotFound);
  EXPECT_EQ((co_await driver.remove(id)).code(), ErrorCode::NotFound);
  EXPECT_EQ((co_await driver.connect(id, 1, true, kSoon)).code(), ErrorCode::NotFound);
  EXPECT_EQ((co_await driver.exec(id, t.kind->quick, kSoon)).code(), ErrorCode::NotFound);
  EXPECT_EQ((co_await driver.read_log(id, 1)).code(), ErrorCode::NotFound);
  co_return Result<>();
}

CONTRACT(NamesAreUniqueUntilTheyAreRemoved) {
  const RunSpec spec = t.kind->spec({.exit = 0});
  CO_TRY_DO(co_await driver.create(spec));
  EXPECT_EQ((co_await driver.create(spec)).code(), ErrorCode::AlreadyExists);
  CO_TRY_DO(co_await driver.stop(spec.instance_id, 0s));
  EXPECT_EQ((co_await driver.create(spec)).code(), ErrorCode::AlreadyExists);
  CO_TRY_DO(co_await driver.remove(spec.instance_id));
  EXPECT_EQ((co_await driver.remove(spec.instance_id)).code(), ErrorCode::NotFound);
  EXPECT_TRUE(co_await driver.create(spec));
  co_return Result<>();
}

CONTRACT(CallsThatDoNotFitTheStateAreFailedPreconditions) {
  const auto misfit = ErrorCode::FailedPrecondition;
  CO_TRY(const std::string id, co_await t.create(driver, {}));
  EXPECT_TRUE(driver.metadata_listener(id));
  EXPECT_EQ((co_await driver.remove(id)).code(), misfit);
  EXPECT_EQ((co_await driver.exec(id, t.kind->quick, kSoon)).code(), misfit);
  CO_TRY_DO(co_await driver.start(id));
  EXPECT_EQ((co_await driver.start(id)).code(), misfit);
  EXPECT_EQ((co_await driver.remove(id)).code(), misfit);
  CO_TRY_DO(co_await driver.stop(id, 0s));
  EXPECT_EQ((co_await driver.start(id)).code(), misfit);
  EXPECT_EQ(driver.metadata_listener(id).code(), misfit);
  EXPECT_EQ((co_await driver.connect(id, 1, true, kSoon)).code(), misfit);
  EXPECT_EQ((co_await driver.exec(id, t.kind->quick, kSoon)).code(), misfit);
  EXPECT_TRUE(co_await driver.remove(id));
  co_return Result<>();
}

Task<void> keep_exit(Task<Result<RunExit>> wait, Result<RunExit>& out) {
  out = co_await std::move(wait);
}

CONTRACT(WaitAnswersEverybodyBeforeAndAfterTheEnd) {
  CO_TRY(const std::string id, co_await t.create(driver, {.exit = 7}));
  Result<RunExit> one = Error::internal("");
  Result<RunExit> two = Error::internal("");
  CO_TRY_DO(co_await driver.start(id));
  co_await join(keep_exit(t.end_of(driver, id), one), keep_exit(t.end_of(driver, id), two));
  for (const Result<RunExit>& exit : {one, two, co_await t.end_of(driver, id)}) {
    CO_TRY(const RunExit known, exit);
    EXPECT_EQ(known.code, 7);
    EXPECT_FALSE(known.start_failure);
    EXPECT_GT(known.time, 0);
  }
  co_return Result<>();
}

CONTRACT(WaiterWhoGivesUpLeavesTheRunAlone) {
  CO_TRY(const std::string id, co_await t.start(driver, {}));
  EXPECT_EQ((co_await within(t.loop.clock, 20ms, driver.wait(id))).code(),
            ErrorCode::DeadlineExceeded);
  CO_TRY(const std::vector<RunInfo> runs, co_await driver.list());
  EXPECT_FALSE(runs.at(0).exit);
  co_return Result<>();
}

CONTRACT(ProgramThatCannotStartIsToldByWait) {
  CO_TRY(const RunExit exit, co_await t.run_to_end(driver, {.missing = true}));
  EXPECT_TRUE(exit.start_failure);
  EXPECT_EQ(exit.code, -1);
  EXPECT_NE(exit.detail, "");
  co_return Result<>();
}

CONTRACT(StopAsksThenKillsAndMayBeRepeated) {
  CO_TRY(const std::string polite, co_await t.start(driver, {.lines = {"up"}}));
  CO_TRY_DO(co_await t.read(driver, polite, 1));
  CO_TRY_DO(co_await driver.stop(polite, 60s));
  CO_TRY(const RunExit asked, co_await t.end_of(driver, polite));
  EXPECT_EQ(asked.code, 143);
  EXPECT_TRUE(co_await driver.stop(polite, 60s));

  CO_TRY(const std::string stubborn,
         co_await t.start(driver, {.lines = {"up"}, .ignores_term = true}));
  CO_TRY_DO(co_await t.read(driver, stubborn, 1));
  CO_TRY_DO(co_await driver.stop(stubborn, 50ms));
  CO_TRY(const RunExit killed, co_await t.end_of(driver, stubborn));
  EXPECT_EQ(killed.code, 137);
  EXPECT_NE(killed.detail, "");
  EXPECT_TRUE(co_await driver.stop(stubborn, 0s));
  // What has ended stays as it ended.
  CO_TRY(const RunExit again, co_await t.end_of(driver, polite));
  EXPECT_EQ(again.code, 143);
  co_return Result<>();
}

CONTRACT(StopBeforeStartEndsTheRun) {
  CO_TRY(const std::string id, co_await t.create(driver, {}));
  CO_TRY_DO(co_await driver.stop(id, 60s));
  CO_TRY(const RunExit exit, co_await t.end_of(driver, id));
  EXPECT_EQ(exit.code, 143);
  EXPECT_FALSE(exit.start_failure);
  co_return Result<>();
}

// The gateway tells "refused" from "unreachable" by it.
CONTRACT(PortWhereNobodyListensIsRefused) {
  CO_TRY(const std::string id, co_await t.create(driver, {}));
  for (const bool started : {false, true}) {
    if (started) CO_TRY_DO(co_await driver.start(id));
    for (const bool ipv6_first : {false, true}) {
      const Result<ConnPtr> conn = co_await driver.connect(id, 1, ipv6_first, kSoon);
      EXPECT_FALSE(conn);
      if (conn) continue;
      EXPECT_EQ(conn.code(), ErrorCode::Unavailable);
      EXPECT_EQ(conn.error().cause, Cause::Refused);
    }
  }
  co_return Result<>();
}

CONTRACT(CommandsAnswerTheirStatusOrAreCutOff) {
  CO_TRY(const std::string id, co_await t.start(driver, {}));
  EXPECT_TRUE(co_await driver.exec(id, t.kind->quick, kSoon));
  const TimePoint begin = t.loop.clock.now();
  EXPECT_EQ((co_await driver.exec(id, t.kind->long_lasting, 100ms)).code(),
            ErrorCode::DeadlineExceeded);
  EXPECT_LT(t.loop.clock.now() - begin, kSoon);
  CO_TRY(const std::vector<RunInfo> runs, co_await driver.list());
  EXPECT_FALSE(runs.at(0).exit);
  co_return Result<>();
}

CONTRACT(LinesAreReadOnceInOrderAndAlsoAfterTheEnd) {
  CO_TRY(const std::string id, co_await t.start(driver, {.exit = 0, .lines = {"a", "b", "c"}}));
  CO_TRY_DO(co_await t.end_of(driver, id));
  CO_TRY(const std::vector<LogChunk> first, co_await driver.read_log(id, 2));
  EXPECT_EQ(first.size(), 2u);
  for (const LogChunk& chunk : first) {
    EXPECT_EQ(chunk.stream, "stdout");
    EXPECT_GT(chunk.time, 0);
  }
  EXPECT_EQ(first.at(0).text + first.at(1).text, "ab");
  CO_TRY(const std::vector<std::string> rest, co_await t.read(driver, id, 1));
  EXPECT_THAT(rest, ElementsAre("c"));
  CO_TRY(const std::vector<LogChunk> none, co_await driver.read_log(id, 10));
  EXPECT_THAT(none, IsEmpty());
  co_return Result<>();
}

CONTRACT(FilesGoWithTheLastRunThatTookThemOver) {
  CO_TRY(const std::string first,
         co_await t.start(driver, {.lines = {"noted"}, .leaves_note = true}));
  RunSpec second = t.kind->spec({.exit = 0, .needs_note = true});
  second.files_of = "nobody";
  EXPECT_EQ((co_await driver.create(second)).code(), ErrorCode::NotFound);
  second.files_of = first;
  EXPECT_EQ((co_await driver.create(second)).code(), ErrorCode::FailedPrecondition);
  CO_TRY_DO(co_await t.read(driver, first, 1));
  CO_TRY_DO(co_await driver.stop(first, 0s));
  CO_TRY_DO(co_await driver.create(second));
  // It is theirs now: nobody else may have them while it lives, nor do they go with the first.
  RunSpec third = t.kind->spec({.exit = 0});
  third.files_of = first;
  EXPECT_EQ((co_await driver.create(third)).code(), ErrorCode::FailedPrecondition);
  CO_TRY_DO(co_await driver.remove(first));
  CO_TRY_DO(co_await driver.start(second.instance_id));
  CO_TRY(const RunExit exit, co_await t.end_of(driver, second.instance_id));
  EXPECT_EQ(exit.code, 0);
  co_return Result<>();
}

CONTRACT(LimitsOfALivingRunCanBeChanged) {
  const RunLimits more{.cpu_cores = 2, .memory_bytes = int64_t{512} * 1024 * 1024};
  EXPECT_EQ((co_await driver.set_limits("nobody", more)).code(), ErrorCode::NotFound);
  CO_TRY(const std::string id, co_await t.start(driver, {}));
  CO_TRY_DO(co_await driver.set_limits(id, more));
  CO_TRY_DO(co_await driver.stop(id, 0s));
  EXPECT_EQ((co_await driver.set_limits(id, more)).code(), ErrorCode::FailedPrecondition);
  co_return Result<>();
}

CONTRACT(UsageIsOfLiveRunsOnly) {
  CO_TRY(const std::string created, co_await t.create(driver, {}));
  CO_TRY_DO(co_await t.run_to_end(driver, {.exit = 0}));
  CO_TRY(const std::string lives, co_await t.start(driver, {}));
  t.kind->set_usage(lives);
  CO_TRY(const std::vector<RunUsage> all, co_await driver.usage());
  EXPECT_EQ(all.size(), 1u);
  EXPECT_EQ(all.at(0).instance_id, lives);
  EXPECT_GE(all.at(0).cpu_time.value_or(-1s), 0s);
  EXPECT_GE(all.at(0).memory_bytes.value_or(-1), 0) << "none yet, perhaps";
  CO_TRY_DO(co_await driver.stop(lives, 0s));
  CO_TRY(const std::vector<RunUsage> none, co_await driver.usage());
  EXPECT_THAT(none, IsEmpty());
  co_return Result<>();
}

CONTRACT(DiskExcessIsToldOfTheLivingOnly) {
  EXPECT_TRUE(!driver.facts().watches_disk ||
              (co_await driver.disk_excess("nobody")).code() == ErrorCode::NotFound);
  CO_TRY(const std::string id, co_await t.start(driver, {.exit = 0}));
  CO_TRY_DO(co_await t.end_of(driver, id));
  EXPECT_EQ((co_await within(t.loop.clock, kSoon, driver.disk_excess(id))).code(),
            driver.facts().watches_disk ? ErrorCode::FailedPrecondition : ErrorCode::Unimplemented);
  co_return Result<>();
}

// Goal: an agent that starts again finds what there is, and can go on with it.
CONTRACT(NextDriverGoesOnWithWhatThereIs) {
  RunSpec living = t.kind->spec({});
  living.label["allocation"] = "a-1";
  const std::string lives = living.instance_id;
  CO_TRY_DO(co_await driver.create(std::move(living)));
  CO_TRY_DO(co_await driver.start(lives));
  CO_TRY(const std::string ended, co_await t.start(driver, {.exit = 8, .lines = {"last words"}}));
  CO_TRY_DO(co_await t.end_of(driver, ended));
  CO_TRY(const std::string waits, co_await t.create(driver, {.exit = 9}));
  CO_TRY(const std::string gone, co_await t.create(driver, {}));
  CO_TRY_DO(co_await driver.stop(gone, 0s));
  CO_TRY_DO(co_await driver.remove(gone));

  CO_TRY(ContainerDriver * next, co_await t.kind->open());
  CO_TRY(const std::vector<RunInfo> runs, co_await next->list());
  std::map<std::string, RunInfo> found;
  for (const RunInfo& run : runs) found.emplace(run.instance_id, run);
  EXPECT_EQ(found.size(), 3u);
  EXPECT_EQ(found[lives].label["allocation"], "a-1");
  EXPECT_TRUE(found[lives].started && found[lives].start_time > 0 && !found[lives].exit);
  EXPECT_TRUE(found[ended].started && found[ended].exit);
  if (found[ended].exit) EXPECT_EQ(found[ended].exit->code, 8);
  EXPECT_FALSE(found[waits].started || found[waits].exit);

  CO_TRY(const std::vector<std::string> words, co_await t.read(*next, ended, 1));
  EXPECT_THAT(words, ElementsAre("last words"));
  EXPECT_TRUE(next->metadata_listener(lives));
  EXPECT_TRUE(co_await next->exec(lives, t.kind->quick, kSoon));
  CO_TRY_DO(co_await next->stop(lives, 60s));
  CO_TRY(const RunExit stopped, co_await t.end_of(*next, lives));
  EXPECT_EQ(stopped.code, 143);
  CO_TRY_DO(co_await next->start(waits));
  CO_TRY(const RunExit late, co_await t.end_of(*next, waits));
  EXPECT_EQ(late.code, 9);
  co_return Result<>();
}

// What a command has said so far.
struct Said {
  std::string out;
  std::string err;
};

// Until `text` is among its output, or its end.
Task<Result<>> hear(ExecStream& stream, Said& said, std::string text) {
  while (text.empty() || said.out.find(text) == std::string::npos) {
    CO_TRY(const ExecOutput output, co_await stream.read(4096));
    if (output.stream == ExecOutput::Stream::End) co_return Result<>();
    (output.stream == ExecOutput::Stream::Out ? said.out : said.err) += output.bytes;
  }
  co_return Result<>();
}

Task<Result<>> hear_soon(DriverContract& t, ExecStream& stream, Said& said, std::string text) {
  co_return co_await within(t.loop.clock, kSoon, hear(stream, said, std::move(text)));
}

ExecSpec script(std::string text, bool tty = false) {
  return {.command = {"sh", "-c", std::move(text)}, .tty = tty};
}

Task<Result<>> write_all_of(ExecStream& stream, std::string bytes) {
  CO_TRY_DO(co_await stream.write(std::move(bytes)));
  co_return co_await stream.end_input();
}

CONTRACT(StreamsOfACommandAreExactAndItsStatusIsTold) {
  CO_TRY(const std::string id, co_await t.start(driver, {}));
  Result<std::unique_ptr<ExecStream>> none = co_await driver.open_exec(id, {});
  EXPECT_EQ(none.code(),
            t.kind->has_streams ? ErrorCode::InvalidArgument : ErrorCode::Unimplemented);
  if (!t.kind->has_streams) co_return Result<>();
  ExecSpec spec = script("cat; echo $WORD >&2; exit 7");
  spec.environment["WORD"] = "aside";
  CO_TRY(const auto stream, co_await driver.open_exec(id, std::move(spec)));
  std::string all;
  for (int i = 0; i < 100'000; ++i) all.push_back(static_cast<char>(i * 7 + i / 256));
  Said said;
  std::optional<Result<>> written;
  std::optional<Result<>> heard;
  co_await join(detail::store_result(write_all_of(*stream, all), written),
                detail::store_result(hear_soon(t, *stream, said, ""), heard));
  EXPECT_TRUE(*written && *heard);
  EXPECT_TRUE(said.out == all);
  EXPECT_EQ(said.err, "aside\n");
  CO_TRY(const ExecExit exit, co_await within(t.loop.clock, kSoon, stream->wait()));
  EXPECT_EQ(exit.code, 7);
  // The end stays the end.
  CO_TRY(const ExecOutput end, co_await stream->read(1));
  EXPECT_EQ(end.stream, ExecOutput::Stream::End);
  co_return Result<>();
}

CONTRACT(TerminalHasItsSizeAndChangesIt) {
  if (!t.kind->has_streams) co_return Result<>();
  CO_TRY(const std::string id, co_await t.start(driver, {}));
  ExecSpec spec = script(
      "trap 'stty size; exit 5' WINCH; test -t 0 && test -t 1 && stty size; echo up; "
      "while :; do sleep 0.02; done",
      true);
  spec.size = {.rows = 31, .columns = 117};
  CO_TRY(const auto stream, co_await driver.open_exec(id, std::move(spec)));
  Said said;
  CO_TRY_DO(co_await hear_soon(t, *stream, said, "up\r\n"));
  EXPECT_EQ(said.out, "31 117\r\nup\r\n");
  CO_TRY_DO(stream->resize({.rows = 41, .columns = 87}));
  said = {};
  CO_TRY_DO(co_await hear_soon(t, *stream, said, ""));
  EXPECT_EQ(said.out, "41 87\r\n");
  CO_TRY(const ExecExit exit, co_await within(t.loop.clock, kSoon, stream->wait()));
  EXPECT_EQ(exit.code, 5);
  co_return Result<>();
}

// Ctrl-C, Ctrl-D and signals by number.
CONTRACT(TerminalAndSignalsReachTheCommand) {
  if (!t.kind->has_streams) co_return Result<>();
  CO_TRY(const std::string id, co_await t.start(driver, {}));
  // A shell would not do: one that has just forked may forget the interruption.
  const ExecSpec cat{.command = {"cat"}, .tty = true};
  CO_TRY(const auto interrupted, co_await driver.open_exec(id, cat));
  Said said;
  CO_TRY_DO(co_await interrupted->write("up\n"));
  CO_TRY_DO(co_await hear_soon(t, *interrupted, said, "up\r\nup\r\n"));
  CO_TRY_DO(co_await interrupted->write("\x03"));
  CO_TRY_DO(co_await hear_soon(t, *interrupted, said, ""));
  CO_TRY(const ExecExit cut, co_await within(t.loop.clock, kSoon, interrupted->wait()));
  EXPECT_EQ(cut.code, 130);

  CO_TRY(const auto ended, co_await driver.open_exec(id, script("cat; exit 3", true)));
  CO_TRY_DO(co_await ended->end_input());
  CO_TRY(const ExecExit end, co_await within(t.loop.clock, kSoon, ended->wait()));
  EXPECT_EQ(end.code, 3);

  CO_TRY(const auto told,
         co_await driver.open_exec(
             id, script("trap 'exit 9' USR1; echo up; while :; do sleep 0.02; done")));
  said = {};
  CO_TRY_DO(co_await hear_soon(t, *told, said, "up"));
  CO_TRY_DO(told->signal(SIGUSR1));
  CO_TRY(const ExecExit exit, co_await within(t.loop.clock, kSoon, told->wait()));
  EXPECT_EQ(exit.code, 9);
  co_return Result<>();
}

CONTRACT(CommandThatCannotStartHasTheStatusOfAShell) {
  if (!t.kind->has_streams) co_return Result<>();
  CO_TRY(const std::string id, co_await t.start(driver, {}));
  for (const bool tty : {false, true}) {
    const ExecSpec missing{.command = {"/no/such"}, .tty = tty};
    CO_TRY(const auto stream, co_await driver.open_exec(id, missing));
    CO_TRY(const ExecOutput end, co_await stream->read(10));
    EXPECT_EQ(end.stream, ExecOutput::Stream::End);
    CO_TRY(const ExecExit exit, co_await stream->wait());
    EXPECT_EQ(exit.code, 127);
    EXPECT_NE(exit.detail, "");
  }
  co_return Result<>();
}

// Whether a process that a command named by number, inside, lives on.
Task<Result<bool>> lives(ContainerDriver& driver, std::string id, std::string number) {
  CO_TRY(const int32_t status,
         co_await driver.exec(std::move(id), {"sh", "-c", "kill -0 " + number}, kSoon));
  co_return status == 0;
}

CONTRACT(NothingOfACommandOutlivesItsStream) {
  if (!t.kind->has_streams) co_return Result<>();
  CO_TRY(const std::string id, co_await t.start(driver, {}));
  // One that goes on by itself in a session of its own, with and without an end of the command.
  for (const std::string last : {"sleep 60", "exit 0"}) {
    CO_TRY(auto stream,
           co_await driver.open_exec(
               id, script("(setsid sh -c 'trap \"\" HUP TERM; echo $$; exec sleep 60' &) ; "
                          "sleep 0.3; " +
                          last)));
    Said said;
    CO_TRY_DO(co_await hear_soon(t, *stream, said, "\n"));
    const std::string number = said.out.substr(0, said.out.find('\n'));
    if (last == "sleep 60") {
      CO_TRY(const bool lived, co_await lives(driver, id, number));
      EXPECT_TRUE(lived);
      stream.reset();
    } else {
      CO_TRY_DO(co_await hear_soon(t, *stream, said, ""));
      CO_TRY(const ExecExit exit, co_await within(t.loop.clock, kSoon, stream->wait()));
      EXPECT_EQ(exit.code, 0);
    }
    const TimePoint end = t.loop.clock.now() + kSoon;
    bool left = true;
    while (left && t.loop.clock.now() < end) {
      CO_TRY(left, co_await lives(driver, id, number));
    }
    EXPECT_FALSE(left) << last;
  }
  co_return Result<>();
}

CONTRACT(CommandEndsWithItsRunAndItsWriterWaits) {
  CO_TRY(const std::string id, co_await t.create(driver, {}));
  const auto early = co_await driver.open_exec(id, script("true"));
  EXPECT_EQ(early.code(),
            t.kind->has_streams ? ErrorCode::FailedPrecondition : ErrorCode::Unimplemented);
  if (!t.kind->has_streams) co_return Result<>();
  EXPECT_EQ((co_await driver.open_exec("nobody", script("true"))).code(), ErrorCode::NotFound);
  CO_TRY_DO(co_await driver.start(id));
  CO_TRY(const auto stream, co_await driver.open_exec(id, script("sleep 60")));
  std::string much(1 << 20, 'x');
  EXPECT_EQ((co_await within(t.loop.clock, 100ms, stream->write(std::move(much)))).code(),
            ErrorCode::DeadlineExceeded);
  CO_TRY_DO(co_await driver.stop(id, 0s));
  Said said;
  CO_TRY_DO(co_await hear_soon(t, *stream, said, ""));
  CO_TRY(const ExecExit exit, co_await within(t.loop.clock, kSoon, stream->wait()));
  EXPECT_EQ(exit.code, 137);
  EXPECT_EQ((co_await stream->write("x")).code(), ErrorCode::Unavailable);
  EXPECT_EQ((co_await driver.open_exec(id, script("true"))).code(), ErrorCode::FailedPrecondition);
  co_return Result<>();
}

}  // namespace
}  // namespace mesclun::runtime
