#include "http/h2_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "base/race.h"
#include "base/service.h"
#include "http/linger.h"

namespace mesclun {

namespace {

// Of one stream; all of them together may have as much as they like, or one that waits for its
// server would hold up the others.
constexpr uint32_t kStreamWindow = 128 * 1024;
constexpr int32_t kConnectionWindow = 1024 * 1024;
constexpr size_t kWriteBytes = 64 * 1024;
constexpr Duration kLook = 2s;
// Answers to pings and settings, resets: a client that takes none of them has no need of more.
constexpr size_t kOutboundFramesMax = 2000;
// Goodbye, for a client to read.
constexpr LingerLimits kGoodbye{
    .silence_max = 1s, .bytes_per_second_min = 1024 * 1024, .bytes_max = 4 * 1024 * 1024};

nghttp2_nv field_of(const std::pair<std::string, std::string>& field) {
  // nghttp2 copies both; it does not write to them.
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(field.first.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(field.second.data())), field.first.size(),
          field.second.size(), NGHTTP2_NV_FLAG_NONE};
}
std::vector<nghttp2_nv> fields_of(const H2Fields& fields) {
  std::vector<nghttp2_nv> out;
  out.reserve(fields.size());
  for (const auto& field : fields) out.push_back(field_of(field));
  return out;
}

std::string_view view(const uint8_t* text, size_t size) {
  return {reinterpret_cast<const char*>(text), size};
}

bool is_clients_fault(uint32_t code) {
  return code != NGHTTP2_NO_ERROR && code != NGHTTP2_INTERNAL_ERROR && code != NGHTTP2_CANCEL;
}

bool ends_stream(const nghttp2_frame& frame) {
  return (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
}

}  // namespace

struct H2Session::Callbacks {
  static H2Session& self(void* user) { return *static_cast<H2Session*>(user); }

  static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* header, void* user) {
    if (header->type != NGHTTP2_CONTINUATION) self(user).head_since_ = TimePoint::max();
    return 0;
  }
  static int on_invalid_frame(nghttp2_session*, const nghttp2_frame*, int, void* user) {
    self(user).head_since_ = TimePoint::max();
    return 0;
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    self(user).begin_head(frame->hd.stream_id);
    return 0;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                       size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                       void* user) {
    H2Session& session = self(user);
    const std::shared_ptr<H2Stream> stream = session.find(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    if (!stream->section.add(view(name, name_size), view(value, value_size))) {
      session.refuse(frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
    }
    return 0;
  }
  static int on_invalid_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t*, size_t,
                               const uint8_t*, size_t, uint8_t, void* user) {
    self(user).refuse(frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
    return 0;
  }

  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Session& session = self(user);
    const bool ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    const std::shared_ptr<H2Stream> stream = session.find(frame->hd.stream_id);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        session.head_since_ = TimePoint::max();
        if (stream != nullptr) session.head_ended(stream, ends_stream(*frame));
        break;
      case NGHTTP2_DATA:
        if (frame->hd.length == frame->data.padlen && !ends_stream(*frame)) {
          session.spend(session.budget_.idle);
        }
        if (stream != nullptr && ends_stream(*frame)) stream->end_request("");
        break;
      case NGHTTP2_RST_STREAM:
        session.spend(session.budget_.resets);
        break;
      case NGHTTP2_PING:
        if (!ack) session.spend(session.budget_.pings);
        break;
      case NGHTTP2_SETTINGS:
        if (!ack) session.spend(session.budget_.settings);
        break;
      case NGHTTP2_WINDOW_UPDATE:
      case NGHTTP2_GOAWAY:
        break;
      default:
        session.spend(session.budget_.idle);
    }
    return 0;
  }

  static int on_data(nghttp2_session* nghttp2, uint8_t, int32_t id, const uint8_t* data,
                     size_t size, void* user) {
    nghttp2_session_consume_connection(nghttp2, size);
    if (const std::shared_ptr<H2Stream> stream = self(user).find(id)) {
      stream->add_body(view(data, size));
    } else {
      nghttp2_session_consume_stream(nghttp2, id, size);
    }
    return 0;
  }

