// For tests: a container engine of their own, with folders of its own, that knows one image.
#pragma once

#include <fmt/ranges.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/test_folder.h"
#include "base/test_loop.h"
#include "runtime/docker/engine.h"

namespace mesclun::runtime {

inline constexpr const char* kTestImage = "mesclun-test:1";

// Starts with the first who asks, ends with the test program. Needs root, docker.io and
// busybox-static.
class TestEngine {
 public:
  // Why there is none: an error that names what is missing.
  static Result<Endpoint> get() {
    static TestEngine engine;
    return engine.socket_;
  }

  // Of docker.io, at this engine. Its status.
  static int docker(std::vector<std::string> words) {
    const Result<Endpoint> engine = get();
    if (!engine) return -1;
    words.insert(words.begin(), {"/usr/bin/docker", "-H", "unix://" + engine->host});
    return run(std::move(words));
  }

  ~TestEngine() {
    const pid_t process = pid();
    if (process <= 0) return;
    ::kill(process, SIGTERM);
    // Its folders can be removed only afterwards.
    const TimePoint end = RealClock().now() + 20s;
    while (::kill(process, 0) == 0 && RealClock().now() < end) ::poll(nullptr, 0, 10);
  }

 private:
  TestEngine() : socket_(start()) {}

  Result<Endpoint> start() {
    constexpr const char* kProgram = "/usr/sbin/dockerd";
    if (::geteuid() != 0) return Error::unavailable("needs root");
    for (const char* program : {kProgram, "/bin/busybox"}) {
      if (::access(program, X_OK) != 0) return Error::unavailable(fmt::format("no {}", program));
    }
    std::vector<std::string> words{kProgram,
                                   "--data-root=" + folder_.path("data"),
                                   "--exec-root=" + folder_.path("exec"),
                                   "--pidfile=" + folder_.path("pid"),
                                   "--host=unix://" + folder_.path("socket"),
                                   "--bridge=none",
                                   "--iptables=false",
                                   "--ip6tables=false"};
    // Not a child of ours, which tests look for; and it ends with us, however we end.
    std::string command =
        fmt::format("({} >{} 2>&1 & ", fmt::join(words, " "), folder_.path("log"));
    command += fmt::format(
        "while kill -0 {} && kill -0 $!; do sleep 0.5; done; kill $!) >/dev/null 2>&1 &",
        ::getpid());
    run({"/bin/sh", "-c", command});
    Endpoint socket{.host = folder_.path("socket"), .port = 0, .is_unix = true};
    RealLoop loop;
    Result<> ready = Error::unavailable("no answer");
    for (int i = 0; i < 300 && !ready; ++i) {
      loop.run(import_image(socket, loop.clock, ready));
      if (i > 20 && pid() <= 0) break;
    }
    if (ready) return socket;
    return Error::unavailable(fmt::format("dockerd does not start: {}\n{}", ready.error().message,
                                          read_file(folder_.path("log")).value_or("")));
  }

  Task<Result<>> import_image(Endpoint socket, Clock& clock, Result<>& ready) {
    CO_TRY_DO(co_await clock.sleep_for(100ms));
    Engine engine(clock, socket);
    const Result<json::value> known = co_await engine.call({.target = "/info"});
    ready = known ? Result<>() : known.error();
    if (!ready) co_return Result<>();
    const Result<std::string> image = pack_image();
    ready = image ? Result<>() : image.error();
    if (!ready) co_return Result<>();
    // Its answer is a stream of lines, not one JSON text.
    CO_TRY(const std::unique_ptr<EngineStream> stream,
           co_await engine.open(
               {.method = "POST",
                .target = "/images/create?fromSrc=-&repo=mesclun-test&tag=1&changes=" +
                          std::string("ENV%20OF_IMAGE%3Dyes&changes=VOLUME%20%2Fvolume"),
                .body = *image,
                .content_type = "application/x-tar"}));
    while (true) {
      CO_TRY(const std::string bytes, co_await stream->read());
      if (bytes.empty()) break;
    }
    co_return Result<>();
  }

  // A shell and what tests call, of one static program.
  Result<std::string> pack_image() {
    const std::string root = folder_.path("root");
    const std::string packed = folder_.path("image.tar");
    std::string script =
        fmt::format("mkdir -p {0}/bin {0}/tmp && cp /bin/busybox {0}/bin/ && ", root);
    for (const char* name : {"sh", "sleep", "true", "test", "touch", "cat", "wget", "id", "nc",
                             "head", "tr", "dd", "grep", "echo", "nslookup", "stty", "setsid"}) {
      script += fmt::format("ln -sf busybox {}/bin/{} && ", root, name);
    }
    script += fmt::format("tar -C {} -cf {} .", root, packed);
    if (run({"/bin/sh", "-c", script}) != 0) return Error::unavailable("cannot pack the image");
    return read_file(packed, 16 * 1024 * 1024);
  }

  // Its status.
  static int run(std::vector<std::string> words) {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t child = 0;
    if (::posix_spawn(&child, arguments[0], nullptr, nullptr, arguments.data(), ::environ) != 0) {
      return -1;
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
  }
  // 0: it does not run.
  pid_t pid() const {
    const Result<std::string> text = read_file(folder_.path("pid"));
    const pid_t process = text ? std::atoi(text->c_str()) : 0;
    return process > 0 && ::kill(process, 0) == 0 ? process : 0;
  }

  const TestFolder folder_;
  Result<Endpoint> socket_;  // last: it starts the process
};

// A registry on this machine's loopback, which engines trust without TLS. Needs docker-registry.
class TestRegistry {
 public:
  explicit TestRegistry(uint16_t port) : address_(fmt::format("127.0.0.1:{}", port)) {
    std::string config = "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: ";
    config += fmt::format("{}\nhttp:\n  addr: {}\n", folder_.path("images"), address_);
    std::ignore = replace_file(folder_.path("config.yml"), config, Durability::ProcessCrash, 0644);
    const std::string command = fmt::format("exec docker-registry serve {} >{} 2>&1",
                                            folder_.path("config.yml"), folder_.path("log"));
    std::vector<std::string> words{"/bin/sh", "-c", command};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::posix_spawn(&process_, arguments[0], nullptr, nullptr, arguments.data(), ::environ);
  }
  TestRegistry(const TestRegistry&) = delete;
  TestRegistry& operator=(const TestRegistry&) = delete;
  ~TestRegistry() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }

  // An image like the test image, there under this name, and no longer with the engine. Empty: it
  // cannot be made.
  std::string push(const std::string& name) {
    std::string image = address_ + "/" + name;
    const bool made = TestEngine::docker({"create", "--name", "model", kTestImage, "true"}) == 0 &&
                      TestEngine::docker({"commit", "-c", "LABEL of=" + name, "model", image}) == 0;
    if (TestEngine::docker({"rm", "model"}) != 0 || !made) return "";
    const TimePoint end = RealClock().now() + 20s;
    while (TestEngine::docker({"push", "-q", image}) != 0) {
      if (RealClock().now() > end) return "";
      ::poll(nullptr, 0, 100);
    }
    return TestEngine::docker({"rmi", image}) == 0 ? image : "";
  }

 private:
  const TestFolder folder_;
  const std::string address_;
  pid_t process_ = 0;
};

}  // namespace mesclun::runtime
