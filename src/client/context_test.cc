#include "client/context.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/test_folder.h"
#include "client/fake_api.h"

namespace mesclun::client {
namespace {

Environment environment_of(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

TEST(Context, PathFollowsTheMostSpecificVariable) {
  EXPECT_EQ(context_path(environment_of({{"HOME", "/h"}})).value(),
            "/h/.config/mesclun/context.json");
  EXPECT_EQ(context_path(environment_of({{"HOME", "/h"}, {"XDG_CONFIG_HOME", "/x"}})).value(),
            "/x/mesclun/context.json");
  EXPECT_EQ(
      context_path(environment_of({{"XDG_CONFIG_HOME", "/x"}, {"MESCLUN_CONTEXT", "/m"}})).value(),
      "/m");
  EXPECT_EQ(context_path(environment_of({})).code(), ErrorCode::FailedPrecondition);
}

TEST(Context, FlagsWinOverVariablesWhichWinOverTheFile) {
  const TestFolder folder;
  const std::string path = folder.path("context.json");
  const ContextValues values{.api = "file:1",
                             .organization = "file-org",
                             .project = "file-project",
                             .api_key = "file-key"};
  ASSERT_TRUE(save_contexts(path, {.current = "a", .all = {{"a", values}}}));
  const Environment environment = environment_of({{"MESCLUN_CONTEXT", path},
                                                  {"MESCLUN_ORGANIZATION", "env-org"},
                                                  {"MESCLUN_PROJECT", "env-project"}});
  const Context context = resolve_context({.project = "flag-project"}, environment).value();
  EXPECT_EQ(context.project.text, "flag-project");
  EXPECT_EQ(context.project.source, "--project");
  EXPECT_EQ(context.organization.text, "env-org");
  EXPECT_EQ(context.organization.source, "MESCLUN_ORGANIZATION");
  EXPECT_EQ(context.api.text, "file:1");
  EXPECT_EQ(context.api.source, path);
  EXPECT_EQ(context.operator_key.text, "");
}

TEST(Context, FileIsForItsOwnerOnlyAndReplacedWhole) {
  const TestFolder folder;
  const std::string path = folder.path("new/folder/context.json");
  const ContextValues values{.api = "127.0.0.1:8800",
                             .gateway = "127.0.0.1:8801",
                             .organization = "o",
                             .project = "p",
                             .api_key = "k",
                             .operator_key = "ok"};
  ASSERT_TRUE(save_contexts(path, {.current = "a", .all = {{"a", {.api = "old"}}}}));
  ASSERT_TRUE(save_contexts(path, {.current = "a", .all = {{"a", values}}}));
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const ContextValues read = load_contexts(path).value().all.at("a");
  EXPECT_EQ(read.gateway, values.gateway);
  EXPECT_EQ(read.operator_key, "ok");
  // Nothing is left of the way there.
  const auto files = std::filesystem::directory_iterator(folder.path("new/folder"));
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

TEST(Context, UnreadableFilesAreNamed) {
  const TestFolder folder;
  EXPECT_EQ(load_contexts(folder.path("none")).code(), ErrorCode::NotFound);
  for (const char* text :
       {"{", "[]", R"({"api": 3})", R"({"contexts": [1]})", R"({"contexts": {"a": 1}})", ""}) {
    const std::string path = folder.path("bad");
    std::ofstream(path) << text;
    const Result<Contexts> read = load_contexts(path);
    ASSERT_FALSE(read) << text;
    EXPECT_NE(read.error().message.find(path), std::string::npos) << read.error().message;
  }
  const Result<> saved = save_contexts("/proc/none/context.json", {});
  ASSERT_FALSE(saved);
  EXPECT_NE(saved.error().message.find("/proc/none"), std::string::npos);
}

TEST(Context, WhatManyChangeAtOnceIsAllKept) {
  const TestFolder folder;
  const std::string path = folder.path("new/context.json");
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 8; ++writer) {
    writers.emplace_back([&path, writer] {
      for (int i = 0; i < 10; ++i) {
        EXPECT_TRUE(change_contexts(path, [&](Contexts& contexts) -> Result<> {
          contexts.all[fmt::format("{}-{}", writer, i)].api = "127.0.0.1:1";
          return {};
        }));
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(load_contexts(path).value().all.size(), 80u);
}

TEST(Context, AChangeThatFailsOrIsTooLargeLeavesTheFile) {
  const TestFolder folder;
  const std::string path = folder.path("context.json");
  ASSERT_TRUE(save_contexts(path, {.current = "a", .all = {{"a", {.api = "1"}}}}));
  EXPECT_EQ(change_contexts(path,
                            [](Contexts& contexts) -> Result<> {
                              contexts.all.clear();
                              return Error::not_found("no such context");
                            })
                .code(),
            ErrorCode::NotFound);
  EXPECT_EQ(change_contexts(path,
                            [](Contexts& contexts) -> Result<> {
                              contexts.all["b"].project = std::string(70'000, 'p');
                              return {};
                            })
                .code(),
            ErrorCode::InvalidArgument);
  EXPECT_EQ(load_contexts(path).value().all.at("a").api, "1");
}

TEST(Context, EachCloudHasItsOwn) {
  Contexts contexts;
  EXPECT_EQ(put_context(contexts, {.api = "1", .data = "/a"}), "local");
  EXPECT_EQ(put_context(contexts, {.api = "2", .data = "/b"}), "local-2");
  EXPECT_EQ(contexts.current, "local-2");
  contexts.all["local"].project = "set by a person";
  EXPECT_EQ(put_context(contexts, {.api = "3", .data = "/a"}), "local") << "the same cloud again";
  EXPECT_EQ(contexts.all.at("local").project, "set by a person");
  EXPECT_EQ(contexts.all.size(), 2u);
  EXPECT_EQ(contexts.all.at("local").api, "3");
  EXPECT_EQ(contexts.current, "local");
}

TEST(Context, OneOfSeveralIsNamedByFlagOrVariable) {
  const TestFolder folder;
  const std::string path = folder.path("context.json");
  ASSERT_TRUE(
      save_contexts(path, {.current = "a", .all = {{"a", {.api = "1"}}, {"b", {.api = "2"}}}}));
  std::map<std::string, std::string> variables{{"MESCLUN_CONTEXT", path}};
  const auto api_of = [&](const ContextValues& flags) {
    const Result<Context> context = resolve_context(flags, environment_of(variables));
    return context ? context->api.text : context.error().message;
  };
  EXPECT_EQ(api_of({}), "1");
  EXPECT_EQ(api_of({.context = "b"}), "2");
  EXPECT_NE(api_of({.context = "c"}).find("has no context 'c'; it has a, b"), std::string::npos);
  variables["MESCLUN_CONTEXT_NAME"] = "b";
  EXPECT_EQ(api_of({}), "2");
}

TEST(Context, CommandsListUseSetAndRemove) {
  const TestFolder folder;
  const std::map<std::string, std::string> variables{{"MESCLUN_CONTEXT", folder.path("c.json")}};
  const auto run = [&](std::vector<std::string> words) {
    return run_command(context_command, std::move(words), variables);
  };
  EXPECT_NE(run({"list"}).err.find("No contexts"), std::string::npos);
  EXPECT_EQ(run({"set", "work", "--api", "h:1", "--project", "p"}).status, 0);
  EXPECT_EQ(run({"set", "home", "--api", "h:2"}).status, 0);
  EXPECT_EQ(load_contexts(folder.path("c.json")).value().current, "work") << "the first one made";
  EXPECT_EQ(run({"use", "home"}).status, 0);
  const CommandResult wrong = run({"use", "hom"});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_NE(wrong.err.find("Did you mean home?"), std::string::npos);
  EXPECT_EQ(run({"set", "work", "--project", "q"}).status, 0);
  const Contexts seen = load_contexts(folder.path("c.json")).value();
  EXPECT_EQ(seen.current, "home");
  EXPECT_EQ(seen.all.at("work").api, "h:1");
  EXPECT_EQ(seen.all.at("work").project, "q");
  EXPECT_EQ(run({"remove", "home"}).status, 0);
  EXPECT_EQ(load_contexts(folder.path("c.json")).value().all.size(), 1u);
}

TEST(Context, MissingValueSaysEveryWayToGiveIt) {
  const Environment environment = environment_of({{"MESCLUN_CONTEXT", "/nowhere/context.json"}});
  const Context context = resolve_context({}, environment).value();
  const std::string text =
      require(context, context.api_key, "--api-key", "API key").error().message;
  for (const char* part :
       {"API key", "/nowhere/context.json", "mesclun up", "--api-key", "MESCLUN_API_KEY"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in: " << text;
  }
}

TEST(Context, KeysAreNeverShownWhole) {
  EXPECT_EQ(shortened_key("salad_cloud_user_0123456789abcdef"), "salad_…cdef");
  EXPECT_EQ(shortened_key("short"), "…");
}

}  // namespace
}  // namespace mesclun::client
