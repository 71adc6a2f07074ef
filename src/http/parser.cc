#include "http/parser.h"

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <limits>

namespace mesclun {

namespace http = boost::beast::http;
using boost::system::error_code;

class HttpParser::Impl {
 public:
  virtual ~Impl() = default;
  virtual size_t put(std::string_view bytes, error_code& error) = 0;
  virtual void put_eof(error_code& error) = 0;
  virtual void set_eager(bool on) = 0;
  virtual bool head_done() const = 0;
  virtual bool done() const = 0;
  virtual bool keep_alive() const = 0;
  virtual BodyFraming framing() const = 0;

  RequestHead request;
  ResponseHead response;
  HeaderList trailers;
  std::vector<std::string_view>* body = nullptr;
  bool wants_more = false;  // parse_body stopped at a framing line that has not arrived whole
};

namespace {

std::string_view view(boost::beast::string_view text) {
  return {text.data(), text.size()};
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

  size_t put(std::string_view bytes, error_code& error) override {
    return Base::put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  }
  void put_eof(error_code& error) override { Base::put_eof(error); }
  void set_eager(bool on) override { Base::eager(on); }
  bool head_done() const override { return Base::is_header_done(); }
  bool done() const override { return Base::is_done(); }
  bool keep_alive() const override { return Base::keep_alive(); }
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
  void on_field_impl(http::field, boost::beast::string_view name, boost::beast::string_view value,
                     error_code&) override {
    HeaderList& list = Base::is_header_done() ? trailers
                       : kIsRequest           ? request.headers
                                              : response.headers;
    list.add(view(name), view(value));
  }
  void on_header_impl(error_code&) override { body_follows_ = !Base::is_done(); }
  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code&) override {}
  std::size_t on_body_impl(boost::beast::string_view bytes, error_code&) override {
    if (body != nullptr && !bytes.empty()) body->push_back(view(bytes));
    return bytes.size();
  }
  void on_chunk_header_impl(std::uint64_t, boost::beast::string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, boost::beast::string_view bytes,
                                 error_code&) override {
    if (body != nullptr && !bytes.empty()) body->push_back(view(bytes));
    return bytes.size();
  }
  void on_finish_impl(error_code&) override {}

  bool body_follows_ = false;
};

namespace {

Error malformed(const error_code& error) {
  return Error::invalid(fmt::format("malformed HTTP: {}", error.message()));
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
  impl_->set_eager(false);
  while (!impl_->head_done() && step.consumed < bytes.size()) {
    error_code error;
    const size_t used = impl_->put(bytes.substr(step.consumed), error);
    step.consumed += used;
    if (error == http::error::need_more) break;
    if (error) return malformed(error);
    if (used == 0) break;
  }
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
  while (!impl_->done() && step.consumed < bytes.size()) {
    error_code error;
    const size_t used = impl_->put(bytes.substr(step.consumed), error);
    step.consumed += used;
    if (error == http::error::need_more) {
      impl_->wants_more = true;
      break;
    }
    if (error) {
      impl_->body = nullptr;
      return malformed(error);
    }
    if (used == 0) break;
  }
  impl_->body = nullptr;
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
