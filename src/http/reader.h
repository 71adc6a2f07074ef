// How messages are read: the bytes of a connection, a head, a body in pieces. The one loop for all
// that speaks HTTP here.
#pragma once

#include "base/conn.h"
#include "http/parser.h"

namespace mesclun {

// Assigning an empty string would keep what the other one has.
inline void free_memory(std::string& text) {
  std::string().swap(text);
}

// One direction of a connection: what was read, and not yet used.
//
// Runs on:  one loop; one task at a time fills and uses it.
// Lifetime: bytes() hold until they are filled again, also those used meanwhile.
class HttpInput {
 public:
  virtual ~HttpInput() = default;

  std::string_view bytes() const { return std::string_view(bytes_).substr(used_); }
  void use(size_t n) { used_ += n; }
  // Waits for more. False at the peer's orderly end; fails as Conn::read_some does.
  virtual Task<Result<bool>> fill() = 0;
  // The same without waiting: false where fill() would wait, end or fail.
  virtual bool fill_now() { return false; }
  // Moves bytes() out, for who takes over the connection.
  std::string take_rest();

 protected:
  HttpInput() = default;
  HttpInput(HttpInput&&) = default;
  HttpInput& operator=(HttpInput&&) = default;
  // Before more is appended to bytes_.
  void drop_used();

  std::string bytes_;
  size_t used_ = 0;
};

// Reads a connection: little at a time, and more while it is full of bytes.
class ConnInput final : public HttpInput {
 public:
  explicit ConnInput(Conn& conn) : conn_(&conn) {}

  Task<Result<bool>> fill() override;

 private:
  static constexpr size_t kReadBytesMin = 8 * 1024;
  static constexpr size_t kReadBytesMax = 64 * 1024;

  Conn* conn_;
  size_t read_bytes_ = kReadBytesMin;
};

// One message of an input: its head, then its body. Sets no deadlines: its caller knows them.
//
// Errors:   InvalidArgument, the message is malformed; Unavailable, it was cut; what the input
//           fails with. After an error nothing that follows can be trusted.
// Lifetime: the input outlives it. What comes after the message stays in the input.
class HttpReader : private HttpParser {
 public:
  // `head_bytes_max`: InvalidArgument beyond.
  static HttpReader request(HttpInput& input, size_t head_bytes_max);
  // `to_head_request`: the answer to HEAD has a length but no body.
  static HttpReader response(HttpInput& input, size_t head_bytes_max, bool to_head_request);

  // Of what is at hand; true: the head is complete.
  Result<bool> take_head();
  // Waits for the rest of the head. False: the stream ended before.
  Task<Result<bool>> read_head();
  // Passes over interim answers, all of 1xx but 101. More than kInterimMax are InvalidArgument: no
  // honest server sends more than one 100, perhaps some 102 and 103.
  static constexpr int kInterimMax = 16;
  Task<Result<bool>> read_final_head();
  // The head is one of an interim answer; next_answer() begins the one that follows it.
  bool is_interim();
  void next_answer();
  // Anything of a message has come: a request that was sent has reached somebody. Empty lines
  // before a request are nothing.
  bool began() const { return began_ || HttpParser::began(); }

  using HttpParser::body_done;
  using HttpParser::framing;
  using HttpParser::keep_alive;
  using HttpParser::request_head;
  using HttpParser::response_head;
  using HttpParser::trailers;

  // Appends to `pieces` what is at hand of the body; they hold until the input is filled again.
  // True: that was the end.
  Result<bool> take_body(std::vector<std::string_view>& pieces);
  // Waits for more of the body to take. A body that lasts until the end may be done then.
  Task<Result<>> fill_body();
  // Both: waits until there is a piece, or the end.
  Task<Result<bool>> read_body(std::vector<std::string_view>& pieces);
  // Appends all of it. OutOfRange: larger than `bytes_max`.
  Task<Result<>> read_whole_body(std::string& body, size_t bytes_max);

  // The answer is whole, and its connection can carry another request.
  bool connection_reusable() const {
    return body_done() && keep_alive() && input_->bytes().empty();
  }

 private:
  HttpReader(HttpInput& input, HttpParser parser, size_t head_bytes_max, bool to_head_request)
      : HttpParser(std::move(parser)),
        input_(&input),
        head_bytes_max_(head_bytes_max),
        to_head_request_(to_head_request) {}

  HttpInput* input_;
  size_t head_bytes_max_;
  bool to_head_request_;
  bool began_ = false;  // an interim answer came before
};

}  // namespace mesclun
