// One stream of an HTTP/2 connection, as a connection that speaks HTTP/1.1 in memory: reading it
// yields the client's request, and what is written to it is the answer.
#pragma once

#include "base/conn.h"
#include "base/notify.h"
#include "http/h2_head.h"
#include "http/parser.h"

namespace mesclun {

class H2Stream;

// What a stream needs of the connection that carries it.
class H2Carrier {
 public:
  virtual ~H2Carrier() = default;
  // So many bytes of the client's body were read: it may send as many more.
  virtual void consumed(int32_t id, size_t bytes) = 0;
  // One head of the answer. Interim: another one follows; Whole: nothing does.
  enum class HeadKind { Interim, Begin, Whole };
  virtual void send_head(H2Stream& stream, const H2Fields& fields, HeadKind kind) = 0;
  // There is more of the answer's body to take, or its end.
  virtual void resume(int32_t id) = 0;
  // Breaks the stream off, with an error code of RFC 9113 §7.
  virtual void reset(int32_t id, uint32_t code) = 0;

  virtual Clock& clock() = 0;
  virtual const Conn& conn() const = 0;
};

// What both sides share: the carrier feeds and empties it, an H2StreamConn of it serves it.
//
// Runs on:  one loop.
// Bound:    of the request what the stream's window lets in, of the answer kOutMax and what one write
//           brings at most, which is cut into pieces of kOutMax.
class H2Stream {
 public:
  static constexpr size_t kOutMax = 64 * 1024;
  static constexpr size_t kAnswerHeadMax = 128 * 1024;

  H2Stream(const asio::any_io_executor& executor, H2Carrier& carrier, int32_t id, size_t head_max)
      : section(head_max), changed_(executor), carrier_(&carrier), id_(id) {}

  // ---- for the carrier ----
  H2Section section;     // whose fields are coming
  bool refused = false;  // it is being broken off
  // The head was read, and may be served.
  void begin(H2Section::Head head, bool ended);
  void add_body(std::string_view bytes);
  // `trailers` as lines.
  void end_request(std::string trailers);
  // Of the answer's body: takes at most `size` bytes. `ended` is set with the last.
  struct Taken {
    size_t bytes = 0;
    bool ended = false;
  };
  Taken take_answer(uint8_t* to, size_t size);
  const HeaderList& trailers() const { return parser_.trailers(); }
  // The last frame of the answer is on its way.
  void answer_sent();
  // The carrier knows the stream no more.
  void end();
  // There is a connection of it.
  bool served() const { return served_; }
  bool answered() const { return answered_; }
  TimePoint moved() const { return moved_; }
  int32_t id() const { return id_; }
  bool began() const { return began_; }

 private:
  friend class H2StreamConn;

  bool request_left() const { return used_ < ready_.size() || !body_.empty() || ends_unsaid(); }
  bool ends_unsaid() const { return request_ended_ && chunked_ && !end_said_; }
  size_t read(asio::mutable_buffer buffer);
  void refill();
  size_t room() const { return out_.size() < kOutMax ? kOutMax - out_.size() : 0; }
  // InvalidArgument: this is no answer.
  Result<> answer(std::string_view bytes);
  Result<size_t> answer_head(std::string_view bytes);
  void stop_request();
  void leave();
  void reset(uint32_t code);

  Notify changed_;
  H2Carrier* carrier_;  // null once it is over
  const int32_t id_;
  // ---- the request ----
  std::string ready_;  // as HTTP/1.1
  size_t used_ = 0;
  size_t owed_ = 0;   // bytes of the client's body in ready_
  std::string body_;  // not yet there
  std::string trailer_lines_;
  bool began_ = false;
  bool chunked_ = false;
  bool to_head_ = false;
  bool request_ended_ = false;
  bool end_said_ = false;
  // ---- the answer ----
  HttpParser parser_ = HttpParser::response(kAnswerHeadMax, false);
  std::string unparsed_;
  std::string out_;
  size_t out_used_ = 0;
  bool head_sent_ = false;
  bool answered_ = false;  // wholly, by who serves
  bool sent_ = false;      // and to the client
  bool served_ = false;    // there is a connection of it
  bool broken_ = false;
  TimePoint moved_;  // when the client last took something of the answer
};

// Its end is the answer's: a client that has sent its whole request has not left.
ConnPtr serve_stream(std::shared_ptr<H2Stream> stream);

}  // namespace mesclun
