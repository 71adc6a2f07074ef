#include "http/h2_stream.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>

#include "http/forward.h"

namespace mesclun {

void H2Stream::begin(H2Section::Head head, bool ended) {
  began_ = true;
  served_ = true;
  ready_ = std::move(head.text);
  chunked_ = head.chunked;
  to_head_ = head.to_head;
  request_ended_ = ended;
  end_said_ = ended;
  parser_ = HttpParser::response(kAnswerHeadMax, to_head_);
}

void H2Stream::add_body(std::string_view bytes) {
  body_ += bytes;
  changed_.notify_all();
}

void H2Stream::end_request(std::string trailers) {
  request_ended_ = true;
  trailer_lines_ = std::move(trailers);
  changed_.notify_all();
}

// What was read of ready_ before may be sent again by the client.
void H2Stream::refill() {
  if (owed_ > 0 && carrier_ != nullptr) carrier_->consumed(id_, owed_);
  owed_ = body_.size();
  used_ = 0;
  ready_.clear();
  if (!chunked_) {
    std::swap(ready_, body_);
    return;
  }
  if (!body_.empty()) {
    append_chunk_start(body_.size(), ready_);
    ready_.append(body_).append(kChunkEnd);
    body_.clear();
  }
  if (ends_unsaid()) {
    ready_.append("0\r\n").append(trailer_lines_).append("\r\n");
    end_said_ = true;
  }
}

size_t H2Stream::read(asio::mutable_buffer buffer) {
  if (used_ == ready_.size()) refill();
  const size_t n = std::min(buffer.size(), ready_.size() - used_);
  std::memcpy(buffer.data(), ready_.data() + used_, n);
  used_ += n;
  if (used_ == ready_.size() && body_.empty() && !ends_unsaid()) refill();
  return n;
}

Result<size_t> H2Stream::answer_head(std::string_view bytes) {
  TRY(const HttpParser::Step step, parser_.parse_head(bytes));
  if (!step.done) return step.consumed;
  const ResponseHead& head = parser_.response_head();
  if (head.status == 101) return Error::invalid("HTTP/2 has no upgrades");
  const bool interim = head.status / 100 == 1;
  const bool whole = !interim && parser_.body_done();
  if (carrier_ != nullptr) {
    using enum H2Carrier::HeadKind;
    carrier_->send_head(*this, h2_answer_head(head), interim ? Interim : whole ? Whole : Begin);
  }
  if (interim) parser_ = HttpParser::response(kAnswerHeadMax, to_head_);
  head_sent_ = !interim;
  answered_ = whole;
  return step.consumed;
}

Result<> H2Stream::answer(std::string_view bytes) {
  if (!unparsed_.empty()) {
    unparsed_ += bytes;
    bytes = unparsed_;
  }
  std::vector<std::string_view> pieces;
  while (!answered_ && !bytes.empty()) {
    size_t used = 0;
    if (!head_sent_) {
      TRY(used, answer_head(bytes));
    } else {
      pieces.clear();
      TRY(const HttpParser::Step step, parser_.parse_body(bytes, pieces));
      for (const std::string_view piece : pieces) out_ += piece;
      answered_ = parser_.body_done();
      used = step.consumed;
      if (carrier_ != nullptr) carrier_->resume(id_);
    }
    bytes.remove_prefix(used);
    if (used == 0) break;
  }
  // `bytes` may be a part of it.
  unparsed_ = std::string(bytes);
  if (answered_) changed_.notify_all();
  return {};
}

H2Stream::Taken H2Stream::take_answer(uint8_t* to, size_t size) {
  const size_t n = std::min(size, out_.size() - out_used_);
  std::memcpy(to, out_.data() + out_used_, n);
  out_used_ += n;
  if (out_used_ == out_.size()) {
    out_.clear();
    out_used_ = 0;
  }
  if (n > 0) {
    if (carrier_ != nullptr) moved_ = carrier_->clock().now();
    changed_.notify_all();
  }
  return {n, answered_ && out_.empty()};
}

void H2Stream::answer_sent() {
  sent_ = true;
  stop_request();
}

// The answer is out, and nobody reads what the client still sends.
void H2Stream::stop_request() {
  if (sent_ && !served_ && !request_ended_) reset(NGHTTP2_NO_ERROR);
}

void H2Stream::end() {
  carrier_ = nullptr;
  if (!sent_) broken_ = true;
  changed_.notify_all();
}

void H2Stream::leave() {
  served_ = false;
  if (carrier_ != nullptr) moved_ = carrier_->clock().now();
  if (!answered_) reset(NGHTTP2_INTERNAL_ERROR);
  stop_request();
}

void H2Stream::reset(uint32_t code) {
  if (carrier_ != nullptr) carrier_->reset(id_, code);
}

class H2StreamConn final : public Conn {
 public:
  explicit H2StreamConn(std::shared_ptr<H2Stream> stream)
      : stream_(std::move(stream)),
        clock_(stream_->carrier_->clock()),
        peer_(stream_->carrier_->conn().peer_address()),
        encrypted_(stream_->carrier_->conn().is_encrypted()) {}
  ~H2StreamConn() override { H2StreamConn::close(); }

