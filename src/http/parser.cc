#include "http/parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

#include "http/head_rules.h"

namespace mesclun {

namespace http = boost::beast::http;
using boost::system::error_code;

class HttpParser::Impl {
 public:
  virtual ~Impl() = default;
  // What comes before that which Beast knows; how many of `bytes` that is.
  virtual size_t put_start(std::string_view bytes, error_code& error) = 0;
  virtual size_t put(std::string_view bytes, error_code& error) = 0;
  virtual void put_eof(error_code& error) = 0;
  virtual void set_eager(bool on) = 0;
  virtual bool started() const = 0;
  virtual bool head_done() const = 0;
  virtual bool done() const = 0;
  virtual bool keep_alive() const = 0;
  virtual BodyFraming framing() const = 0;

  RequestHead request;
  ResponseHead response;
  HeaderList trailers;
  std::vector<std::string_view>* body = nullptr;
  bool began = false;
  bool wants_more = false;     // parse_body stopped at a framing line that has not arrived whole
  std::string_view complaint;  // what is wrong, where that is not Beast's finding; a constant
};

namespace {

std::string_view view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

HeadRules::Field field_of(http::field name) {
  switch (name) {
    case http::field::connection:
      return HeadRules::Field::Connection;
    case http::field::content_length:
      return HeadRules::Field::ContentLength;
    case http::field::host:
      return HeadRules::Field::Host;
    case http::field::transfer_encoding:
      return HeadRules::Field::TransferEncoding;
    default:
      return HeadRules::Field::Other;
  }
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == '\x7f';
  });
}

}  // namespace

template <bool kIsRequest>
class HttpParser::BeastParser final : public HttpParser::Impl,
                                      public http::basic_parser<kIsRequest> {
  using Base = http::basic_parser<kIsRequest>;

 public:
  explicit BeastParser(size_t head_bytes_max) {
    Base::header_limit(static_cast<std::uint32_t>(head_bytes_max));
    // Bodies are bounded by who reads them; the parser holds none.
    Base::body_limit(boost::none);
  }

  size_t put_start(std::string_view bytes, error_code& error) override {
    if constexpr (kIsRequest) return pass_empty_lines(bytes, error);
    return put_bare_status(bytes, error);
  }
  size_t put(std::string_view bytes, error_code& error) override {
    return Base::put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  }
  void put_eof(error_code& error) override { Base::put_eof(error); }
  void set_eager(bool on) override { Base::eager(on); }
  bool started() const override { return Base::got_some(); }
  bool head_done() const override { return Base::is_header_done(); }
  bool done() const override { return Base::is_done(); }
  bool keep_alive() const override { return !rules_.closes() && Base::keep_alive(); }
  BodyFraming framing() const override {
    if (Base::chunked()) return {BodyFraming::Kind::Chunked, 0};
    if (const auto length = Base::content_length()) {
      // The answers to HEAD, 204 and 304 may name a length that never comes.
      return {body_follows_ ? BodyFraming::Kind::Length : BodyFraming::Kind::None, *length};
    }
    if (Base::need_eof()) return {BodyFraming::Kind::UntilClose, 0};
    return {};
  }

 private:
  size_t pass_empty_lines(std::string_view bytes, error_code& error) {
    size_t passed = 0;
    while (bytes.substr(passed).starts_with("\r\n")) {
      passed += 2;
      if (++empty_lines_ > kEmptyLinesMax) complain("too many empty lines", error);
      if (error) break;
    }
    if (bytes.substr(passed) == "\r") error = http::error::need_more;
    began = bytes.size() > passed && !error;
    return passed;
  }

  // "HTTP/1.1 200" at the end of its line: Beast wants a blank there. A start line that is not
  // whole must not reach it, or it would wait for the whole head.
  size_t put_bare_status(std::string_view bytes, error_code& error) {
    constexpr size_t kStatusEnd = 12;
    began = began || !bytes.empty();
    if (!bytes.starts_with(std::string_view("HTTP/").substr(0, bytes.size()))) {
      complain("this is no HTTP", error);
      return 0;
    }
    if (bytes.size() < kStatusEnd + 2) {
      if (bytes.find('\r') >= kStatusEnd) error = http::error::need_more;
      return 0;
    }
    if (bytes.substr(kStatusEnd, 2) != "\r\n") return 0;
    const std::string line = fmt::format("{} \r\n", bytes.substr(0, kStatusEnd));
    put(line, error);
    if (error == http::error::need_more) error = {};
    return kStatusEnd + 2;
  }

  void complain(std::string_view what, error_code& error) {
    complaint = what;
    error = http::error::bad_value;
  }
  void complain_if(HeadRules::Complaint what, error_code& error) {
    if (what) complain(*what, error);
  }

  void on_request_impl(http::verb, boost::beast::string_view method,
                       boost::beast::string_view target, int version, error_code&) override {
    request.method = view(method);
    request.target = view(target);
    request.http_1_0 = version < 11;
  }
  void on_response_impl(int status, boost::beast::string_view reason, int version,
                        error_code&) override {
    response.status = status;
    response.reason = view(reason);
    response.http_1_0 = version < 11;
  }
  void on_field_impl(http::field field, boost::beast::string_view name,
                     boost::beast::string_view value, error_code& error) override {
    if (Base::is_header_done()) {
      trailer_bytes_ += name.size() + value.size();
      if (trailers.size() >= HeadRules::kFieldsMax || trailer_bytes_ > kFrameBytesMax) {
        complain("the trailers are too long", error);
      } else {
        trailers.add(view(name), view(value));
      }
      return;
    }
    const bool http_1_0 = kIsRequest ? request.http_1_0 : response.http_1_0;
    complain_if(rules_.field(field_of(field), view(value), http_1_0), error);
    (kIsRequest ? request.headers : response.headers).add(view(name), view(value));
  }
  void on_header_impl(error_code& error) override {
    complain_if(kIsRequest ? rules_.request(request) : HeadRules::response(response), error);
    body_follows_ = !Base::is_done();
  }
  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code&) override {}
  std::size_t on_body_impl(boost::beast::string_view bytes, error_code&) override {
    if (body != nullptr && !bytes.empty()) body->push_back(view(bytes));
    return bytes.size();
  }
  void on_chunk_header_impl(std::uint64_t size, boost::beast::string_view extensions,
                            error_code& error) override {
    if (extensions.empty()) return;
    // Tiny chunks with long extensions are work for nothing.
    extension_bytes_ += extensions.size();
    extension_bytes_ -= std::min<std::uint64_t>(extension_bytes_, size);
    if (extension_bytes_ > kFrameBytesMax) complain("the extensions of chunks are too long", error);
    if (has_control(view(extensions))) complain("control characters in a chunk's line", error);
  }
  std::size_t on_chunk_body_impl(std::uint64_t, boost::beast::string_view bytes,
                                 error_code&) override {
    if (body != nullptr && !bytes.empty()) body->push_back(view(bytes));
    return bytes.size();
  }
  void on_finish_impl(error_code&) override {}

  HeadRules rules_;
  size_t empty_lines_ = 0;
  size_t trailer_bytes_ = 0;
  std::uint64_t extension_bytes_ = 0;
  bool body_follows_ = false;
};

