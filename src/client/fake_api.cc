#include "client/fake_api.h"

#include <boost/asio/use_future.hpp>
#include <future>

#include "api/problem.h"

namespace mesclun::client {

namespace {

HttpResponse problem(const Error& error) {
  HttpResponse response;
  response.status = http_status(error.code);
  response.headers.add("Content-Type", api::kProblemMediaType);
  response.body = api::problem_json(error);
  return response;
}

Task<Result<Endpoint>> start(HttpServer& server, asio::any_io_executor executor) {
  const Endpoint any{.host = "127.0.0.1"};
  CO_TRY(Listener listener, Listener::bind(executor, any));
  const Endpoint bound = listener.endpoint();
  server.serve(std::move(listener));
  co_return bound;
}

// A stdio stream over memory, for what a command prints.
class Capture {
 public:
  Capture() : file_(::open_memstream(&data_, &size_)) {}
  ~Capture() {
    if (file_ != nullptr) std::fclose(file_);
    std::free(data_);
  }
  std::FILE* file() { return file_; }
  std::string take() {
    std::fclose(file_);
    file_ = nullptr;
    return std::string(data_, size_);
  }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
  std::FILE* file_;
};

}  // namespace

FakeApi::FakeApi() {
  server_ = std::make_unique<HttpServer>(
      loop_.executor(), clock_, "fake-api", HttpLimits{},
      [this](HttpRequest request) { return answer(std::move(request)); }, problem);
  endpoint_ = asio::co_spawn(loop_.executor(), start(*server_, loop_.executor()), asio::use_future)
                  .get()
                  .value();
}

FakeApi::~FakeApi() {
  asio::co_spawn(loop_.executor(), server_->stop(), asio::use_future).get();
}

void FakeApi::on(const std::string& line, FakeAnswer answer) {
  const std::scoped_lock lock(mutex_);
  answers_[line].push_back(std::move(answer));
}

std::vector<SeenRequest> FakeApi::seen() const {
  const std::scoped_lock lock(mutex_);
  return seen_;
}

bool FakeApi::wait_for(const std::string& line, size_t count) const {
  for (int i = 0; i < 2000; ++i) {
    const std::vector<SeenRequest> all = seen();
    const auto times = std::ranges::count_if(all, [&](const auto& r) { return r.line == line; });
    if (static_cast<size_t>(times) >= count) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

Task<HttpResponse> FakeApi::answer(HttpRequest request) {
  const std::string line = request.head.method + " " + request.head.target;
  const auto header = [&](std::string_view name) {
    return std::string(request.head.headers.find(name).value_or(""));
  };
  const std::scoped_lock lock(mutex_);
  seen_.push_back({.line = line,
                   .key = header("Salad-Api-Key"),
                   .host = header("Host"),
                   .media_type = header("Content-Type"),
                   .body = request.body});
  const auto found = answers_.find(line);
  if (found == answers_.end()) co_return problem(Error::not_found("no such thing: " + line));
  const FakeAnswer chosen = found->second.front();
  if (found->second.size() > 1) found->second.pop_front();
  HttpResponse response;
  response.status = chosen.status;
  response.body = chosen.body;
  response.headers.add("Content-Type", "application/json");
  if (!chosen.retry_after.empty()) response.headers.add("Retry-After", chosen.retry_after);
  if (!chosen.gateway_error.empty()) {
    response.headers.add("X-Gateway-Error", chosen.gateway_error);
  }
  co_return response;
}

CommandResult run_command(Command command, std::vector<std::string> words,
                          const std::map<std::string, std::string>& variables,
                          const std::string& input, bool is_terminal) {
  words.insert(words.begin(), "mesclun x");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  Capture out;
  Capture err;
  std::string in_text = input.empty() ? "\n" : input;
  Console console;
  console.in = ::fmemopen(in_text.data(), in_text.size(), "r");
  console.out = out.file();
  console.err = err.file();
  console.err_is_terminal = is_terminal;
  const Environment environment = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
  CommandResult result;
  result.status = command(static_cast<int>(words.size()), argv.data(), console, environment);
  std::fclose(console.in);
  result.out = out.take();
  result.err = err.take();
  return result;
}

std::map<std::string, std::string> fake_environment(const FakeApi& api) {
  return {{"MESCLUN_API", "http://" + api.endpoint().to_string()},
          {"MESCLUN_GATEWAY", "127.0.0.1:8801"},
          {"MESCLUN_ORGANIZATION", "acme"},
          {"MESCLUN_PROJECT", "demo"},
          {"MESCLUN_API_KEY", "user-key-0123456789"},
          {"MESCLUN_OPERATOR_KEY", "operator-key-0123456789"}};
}

}  // namespace mesclun::client
