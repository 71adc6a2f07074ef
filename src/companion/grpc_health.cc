#include "companion/grpc_health.h"

#include <nghttp2/nghttp2.h>

#include <map>

#include "base/race.h"

namespace mesclun::companion {

namespace {

// HealthCheckResponse.ServingStatus.
enum class Serving : uint8_t { Serving = 1, NotServing = 2, ServiceUnknown = 3 };

constexpr int kGrpcOk = 0;
constexpr int kGrpcInvalidArgument = 3;
constexpr int kGrpcNotFound = 5;
constexpr int kGrpcUnimplemented = 12;

constexpr uint32_t kStreamsMax = 32;
constexpr size_t kMessageBytesMax = 4096;
constexpr Duration kWatchInterval = 250ms;
constexpr Duration kIdle = 2min;

struct Stream {
  std::string path;
  std::string received;
  std::string out;
  bool watch = false;
  std::optional<Serving> told;
  std::string service;
  bool ended = false;  // `out` is all that comes, then the trailers
  int grpc_status = kGrpcOk;
  std::string grpc_message;
};

nghttp2_nv header(std::string_view name, std::string_view value) {
  // nghttp2 copies both; it does not write to them.
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

class HealthSession {
 public:
  explicit HealthSession(std::function<HealthVerdict()> health) : health_(std::move(health)) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_server_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kStreamsMax};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &settings, 1);
  }
  ~HealthSession() { nghttp2_session_del(session_); }
  HealthSession(const HealthSession&) = delete;
  HealthSession& operator=(const HealthSession&) = delete;

  bool receive(std::string_view bytes) {
    const ssize_t used = nghttp2_session_mem_recv(
        session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    return used == static_cast<ssize_t>(bytes.size());
  }

  std::string pending() {
    std::string out;
    while (true) {
      const uint8_t* data = nullptr;
      const ssize_t n = nghttp2_session_mem_send(session_, &data);
      if (n <= 0) return out;
      out.append(reinterpret_cast<const char*>(data), static_cast<size_t>(n));
    }
  }

  bool open() const {
    return nghttp2_session_want_read(session_) != 0 || nghttp2_session_want_write(session_) != 0;
  }

  bool watching() const {
    return std::any_of(streams_.begin(), streams_.end(),
                       [](const auto& entry) { return entry.second.watch; });
  }

  void tell_watchers() {
    for (auto& [id, stream] : streams_) {
      if (!stream.watch) continue;
      const Serving now = serving(stream.service);
      if (stream.told == now) continue;
      stream.told = now;
      append_status(now, stream.out);
      nghttp2_session_resume_data(session_, id);
    }
  }

 private:
  static HealthSession& self(void* user) { return *static_cast<HealthSession*>(user); }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_HEADERS) self(user).streams_.try_emplace(frame->hd.stream_id);
    return 0;
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                       size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                       void* user) {
    const std::string_view key(reinterpret_cast<const char*>(name), name_size);
    if (key == ":path" && value_size <= 256) {
      self(user).streams_[frame->hd.stream_id].path.assign(reinterpret_cast<const char*>(value),
                                                           value_size);
    }
    return 0;
  }
  static int on_data(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data,
                     size_t size, void* user) {
    Stream& stream = self(user).streams_[id];
    if (stream.received.size() + size > kMessageBytesMax) {
      return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_ENHANCE_YOUR_CALM);
    }
    stream.received.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    const bool carries_end = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (carries_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
      self(user).answer(frame->hd.stream_id);
    }
    return 0;
  }
  static int on_close(nghttp2_session*, int32_t id, uint32_t, void* user) {
    self(user).streams_.erase(id);
    return 0;
  }

  static ssize_t read_out(nghttp2_session* session, int32_t id, uint8_t* buffer, size_t size,
                          uint32_t* flags, nghttp2_data_source* source, void*) {
    Stream& stream = *static_cast<Stream*>(source->ptr);
    if (stream.out.empty() && !stream.ended) return NGHTTP2_ERR_DEFERRED;
    const size_t n = std::min(size, stream.out.size());
    std::copy_n(stream.out.data(), n, buffer);
    stream.out.erase(0, n);
    if (stream.ended && stream.out.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const std::string status = std::to_string(stream.grpc_status);
      const nghttp2_nv trailers[] = {header("grpc-status", status),
                                     header("grpc-message", stream.grpc_message)};
      nghttp2_submit_trailer(session, id, trailers, stream.grpc_message.empty() ? 1 : 2);
    }
    return static_cast<ssize_t>(n);
  }

  // A gRPC message with its 5 bytes of prefix: field 1, the enumeration.
  static void append_status(Serving serving, std::string& out) {
    const char message[] = {0, 0, 0, 0, 2, 0x08, static_cast<char>(serving)};
    out.append(message, sizeof message);
  }

  Serving serving(const std::string& service) const {
    const HealthVerdict verdict = health_();
    bool good = false;
    if (service.empty() || service == "live") {
      good = verdict.alive();
    } else if (service == "ready") {
      good = verdict.health == Health::Ready;
    } else {
      return Serving::ServiceUnknown;
    }
    return good ? Serving::Serving : Serving::NotServing;
  }

  void fail(Stream& stream, int status, std::string message) {
    stream.grpc_status = status;
    stream.grpc_message = std::move(message);
    stream.ended = true;
  }

  void decide(Stream& stream) {
    const bool check = stream.path == "/grpc.health.v1.Health/Check";
    const bool watch = stream.path == "/grpc.health.v1.Health/Watch";
    if (!check && !watch) return fail(stream, kGrpcUnimplemented, "only grpc.health.v1 is here");
    const std::string_view received = stream.received;
    if (received.size() < 5 || received[0] != 0) {
      return fail(stream, kGrpcInvalidArgument, "expected one uncompressed message");
    }
    Result<std::string> service = parse_health_request(received.substr(5));
    if (!service) return fail(stream, kGrpcInvalidArgument, service.error().message);
    stream.service = std::move(*service);
    const Serving now = serving(stream.service);
    if (watch) {
      stream.watch = true;
      stream.told = now;
      append_status(now, stream.out);
      return;
    }
    if (now == Serving::ServiceUnknown) return fail(stream, kGrpcNotFound, "unknown service");
    append_status(now, stream.out);
    stream.ended = true;
  }

  void answer(int32_t id) {
    Stream& stream = streams_[id];
    decide(stream);
    const nghttp2_nv headers[] = {header(":status", "200"),
                                  header("content-type", "application/grpc")};
    nghttp2_data_provider provider{};
    provider.source.ptr = &stream;  // a map's entries stay where they are
    provider.read_callback = read_out;
    nghttp2_submit_response(session_, id, headers, 2, &provider);
  }

  std::function<HealthVerdict()> health_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, Stream> streams_;
};

}  // namespace