  Task<Result<size_t>> read_some(asio::mutable_buffer buffer) override {
    const std::shared_ptr<H2Stream> stream = stream_;
    const uint64_t cancelled = cancelled_reads_;
    while (true) {
      if (closed_) co_return Error::unavailable("connection closed");
      if (stream->answered_) co_return size_t{0};
      if (stream->broken_) co_return Error::unavailable("the client has reset the stream");
      if (stream->request_left()) co_return stream->read(buffer);
      if (clock_.now() >= deadline_) co_return Error::deadline("connection deadline");
      CO_TRY_DO(co_await stream->changed_.wait_until(clock_, deadline_));
      if (cancelled_reads_ != cancelled && !stream->request_left()) co_return Error::cancelled();
    }
  }
  void cancel_read() override {
    ++cancelled_reads_;
    stream_->changed_.notify_all();
  }

  Task<Result<>> write(std::span<const asio::const_buffer> buffers) override {
    const std::shared_ptr<H2Stream> stream = stream_;
    for (const asio::const_buffer& buffer : buffers) {
      std::string_view rest(static_cast<const char*>(buffer.data()), buffer.size());
      while (!rest.empty()) {
        if (closed_ || stream->broken_) co_return Error::unavailable("connection closed");
        if (clock_.now() >= deadline()) co_return Error::deadline("connection deadline");
        if (stream->room() == 0) {
          CO_TRY_DO(co_await stream->changed_.wait_until(clock_, deadline()));
          continue;
        }
        const size_t n = std::min(rest.size(), stream->room());
        if (!stream->answer(rest.substr(0, n))) {
          abort();
          co_return Error::unavailable("this is no answer for HTTP/2");
        }
        written_ += n;
        rest.remove_prefix(n);
      }
    }
    co_return Result<>();
  }

  // The next message comes in another stream.
  bool is_clean() const override { return false; }
  Peer peer() const override { return stream_->broken_ ? Peer::Gone : Peer::There; }
  bool is_encrypted() const override { return encrypted_; }
  void set_deadline(TimePoint when) override { set_idle_deadline(when, Duration::zero()); }
  void set_idle_deadline(TimePoint when, Duration idle) override {
    deadline_ = when;
    idle_ = idle;
    stream_->changed_.notify_all();
  }
  uint64_t written() const override { return written_; }
  // An answer tells its own end.
  void shutdown_write() override {}
  void close() override {
    if (closed_) return;
    closed_ = true;
    stream_->leave();
    stream_->changed_.notify_all();
  }
  void abort() override {
    if (!closed_ && !stream_->sent_) stream_->reset(NGHTTP2_INTERNAL_ERROR);
    close();
  }
  std::string peer_address() const override { return peer_; }

 private:
  TimePoint deadline() const {
    return idle_ > Duration::zero() ? std::max(deadline_, stream_->moved_ + idle_) : deadline_;
  }

  const std::shared_ptr<H2Stream> stream_;
  Clock& clock_;
  const std::string peer_;
  const bool encrypted_;
  TimePoint deadline_ = TimePoint::max();
  Duration idle_{};
  uint64_t written_ = 0;
  uint64_t cancelled_reads_ = 0;
  bool closed_ = false;
};

ConnPtr serve_stream(std::shared_ptr<H2Stream> stream) {
  return std::make_unique<H2StreamConn>(std::move(stream));
}

}  // namespace mesclun
