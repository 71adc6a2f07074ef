#include <cerrno>
#include <cstring>

#include "client/commands.h"
#include "client/flags.h"
#include "client/load_input.h"
#include "client/load_session.h"
#include "client/load_target.h"

namespace mesclun::client {

namespace {

constexpr const char* kAbout =
    "Sends requests to a service without ever making an overload worse: as many at once as it "
    "takes, retries within a budget, no request that cannot be answered in time.";

constexpr const char* kExamples = R"(Examples:
  mesclun load greeter -n 1000                     a group, through the gateway of the current context
  mesclun load http://greeter.localhost:8801/ --duration 1m --rate 50      50 a second, whatever comes back
  mesclun load http://127.0.0.1:8801/predict --host model.localhost \
      --bodies-jsonl prompts.jsonl --retry-unsafe --keep-bodies --out answers.jsonl      one request a line
  mesclun load http://HOST/asr --method POST --body-file a.wav --body-file b.wav --content-type audio/wav
  mesclun load http://HOST/ --header "Salad-Api-Key: $KEY" -o json | jq -r .latency_ms

Without --rate the next request is sent when there is room (closed loop). The room grows by about one per
round trip while answers come, and shrinks to 0.7 when the server answers 429, 503 or 504, cannot be connected
to, or does not answer in time. With --rate requests come at their times (open loop); one that cannot be
answered within --timeout is refused here at once and never sent.

Retried are 429, 5xx and broken connections; POST and PATCH only with --retry-unsafe, which says that they may
be done twice. A request counts as failed when its last attempt did.

JSON lines, in the order of the answers: index, status (0: no answer), attempts, hedged, latency_ms, error (null
when it succeeded), body_bytes, node (with --label-header), body or body_base64 (with --keep-bodies). With
-o json the table goes to standard error.

Exit status: 0 every request succeeded in the end, 1 some failed or the lines could not be written, 2 wrong usage, 130 after Ctrl-C, which stops
sending, waits up to 5 s for what is under way and prints the table; a second Ctrl-C ends at once.)";

constexpr uint64_t kRequestsDefault = 100;

struct Options {
  CommonOptions common;
  std::string url;
  std::string method;
  std::vector<std::string> headers;
  std::string host;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::string> body_files;
  std::string bodies_jsonl;
  std::string out;
  LoadSettings load;
  std::optional<CommandOption> body_option;
  std::optional<CommandOption> concurrency_option;
  std::optional<CommandOption> concurrency_max_option;
};

void add_request_flags(CommandLine& line, Options& o) {
  line.option("URL", o.url,
              "http://HOST:PORT/PATH, names under .localhost are this machine; or GROUP[/PATH]")
      .required();
  const auto group = [](CommandOption option) { return option.heading("Requests"); };
  group(line.option("--method", o.method, "GET, or POST with a body"));
  group(line.option("--header", o.headers, "A header field; repeatable"))
      .value_name("'NAME: VALUE'")
      .one_value_each();
  group(line.option("--host", o.host, "Host header: the access domain of a group"));
  o.body_option = group(line.option("--body", o.body, "The body of every request"));
  group(line.option("--body-file", o.body_files,
                    "The body from a file, - is standard input; repeatable: requests cycle "
                    "through them"))
      .value_name("FILE")
      .one_value_each();
  group(line.option("--bodies-jsonl", o.bodies_jsonl,
                    "One JSON value per line, each a body; - is standard input"))
      .value_name("FILE");
  group(add_setting(line, "--content-type", o.content_type, "Content-Type of the bodies"));
}

void add_amount_flags(CommandLine& line, Options& o) {
  const auto group = [](CommandOption option) { return option.heading("How many"); };
  group(add_setting(line, "-n,--requests", o.load.plan.requests, uint64_t{0},
                    uint64_t{1'000'000'000},
                    "How many; 0: each body once, or 100, or as many as --duration has time for"));
  group(add_setting(line, "--duration", o.load.plan.duration, 0s, std::chrono::hours(24 * 7),
                    "How long to send; 0: until --requests are done"));
  group(add_setting(line, "--rate", o.load.plan.rate, 0.0, 100'000.0,
                    "Requests a second; 0: whenever there is room"));
  o.concurrency_option =
      group(add_setting(line, "-c,--concurrency", o.load.traffic.concurrency, size_t{1},
                        size_t{10'000}, "Requests at once, at the start"));
  o.concurrency_max_option =
      group(add_setting(line, "--concurrency-max", o.load.traffic.concurrency_max, size_t{1},
                        size_t{10'000}, "Requests at once, at most"));
}

void add_care_flags(CommandLine& line, Options& o) {
  const auto group = [](CommandOption option) { return option.heading("Care"); };
  TrafficSettings& traffic = o.load.traffic;
  group(add_setting(line, "--timeout", o.load.plan.timeout, 1ms, std::chrono::hours(1),
                    "Each request's time, waiting and retries included; what is left of it goes "
                    "along as X-Request-Timeout-Ms"));
  group(add_setting(line, "--attempts", traffic.attempts_max, 1, 100,
                    "Attempts of one request, the first one included"));
  group(line.flag("--retry-unsafe", traffic.retry_unsafe,
                  "Send POST and PATCH again too, and hedge them: they may be done twice"));
  group(add_setting(line, "--retry-budget", traffic.retry_ratio, 0.0, 10.0,
                    "Retries and hedges per request, in the long run (and 10 at once)"));
  group(add_setting(line, "--hedge", traffic.hedge_quantile, 0.0, 0.999,
                    "Send a second copy after this quantile of the latencies, such as 0.95; 0: "
                    "never"));
  group(add_setting(line, "--waiting-max", traffic.waiting_max, size_t{0}, size_t{1'000'000},
                    "With --rate: requests that wait for room; more are refused at once"));
  group(add_setting(line, "--seed", o.load.seed, uint64_t{0}, std::numeric_limits<uint64_t>::max(),
                    "Of the random waits; 0: others each time"));
}

void add_result_flags(CommandLine& line, Options& o) {
  const auto group = [](CommandOption option) { return option.heading("Results"); };
  group(line.choice<bool>("-o,--output", o.load.json, {{"table", false}, {"json", true}},
                          "What to print: a table, or JSON lines"));
  group(line.option("--out", o.out, "Write the JSON lines to this file as well"))
      .value_name("FILE");
  group(line.flag("--keep-bodies", o.load.lines.keep_bodies,
                  "Put the body of each answer into its JSON line"));
  group(add_setting(line, "--label-header", o.load.lines.label_header,
                    "Response header that says who answered; becomes \"node\" of the JSON line"));
}

Result<> read_bodies(Options& o, const Console& console) {
  std::vector<std::string>& bodies = o.load.plan.bodies;
  const int kinds = (o.body_option->given() ? 1 : 0) + (o.body_files.empty() ? 0 : 1) +
                    (o.bodies_jsonl.empty() ? 0 : 1);
  if (kinds > 1) return Error::invalid("give one of --body, --body-file and --bodies-jsonl");
  if (o.body_option->given()) bodies.push_back(o.body);
  for (const std::string& path : o.body_files) {
    TRY(std::string body, read_body_file(path, console.in));
    bodies.push_back(std::move(body));
  }
  if (!o.bodies_jsonl.empty()) {
    TRY(const std::string text, read_body_file(o.bodies_jsonl, console.in));
    TRY(bodies, split_json_lines(o.bodies_jsonl, text));
  }
  return {};
}

// What the flags mean together.
Result<> complete(Options& o, const Console& console) {
  LoadPlan& plan = o.load.plan;
  TRY(o.load.address, parse_http_address(o.url));
  plan.call.target = o.load.address.target;
  TRY_DO(read_bodies(o, console));
  plan.call.method = o.method;
  if (o.method.empty()) plan.call.method = plan.bodies.empty() ? "GET" : "POST";
  if (!o.host.empty()) plan.call.headers.add("Host", o.host);
  for (const std::string& header : o.headers) TRY_DO(add_header(plan.call.headers, header));
  if (!plan.bodies.empty() && !plan.call.headers.has("Content-Type")) {
    plan.call.headers.add("Content-Type", o.content_type);
  }
  if (!plan.call.headers.has("User-Agent")) plan.call.headers.add("User-Agent", "mesclun-load");
  if (plan.requests == 0 && plan.duration == 0s) {
    plan.requests =
        plan.bodies.size() > 1 || !o.bodies_jsonl.empty() ? plan.bodies.size() : kRequestsDefault;
  }
  TrafficSettings& traffic = o.load.traffic;
  if (traffic.concurrency > traffic.concurrency_max) {
    const bool both = o.concurrency_option->given() && o.concurrency_max_option->given();
    if (both) return Error::invalid("--concurrency is larger than --concurrency-max");
    // Who names one of the two means it.
    (o.concurrency_option->given() ? traffic.concurrency_max : traffic.concurrency) =
        o.concurrency_option->given() ? traffic.concurrency : traffic.concurrency_max;
  }
  if (traffic.hedge_quantile > 0 && traffic.hedge_quantile < 0.5) {
    return Error::invalid("--hedge below 0.5 would send most requests twice");
  }
  plan.workers = traffic.concurrency_max;
  return {};
}

Task<Result<>> note_target(Session& session, std::string name, LoadTarget& target) {
  CO_TRY(target, co_await find_target(session, std::move(name)));
  co_return Result<>();
}

// A group's name becomes the address, Host and key with which it is called. The exit status of a
// failure.
std::optional<int> find_group(Options& o, const Console& console, const Environment& environment) {
  LoadTarget target;
  const auto find = [&](Session& session) { return note_target(session, o.url, target); };
  if (const int status = run_verb(o.common, Needs::Project, console, environment, find)) {
    return status;
  }
  o.url = target.url;
  if (o.host.empty()) o.host = target.host;
  if (!target.api_key.empty()) o.headers.push_back("Salad-Api-Key: " + target.api_key);
  return std::nullopt;
}

}  // namespace

int load_command(int argc, char** argv, const Console& console, const Environment& environment) {
  Options options;
  CommandLine line(kAbout, argv[0], "load");
  line.footer(kExamples);
  add_request_flags(line, options);
  add_amount_flags(line, options);
  add_care_flags(line, options);
  add_result_flags(line, options);
  add_user_context_flags(line, options.common);
  if (const auto status = line.parse(argc, argv)) return *status;
  if (names_group(options.url)) {
    if (const auto status = find_group(options, console, environment)) return *status;
  }
  if (const Result<> ready = complete(options, console); !ready) {
    console.note("mesclun: " + ready.error().message + "\nSee mesclun load --help.");
    return 2;
  }
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(nullptr, &std::fclose);
  if (!options.out.empty()) {
    out.reset(std::fopen(options.out.c_str(), "wbe"));
    if (out == nullptr) {
      console.note(fmt::format("mesclun: cannot write {}: {}", options.out, std::strerror(errno)));
      return 2;
    }
    options.load.lines_out = out.get();
    options.load.lines_name = options.out;
  }
  return run_load(std::move(options.load), console);
}

int run_load_command(int argc, char** argv) {
  return load_command(argc, argv, Console::standard(), process_environment());
}

}  // namespace mesclun::client
