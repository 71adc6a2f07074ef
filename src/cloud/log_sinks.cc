#include "cloud/log_sinks.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/tls_conn.h"
#include "http/public_address.h"

namespace mesclun::cloud {

namespace {

constexpr Duration kTroubleTold = 10min;  // between two lines of our own log about one sink
constexpr size_t kAnswerBytesMax = 64 * 1024;
// A string's own, beside its bytes.
constexpr size_t kRecordOverhead = 64;
constexpr size_t kOrganizationPart = 4;  // a quarter

SinkRecord record_of(const OwnedLines& lines, const link::LogLine& line) {
  return {.time = line.time,
          .stream = line.stream,
          .text = line.text,
          .project_name = lines.owner.project_name,
          .group_name = lines.owner.group_name,
          .instance_id = lines.batch.instance_id,
          .machine_id = lines.machine_id,
          .version = lines.batch.version};
}

}  // namespace

// Of one group, while lines are under way.
struct LogSinks::Sink {
  Sink(const asio::any_io_executor& executor, std::string group, std::string organization)
      : group_id(std::move(group)), organization_id(std::move(organization)), changed(executor) {}

  const std::string group_id;
  const std::string organization_id;
  Notify changed;
  std::deque<std::string> records;
  size_t bytes = 0;
  int64_t dropped = 0;  // not told yet
  SinkRecord latest;    // of which a word about dropped lines has the labels
  ConnPtr conn;         // tcp
  std::string conn_to;
  TimePoint told_trouble = TimePoint::min();
};

LogSinks::LogSinks(const asio::any_io_executor& executor, Clock& clock, Random& random,
                   const Fleet& fleet, LogSinkSettings settings)
    : clock_(clock),
      random_(random),
      fleet_(fleet),
      settings_(settings),
      scope_(executor, "log sinks") {}

LogSinks::~LogSinks() = default;

std::optional<api::LogSink> LogSinks::config_of(const std::string& group_id) const {
  const Group* group = fleet_.groups.find(group_id);
  if (group == nullptr || !group->spec.container.logging) return std::nullopt;
  return api::read_log_sink(*group->spec.container.logging);
}

void LogSinks::take(const LogTable::Batches& batches) {
  for (const OwnedLines& lines : batches) {
    if (lines.batch.lines.empty()) continue;
    const auto config = config_of(lines.batch.group_id);
    if (!config) continue;
    const std::string& group_id = lines.batch.group_id;
    const bool is_new = !sinks_.contains(group_id);
    if (is_new && !has_place(lines.owner.organization_id)) {
      dropped_ += std::ssize(lines.batch.lines);
      continue;
    }
    std::shared_ptr<Sink>& sink = sinks_[group_id];
    if (is_new) {
      sink = std::make_shared<Sink>(scope_.executor(), group_id, lines.owner.organization_id);
      ++load_of_[sink->organization_id].sinks;
    }
    add(*sink, lines, *config);
    if (is_new) scope_.spawn(run(sink));
  }
}

bool LogSinks::has_place(const std::string& organization_id) const {
  const auto load = load_of_.find(organization_id);
  const size_t own = load == load_of_.end() ? 0 : load->second.sinks;
  return sinks_.size() < settings_.sinks_max && own < settings_.sinks_max / kOrganizationPart;
}

bool LogSinks::is_over(const Sink& sink) const {
  return sink.records.size() > settings_.sink_lines_max || sink.bytes > settings_.sink_bytes_max ||
         load_of_.at(sink.organization_id).bytes > settings_.bytes_max / kOrganizationPart ||
         bytes_ > settings_.bytes_max;
}

void LogSinks::add(Sink& sink, const OwnedLines& lines, const api::LogSink& config) {
  for (const link::LogLine& line : lines.batch.lines) {
    SinkRecord record = record_of(lines, line);
    push(sink, record_text(config, record));
    if (&line == &lines.batch.lines.back()) sink.latest = std::move(record);
  }
  sink.changed.notify_all();
}

void LogSinks::push(Sink& sink, std::string record) {
  grow(sink, record.size() + kRecordOverhead);
  sink.records.push_back(std::move(record));
  while (!sink.records.empty() && is_over(sink)) {
    drop_oldest(sink);
    ++sink.dropped;
    ++dropped_;
  }
}

void LogSinks::grow(Sink& sink, size_t size) {
  sink.bytes += size;
  load_of_.at(sink.organization_id).bytes += size;
  bytes_ += size;
}

void LogSinks::drop_oldest(Sink& sink) {
  const size_t size = sink.records.front().size() + kRecordOverhead;
  sink.bytes -= size;
  load_of_.at(sink.organization_id).bytes -= size;
  bytes_ -= size;
  sink.records.pop_front();
}

// False: none came for long.
Task<Result<bool>> LogSinks::wait_for_lines(Sink& sink) {
  const TimePoint end = clock_.now() + settings_.idle_max;
  while (sink.records.empty() && clock_.now() < end) {
    CO_TRY_DO(co_await sink.changed.wait_until(clock_, end));
  }
  co_return !sink.records.empty();
}

Task<Result<>> LogSinks::run(std::shared_ptr<Sink> sink) {
  BackOff back_off(settings_.back_off_min, settings_.back_off_max);
  Result<> ended;
  while (true) {
    const Result<bool> more = co_await wait_for_lines(*sink);
    if (!more) ended = more.error();
    if (!more || !*more) break;
    // As the group has it now; without a sink, what waits is nobody's.
    std::optional<api::LogSink> config = config_of(sink->group_id);
    if (!config) break;
    std::vector<std::string> records;
    size_t bytes = 0;
    while (!sink->records.empty() && records.size() < settings_.batch_lines &&
           bytes < settings_.batch_bytes) {
      bytes += sink->records.front().size();
      records.push_back(sink->records.front());
      drop_oldest(*sink);
    }
    const int64_t told = std::exchange(sink->dropped, 0);
    if (told > 0) {
      SinkRecord word = sink->latest;
      word.stream = "stderr";
      word.text = fmt::format("mesclun: {} lines were not delivered: this sink was away", told);
      records.insert(records.begin(), record_text(*config, word));
    }
    const std::vector<std::string> again = records;
    const Result<> delivered = co_await deliver(*sink, *std::move(config), std::move(records));
    if (delivered) {
      back_off.reset();
      ended = co_await clock_.sleep_for(settings_.linger);
      if (!ended) break;
      continue;
    }
    if (delivered.code() == ErrorCode::Cancelled) {
      ended = delivered;
      break;
    }
    tell_trouble(*sink, delivered.error());
    sink->dropped += told;
    for (size_t i = again.size(); i > (told > 0 ? 1 : 0); --i) {
      grow(*sink, again[i - 1].size() + kRecordOverhead);
      sink->records.push_front(again[i - 1]);
    }
    ended = co_await clock_.sleep_for(back_off.next(random_));
    if (!ended) break;
  }
  while (!sink->records.empty()) drop_oldest(*sink);
  sinks_.erase(sink->group_id);
  const auto load = load_of_.find(sink->organization_id);
  if (--load->second.sinks == 0) load_of_.erase(load);
  co_return ended;
}

void LogSinks::tell_trouble(Sink& sink, const Error& error) const {
  if (sink.told_trouble != TimePoint::min() && clock_.now() < sink.told_trouble + kTroubleTold) {
    return;
  }
  sink.told_trouble = clock_.now();
  log_warning("logs", "a group's log sink takes no lines; they wait, and the oldest are dropped",
              {{"group_id", sink.group_id}, {"error", error.message}});
}

Task<Result<ConnPtr>> LogSinks::connect(api::LogSink config) {
  const SinkAddress address = address_of(config);
  const TimePoint end = clock_.now() + settings_.call_max;
  CO_TRY(ConnPtr conn, co_await dial(address.endpoint, clock_, settings_.call_max,
                                     settings_.private_addresses ? nullptr : is_public_address));
  if (!address.tls) co_return conn;
  co_return co_await tls_client(std::move(conn), address.host, clock_, end - clock_.now());
}

Task<Result<>> LogSinks::deliver(Sink& sink, api::LogSink config,
                                 std::vector<std::string> records) {
  if (!config.tcp) co_return co_await call(std::move(config), std::move(records));
  const std::string to = address_of(config).endpoint.to_string();
  const bool stands =
      sink.conn != nullptr && sink.conn_to == to && sink.conn->peer() == Conn::Peer::There;
  if (!stands) {
    sink.conn.reset();
    CO_TRY(sink.conn, co_await connect(std::move(config)));
    sink.conn_to = to;
  }
  sink.conn->set_deadline(clock_.now() + settings_.call_max);
  const std::string text = lines_of(records);
  const Result<> written = co_await sink.conn->write(text);
  if (!written) sink.conn.reset();
  // It may rest until the next lines.
  if (written) sink.conn->set_deadline(TimePoint::max());
  co_return written;
}

Task<Result<>> LogSinks::call(api::LogSink config, std::vector<std::string> records) {
  const SinkAddress address = address_of(config);
  const uint16_t own_port = address.tls ? 443 : 80;
  std::string host = address.endpoint.to_string();
  if (address.endpoint.port == own_port) host.resize(host.rfind(':'));
  HttpCall made = *call_of(config, records);
  const TimePoint end = clock_.now() + settings_.call_max;
  CO_TRY(const ConnPtr conn, co_await connect(std::move(config)));
  conn->set_deadline(end);
  bool keep_alive = false;
  CO_TRY(const HttpReply reply,
         co_await http_call(*conn, std::move(made), std::move(host), kAnswerBytesMax, keep_alive));
  if (reply.status >= 200 && reply.status < 300) co_return Result<>();
  co_return Error::unavailable(fmt::format("the sink answered {}", reply.status));
}

}  // namespace mesclun::cloud