namespace {

Error malformed(std::string_view complaint, const error_code& error) {
  return Error::invalid(
      fmt::format("malformed HTTP: {}", complaint.empty() ? error.message() : complaint));
}

}  // namespace

HttpParser::HttpParser(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpParser::HttpParser(HttpParser&&) noexcept = default;
HttpParser& HttpParser::operator=(HttpParser&&) noexcept = default;
HttpParser::~HttpParser() = default;

HttpParser HttpParser::request(size_t head_bytes_max) {
  return HttpParser(std::make_unique<BeastParser<true>>(head_bytes_max));
}

HttpParser HttpParser::response(size_t head_bytes_max, bool to_head_request) {
  auto parser = std::make_unique<BeastParser<false>>(head_bytes_max);
  parser->skip(to_head_request);
  return HttpParser(std::move(parser));
}

Result<HttpParser::Step> HttpParser::parse_head(std::string_view bytes) {
  Step step;
  error_code error;
  if (!impl_->started()) step.consumed = impl_->put_start(bytes, error);
  impl_->set_eager(false);
  while (!error && !impl_->head_done() && step.consumed < bytes.size()) {
    const size_t used = impl_->put(bytes.substr(step.consumed), error);
    step.consumed += used;
    if (used == 0) break;
  }
  if (error && error != http::error::need_more) return malformed(impl_->complaint, error);
  step.done = impl_->head_done();
  return step;
}

Result<HttpParser::Step> HttpParser::parse_body(std::string_view bytes,
                                                std::vector<std::string_view>& out) {
  Step step;
  // Beast asserts that it is not asked again about "0\r\n" with less than the five bytes of
  // "0\r\n\r\n"; no framing line can end in fewer, so wait for them.
  if (impl_->wants_more && bytes.size() < 5) return step;
  impl_->wants_more = false;
  impl_->set_eager(true);
  impl_->body = &out;
  error_code error;
  while (!error && !impl_->done() && step.consumed < bytes.size()) {
    const size_t used = impl_->put(bytes.substr(step.consumed), error);
    step.consumed += used;
    if (used == 0) break;
  }
  impl_->body = nullptr;
  if (error == http::error::need_more) {
    // What follows a chunk is held until it is whole, so it is bounded.
    if (bytes.size() - step.consumed > kFrameBytesMax) {
      return malformed("a chunk's line or the trailers are too long", error);
    }
    impl_->wants_more = true;
  } else if (error) {
    return malformed(impl_->complaint, error);
  }
  step.done = impl_->done();
  return step;
}

Result<> HttpParser::end_of_stream() {
  error_code error;
  impl_->put_eof(error);
  if (error || !impl_->done()) return Error::unavailable("stream ended in the middle of a message");
  return {};
}

bool HttpParser::body_done() const {
  return impl_->done();
}
bool HttpParser::began() const {
  return impl_->began;
}
RequestHead& HttpParser::request_head() {
  return impl_->request;
}
ResponseHead& HttpParser::response_head() {
  return impl_->response;
}
BodyFraming HttpParser::framing() const {
  return impl_->framing();
}
const HeaderList& HttpParser::trailers() const {
  return impl_->trailers;
}
bool HttpParser::keep_alive() const {
  return impl_->keep_alive();
}

}  // namespace mesclun
