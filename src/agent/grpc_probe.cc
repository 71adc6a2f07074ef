#include "agent/grpc_probe.h"

#include <fmt/format.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>

namespace mesclun::agent {

namespace {

// A HealthCheckResponse has two bytes; what servers say beside it is small.
constexpr size_t kAnswerBytesMax = 4096;
constexpr size_t kReceivedBytesMax = 256 * 1024;

nghttp2_nv header(std::string_view name, std::string_view value) {
  // nghttp2 copies both; it does not write to them.
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

// HealthCheckRequest{service} with gRPC's five bytes before it.
std::string request_message(const std::string& service) {
  std::string message;
  if (!service.empty()) {
    message += '\x0a';
    size_t size = service.size();
    for (; size >= 0x80; size >>= 7) message += static_cast<char>((size & 0x7f) | 0x80);
    message += static_cast<char>(size);
    message += service;
  }
  const auto size = static_cast<uint32_t>(message.size());
  std::string framed(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) framed += static_cast<char>(size >> shift);
  return framed + message;
}

// The enumeration in field 1 of a HealthCheckResponse; absent means zero.
Result<std::string> read_status(std::string_view framed) {
  if (framed.size() < 5 || framed[0] != 0) return Error::invalid("no gRPC message came");
  const std::string_view message = framed.substr(5);
  if (message.empty()) return std::string("UNKNOWN");
  if (message.size() < 2 || message[0] != 0x08) return Error::invalid("no health status came");
  constexpr std::array<std::string_view, 4> kNames = {"UNKNOWN", "SERVING", "NOT_SERVING",
                                                      "SERVICE_UNKNOWN"};
  const auto status = static_cast<uint8_t>(message[1]);
  return std::string(status < kNames.size() ? kNames[status] : "an unknown status");
}

class HealthCall {
 public:
  HealthCall(const std::string& authority, const std::string& service)
      : unsent_(request_message(service)) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_client_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
    const nghttp2_nv headers[] = {header(":method", "POST"),
                                  header(":scheme", "http"),
                                  header(":authority", authority),
                                  header(":path", "/grpc.health.v1.Health/Check"),
                                  header("content-type", "application/grpc"),
                                  header("te", "trailers"),
                                  header("user-agent", "mesclun-probe/1")};
    nghttp2_data_provider provider{};
    provider.source.ptr = this;
    provider.read_callback = read_message;
    nghttp2_submit_request(session_, nullptr, headers, std::size(headers), &provider, nullptr);
  }
  ~HealthCall() { nghttp2_session_del(session_); }
  HealthCall(const HealthCall&) = delete;
  HealthCall& operator=(const HealthCall&) = delete;

  std::string pending() {
    std::string out;
    while (true) {
      const uint8_t* data = nullptr;
      const ssize_t n = nghttp2_session_mem_send(session_, &data);
      if (n <= 0) return out;
      out.append(reinterpret_cast<const char*>(data), static_cast<size_t>(n));
    }
  }
  bool receive(std::string_view bytes) {
    const ssize_t used = nghttp2_session_mem_recv(
        session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    return used == static_cast<ssize_t>(bytes.size());
  }
  bool ended() const { return ended_; }

  Result<std::string> outcome() const {
    if (http_status_ != "200") return fmt::format("HTTP status {}", http_status_);
    if (grpc_status_ != "0") return fmt::format("gRPC status {}", grpc_status_);
    return read_status(answer_);
  }

 private:
  static int on_header(nghttp2_session*, const nghttp2_frame*, const uint8_t* name,
                       size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                       void* user) {
    auto& self = *static_cast<HealthCall*>(user);
    const std::string_view key(reinterpret_cast<const char*>(name), name_size);
    const std::string_view text(reinterpret_cast<const char*>(value),
                                std::min<size_t>(value_size, 16));
    if (key == ":status") self.http_status_ = text;
    if (key == "grpc-status") self.grpc_status_ = text;
    return 0;
  }
  static int on_data(nghttp2_session*, uint8_t, int32_t, const uint8_t* data, size_t size,
                     void* user) {
    auto& self = *static_cast<HealthCall*>(user);
    if (self.answer_.size() + size > kAnswerBytesMax) return NGHTTP2_ERR_CALLBACK_FAILURE;
    self.answer_.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }
  static int on_close(nghttp2_session*, int32_t, uint32_t, void* user) {
    static_cast<HealthCall*>(user)->ended_ = true;
    return 0;
  }
  static ssize_t read_message(nghttp2_session*, int32_t, uint8_t* buffer, size_t size,
                              uint32_t* flags, nghttp2_data_source* source, void*) {
    auto& self = *static_cast<HealthCall*>(source->ptr);
    const size_t n = std::min(size, self.unsent_.size());
    std::copy_n(self.unsent_.data(), n, buffer);
    self.unsent_.erase(0, n);
    if (self.unsent_.empty()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(n);
  }

  nghttp2_session* session_ = nullptr;
  std::string unsent_;
  std::string answer_;
  std::string http_status_ = "none";
  std::string grpc_status_ = "none";
  bool ended_ = false;
};

}  // namespace

Task<Result<std::string>> grpc_health_check(Conn& conn, std::string authority,
                                            std::string service) {
  HealthCall call(authority, service);
  size_t received = 0;
  char chunk[4096];
  while (true) {
    if (const std::string out = call.pending(); !out.empty()) CO_TRY_DO(co_await conn.write(out));
    if (call.ended()) co_return call.outcome();
    CO_TRY(const size_t n, co_await conn.read_some(asio::buffer(chunk)));
    if (n == 0) co_return Error::unavailable("the connection ended before the answer");
    received += n;
    if (received > kReceivedBytesMax || !call.receive(std::string_view(chunk, n))) {
      co_return Error::invalid("what came is no HTTP/2 answer");
    }
  }
}

}  // namespace mesclun::agent