  static int on_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Session& session = self(user);
    // A stream that the client made us break off costs as much as one that it breaks off itself.
    if (frame->hd.type == NGHTTP2_RST_STREAM && is_clients_fault(frame->rst_stream.error_code)) {
      session.spend(session.budget_.resets);
    }
    const bool of_answer = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (!of_answer || !ends_stream(*frame)) return 0;
    if (const std::shared_ptr<H2Stream> stream = session.find(frame->hd.stream_id))
      stream->answer_sent();
    return 0;
  }

  static int on_close(nghttp2_session*, int32_t id, uint32_t, void* user) {
    H2Session& session = self(user);
    const auto at = session.streams_.find(id);
    if (at == session.streams_.end()) return 0;
    const std::shared_ptr<H2Stream> stream = std::move(at->second);
    session.streams_.erase(at);
    stream->end();
    if (stream->served()) session.left_.push_back(stream);
    if (session.streams_.empty()) session.idle_since_ = session.clock_.now();
    return 0;
  }

  static ssize_t on_take(nghttp2_session* nghttp2, int32_t id, uint8_t* to, size_t size,
                         uint32_t* flags, nghttp2_data_source*, void* user) {
    const std::shared_ptr<H2Stream> stream = self(user).find(id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    const H2Stream::Taken taken = stream->take_answer(to, size);
    if (taken.bytes == 0 && !taken.ended) return NGHTTP2_ERR_DEFERRED;
    if (!taken.ended) return static_cast<ssize_t>(taken.bytes);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    const H2Fields trailers = h2_trailers(stream->trailers());
    if (!trailers.empty()) {
      const std::vector<nghttp2_nv> fields = fields_of(trailers);
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      nghttp2_submit_trailer(nghttp2, id, fields.data(), fields.size());
    }
    return static_cast<ssize_t>(taken.bytes);
  }
};

H2Session::H2Session(const asio::any_io_executor& executor, ConnPtr conn, std::string head,
                     Clock& clock, H2Limits limits, Serve serve)
    : conn_(std::move(conn)),
      clock_(clock),
      limits_(limits),
      serve_(std::move(serve)),
      executor_(executor),
      head_(std::move(head)),
      to_write_(executor),
      idle_since_(clock.now()) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* option = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0) {
    std::abort();
  }
  nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, Callbacks::on_begin_frame);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks,
                                                               Callbacks::on_invalid_frame);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Callbacks::on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::on_header);
  nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, Callbacks::on_invalid_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::on_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::on_data);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, Callbacks::on_sent);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::on_close);
  // The client sends more once what it sent was read.
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_session_server_new2(&session_, callbacks, this, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits_.streams_max},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits_.head_bytes_max)}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

H2Session::~H2Session() {
  nghttp2_session_del(session_);
  for (const auto& [id, stream] : streams_) stream->end();
}

Task<Result<>> H2Session::run(std::shared_ptr<H2Session>) {
  co_await race(read_frames(), write_and_look());
  for (const auto& [id, stream] : streams_) stream->end();
  streams_.clear();
  ConnInput rest(*conn_);
  if (conn_->peer() == Conn::Peer::There) co_await linger(*conn_, rest, clock_, kGoodbye);
  conn_->close();
  co_return Result<>();
}

Task<void> H2Session::write_and_look() {
  co_await race(write_frames(), look_after());
}

Task<void> H2Session::read_frames() {
  ConnInput input(*conn_);
  bool understood = take_frames(std::exchange(head_, {}));
  while (understood) {
    const Result<bool> more = co_await input.fill();
    if (!more || !*more) co_return;
    understood = take_frames(input.bytes());
    input.use(input.bytes().size());
  }
  // Until the client has been told.
  co_await until_cancelled();
}

bool H2Session::take_frames(std::string_view bytes) {
  const ssize_t taken = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  const bool floods = nghttp2_session_get_outbound_queue_size(session_) > kOutboundFramesMax;
  if (taken < 0 || floods) {
    send_away(floods || taken == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM
                                                     : NGHTTP2_PROTOCOL_ERROR);
  }
  to_write_.notify_all();
  return taken >= 0 && !floods;
}

Task<void> H2Session::write_frames() {
  while (true) {
    const std::string frames = next_frames();
    if (!frames.empty()) {
      conn_->set_idle_deadline(clock_.now() + limits_.write_timeout, limits_.write_timeout);
      if (!co_await conn_->write(frames)) co_return;
      conn_->set_deadline(TimePoint::max());
      continue;
    }
    if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) {
      co_return;
    }
    if (!co_await to_write_.wait()) co_return;
  }
}