Result<std::string> parse_health_request(std::string_view message) {
  std::string service;
  size_t at = 0;
  const auto varint = [&](uint64_t& out) {
    out = 0;
    for (int shift = 0; shift < 64 && at < message.size(); shift += 7) {
      const auto byte = static_cast<uint8_t>(message[at++]);
      out |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return true;
    }
    return false;
  };
  while (at < message.size()) {
    uint64_t tag = 0;
    uint64_t value = 0;
    if (!varint(tag)) return Error::invalid("malformed message");
    switch (tag & 7) {
      case 0:
        if (!varint(value)) return Error::invalid("malformed message");
        break;
      case 1:
      case 5:
        value = (tag & 7) == 1 ? 8 : 4;
        if (value > message.size() - at) return Error::invalid("malformed message");
        at += value;
        break;
      case 2:
        if (!varint(value) || value > message.size() - at) {
          return Error::invalid("malformed message");
        }
        if (tag >> 3 == 1) service = message.substr(at, value);
        at += value;
        break;
      default:
        return Error::invalid("malformed message");
    }
  }
  return service;
}

Task<Result<>> serve_grpc_health(ConnPtr conn, Clock& clock,
                                 std::function<HealthVerdict()> health) {
  HealthSession session(std::move(health));
  TimePoint idle_until = clock.now() + kIdle;
  char chunk[4096];
  while (true) {
    session.tell_watchers();
    if (const std::string out = session.pending(); !out.empty()) {
      conn->set_deadline(clock.now() + 10s);
      if (!co_await conn->write(out)) co_return Result<>();
    }
    if (!session.open()) co_return Result<>();
    if (session.watching()) idle_until = clock.now() + kIdle;
    conn->set_deadline(TimePoint::max());
    const Duration wait =
        session.watching() ? kWatchInterval : std::max<Duration>(1ms, idle_until - clock.now());
    const Result<size_t> n = co_await within(clock, wait, conn->read_some(asio::buffer(chunk)));
    if (!n && n.code() == ErrorCode::DeadlineExceeded) {
      if (session.watching()) continue;
      co_return Result<>();
    }
    if (!n || *n == 0) co_return Result<>();
    idle_until = clock.now() + kIdle;
    if (!session.receive(std::string_view(chunk, *n))) co_return Result<>();
  }
}

}  // namespace mesclun::companion
