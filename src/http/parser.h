// HTTP/1.1 messages from bytes. Boost.Beast does the parsing; this keeps its templates in one
// source file.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace mesclun {

// Feed it what was read, as often as needed:
//
//   head:  parse_head(bytes) until it returns done; it consumes nothing but the head.
//   body:  parse_body(bytes, out) until body_done(); `out` gets pieces of `bytes`, without the
//          chunk framing.
//
// Requests are taken strictly, where two readers could differ about what a message is or whom it is
// for (http/head_rules.h); answers liberally, but for how their bodies are framed. Before a request
// a few empty lines are passed over (RFC 9112 §2.2), and a status line may lack its reason phrase
// and the blank before it. Absolute targets become paths.
class HttpParser {
 public:
  // Trailers, a line of a chunk, and how far the extensions of chunks may exceed their data.
  static constexpr size_t kFrameBytesMax = 16 * 1024;
  static constexpr size_t kEmptyLinesMax = 4;

  struct Step {
    size_t consumed = 0;
    bool done = false;
  };

  // `head_bytes_max`: InvalidArgument beyond.
  static HttpParser request(size_t head_bytes_max);
  // `to_head_request`: the answer to HEAD has a length but no body.
  static HttpParser response(size_t head_bytes_max, bool to_head_request);
  HttpParser(HttpParser&&) noexcept;
  HttpParser& operator=(HttpParser&&) noexcept;
  ~HttpParser();

  // InvalidArgument says what is wrong with the message.
  Result<Step> parse_head(std::string_view bytes);
  Result<Step> parse_body(std::string_view bytes, std::vector<std::string_view>& out);
  // The stream ended: completes a body that lasts until the end, fails one that was cut.
  Result<> end_of_stream();
  bool body_done() const;
  // Anything of a message has come: empty lines before a request are nothing.
  bool began() const;

  // Valid once the head is done, until the parser goes away.
  RequestHead& request_head();
  ResponseHead& response_head();
  BodyFraming framing() const;
  // What came after a chunked body; complete once body_done().
  const HeaderList& trailers() const;
  // Whether the connection may carry another message after this one.
  bool keep_alive() const;

 private:
  class Impl;
  template <bool kIsRequest>
  class BeastParser;
  explicit HttpParser(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mesclun