std::string H2Session::next_frames() {
  std::string frames;
  while (frames.size() < kWriteBytes) {
    const uint8_t* bytes = nullptr;
    const ssize_t n = nghttp2_session_mem_send(session_, &bytes);
    if (n <= 0) break;
    frames += view(bytes, static_cast<size_t>(n));
  }
  return frames;
}

Task<void> H2Session::look_after() {
  while (co_await clock_.sleep_for(kLook)) {
    const TimePoint now = clock_.now();
    if (head_since_ < now - limits_.head_timeout) send_away(NGHTTP2_ENHANCE_YOUR_CALM);
    if (streams_.empty() && now - idle_since_ >= limits_.idle_timeout) send_away(NGHTTP2_NO_ERROR);
    std::erase_if(left_, [](const auto& weak) {
      const std::shared_ptr<H2Stream> stream = weak.lock();
      return !stream || !stream->served();
    });
    // Answers that nobody of ours waits with any more.
    for (const auto& [id, stream] : streams_) {
      const bool waits = stream->began() && !stream->served();
      if (waits && now - stream->moved() >= limits_.write_timeout) reset(id, NGHTTP2_CANCEL);
    }
  }
}

void H2Session::begin_head(int32_t id) {
  head_since_ = clock_.now();
  if (const std::shared_ptr<H2Stream> stream = find(id)) {
    stream->section = H2Section(limits_.head_bytes_max);
    return;
  }
  if (streams_.size() + left_.size() >= size_t{2} * limits_.streams_max) {
    std::erase_if(left_, [](const auto& weak) { return weak.expired(); });
    if (streams_.size() + left_.size() >= size_t{2} * limits_.streams_max) {
      return reset(id, NGHTTP2_REFUSED_STREAM);
    }
  }
  streams_.emplace(id, std::make_shared<H2Stream>(executor_, *this, id, limits_.head_bytes_max));
}

void H2Session::head_ended(const std::shared_ptr<H2Stream>& stream, bool ended) {
  if (stream->refused) return;
  if (stream->began()) {
    const Result<std::string> trailers = stream->section.trailers();
    if (!trailers) return refuse(stream->id(), NGHTTP2_PROTOCOL_ERROR);
    return stream->end_request(*trailers);
  }
  Result<H2Section::Head> head = stream->section.request(ended);
  if (!head) return refuse(stream->id(), NGHTTP2_PROTOCOL_ERROR);
  stream->begin(*std::move(head), ended);
  serve_(serve_stream(stream));
}

void H2Session::refuse(int32_t id, uint32_t code) {
  const std::shared_ptr<H2Stream> stream = find(id);
  if (!stream || stream->refused) return;
  stream->refused = true;
  reset(id, code);
}

void H2Session::spend(H2Allowance& allowance) {
  if (!allowance.take(clock_.now())) send_away(NGHTTP2_ENHANCE_YOUR_CALM);
}

void H2Session::send_away(uint32_t code) {
  nghttp2_session_terminate_session(session_, code);
  to_write_.notify_all();
}

void H2Session::drain() {
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  to_write_.notify_all();
}

std::shared_ptr<H2Stream> H2Session::find(int32_t id) {
  const auto at = streams_.find(id);
  return at == streams_.end() ? nullptr : at->second;
}

void H2Session::consumed(int32_t id, size_t bytes) {
  nghttp2_session_consume_stream(session_, id, bytes);
  to_write_.notify_all();
}

void H2Session::send_head(H2Stream& stream, const H2Fields& fields, HeadKind kind) {
  const std::vector<nghttp2_nv> out = fields_of(fields);
  if (kind == HeadKind::Interim) {
    nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream.id(), nullptr, out.data(),
                           out.size(), nullptr);
  } else {
    nghttp2_data_provider body{.source = {}, .read_callback = Callbacks::on_take};
    nghttp2_submit_response(session_, stream.id(), out.data(), out.size(),
                            kind == HeadKind::Whole ? nullptr : &body);
  }
  to_write_.notify_all();
}

void H2Session::resume(int32_t id) {
  nghttp2_session_resume_data(session_, id);
  to_write_.notify_all();
}

void H2Session::reset(int32_t id, uint32_t code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, code);
  to_write_.notify_all();
}

}  // namespace mesclun
