#include "http/reader.h"

#include <algorithm>

#include "base/race.h"
#include "base/test_loop.h"
#include "http/linger.h"

namespace mesclun {
namespace {

// Gives out `text` in pieces of `step` bytes, then ends.
class TextInput final : public HttpInput {
 public:
  TextInput(std::string text, size_t step) : text_(std::move(text)), step_(step) {}

  Task<Result<bool>> fill() override {
    drop_used();
    const size_t n = std::min(step_, text_.size() - at_);
    bytes_.append(text_, at_, n);
    at_ += n;
    co_return n > 0;
  }

 private:
  std::string text_;
  size_t step_;
  size_t at_ = 0;
};

constexpr size_t kHeadMax = 4096;

Task<Result<>> any_step_gives_the_same() {
  const std::string text =
      "HTTP/1.1 100 Continue\r\n\r\n"
      "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: v\r\n\r\nrest";
  for (size_t step = 1; step <= text.size(); ++step) {
    TextInput input(text, step);
    HttpReader reader = HttpReader::response(input, kHeadMax, false);
    EXPECT_FALSE(reader.began());
    CO_TRY(const bool whole, co_await reader.read_final_head());
    EXPECT_TRUE(whole && reader.began());
    EXPECT_EQ(reader.response_head().status, 200);
    std::string body;
    std::vector<std::string_view> pieces;
    for (bool ended = false; !ended;) {
      pieces.clear();
      CO_TRY(ended, co_await reader.read_body(pieces));
      EXPECT_TRUE(ended || !pieces.empty());
      for (const std::string_view piece : pieces) body += piece;
    }
    EXPECT_EQ(body, "hello world");
    EXPECT_EQ(reader.trailers().size(), 1u);
    EXPECT_EQ(reader.connection_reusable(), input.bytes().empty());
    EXPECT_TRUE(std::string_view("rest").starts_with(input.take_rest()));
    EXPECT_TRUE(input.bytes().empty());
  }
  co_return Result<>();
}

TEST(HttpReader, PiecesOfAnySizeGiveTheSameMessage) {
  VirtualLoop loop;
  loop.run(any_step_gives_the_same());
}

Task<Result<>> message_after_message() {
  TextInput input(
      "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
      "GET /2 HTTP/1.1\r\nHost: a\r\n\r\nPUT /3 HTTP/1.1\r\n",
      7);
  for (const char* target : {"/1", "/2"}) {
    HttpReader reader = HttpReader::request(input, kHeadMax);
    CO_TRY(const bool whole, co_await reader.read_head());
    EXPECT_TRUE(whole);
    EXPECT_EQ(reader.request_head().target, target);
    std::string body;
    CO_TRY_DO(co_await reader.read_whole_body(body, 100));
    EXPECT_EQ(body, target == std::string_view("/1") ? "abc" : "");
  }
  HttpReader cut = HttpReader::request(input, kHeadMax);
  CO_TRY(const bool whole, co_await cut.read_head());
  EXPECT_FALSE(whole) << "the stream ended first";
  co_return Result<>();
}

TEST(HttpReader, ReadsOneMessageAfterTheOther) {
  VirtualLoop loop;
  loop.run(message_after_message());
}

// What becomes of an answer: its body, or the code of the error.
Task<std::string> whole_answer(std::string text, bool to_head, size_t body_bytes_max) {
  TextInput input(std::move(text), 5);
  HttpReader reader = HttpReader::response(input, kHeadMax, to_head);
  const Result<bool> whole = co_await reader.read_final_head();
  if (!whole) co_return std::string(to_string(whole.code()));
  std::string body;
  const Result<> read = co_await reader.read_whole_body(body, body_bytes_max);
  co_return read ? body : std::string(to_string(read.code()));
}

Task<Result<>> ends_and_bounds() {
  EXPECT_EQ(co_await whole_answer("HTTP/1.1 200 OK\r\n\r\nto the end", false, 100), "to the end");
  EXPECT_EQ(co_await whole_answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", false, 100),
            "unavailable");
  EXPECT_EQ(co_await whole_answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true, 1), "");
  EXPECT_EQ(co_await whole_answer("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", false, 100),
            "out_of_range");
  EXPECT_EQ(co_await whole_answer("HTTP/1.1 200 OK\r\n\r\nmore than four", false, 4),
            "out_of_range");
  EXPECT_EQ(co_await whole_answer("nonsense\r\n\r\n", false, 100), "invalid_argument");
  EXPECT_EQ(co_await whole_answer("HTTP/1.1 200 OK\r\nA: " + std::string(kHeadMax, 'x'), false, 1),
            "invalid_argument");
  std::string interim;
  for (int i = 0; i < 20; ++i) interim += "HTTP/1.1 102 Processing\r\n\r\n";
  EXPECT_EQ(co_await whole_answer(interim, false, 100), "invalid_argument") << "no end of them";
  co_return Result<>();
}

TEST(HttpReader, KnowsTheEndOfEveryBodyAndItsBounds) {
  VirtualLoop loop;
  loop.run(ends_and_bounds());
}

// A peer that never comes to an end: what is held of it stays within bounds.
class EndlessInput final : public HttpInput {
 public:
  EndlessInput(std::string head, std::string again)
      : head_(std::move(head)), again_(std::move(again)) {}

  Task<Result<bool>> fill() override {
    drop_used();
    bytes_ += fills_++ == 0 ? head_ : again_;
    most_ = std::max(most_, bytes_.size());
    co_return true;
  }
  size_t most() const { return most_; }

 private:
  std::string head_;
  std::string again_;
  size_t fills_ = 0;
  size_t most_ = 0;
};

Task<Result<>> endless_peers() {
  const std::string chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string much(4096, 'x');
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += "A: b\r\n";
  for (const auto& [head, again] : {
           std::pair<std::string, std::string>("GET /", much),
           {"GET / HTTP/1.1\r\nHost: a\r\n", lines},
           {"GET / HTTP/1.1\r\nHost: a\r\nA: ", much},
           {"\r\n", "\r\n\r\n"},
           {chunked + "1;a=", much},
           {chunked + "0\r\nA: ", much},
           {chunked + "0\r\n", lines},
           {chunked, "1;a=" + much + "\r\nx\r\n"},
           {chunked + "1", "1\r\n"},
       }) {
    EndlessInput input(head, again);
    HttpReader reader = HttpReader::request(input, 32 * 1024);
    Result<bool> ended = co_await reader.read_head();
    std::string body;
    if (ended) ended = (co_await reader.read_whole_body(body, 1'000'000)).has_value();
    EXPECT_FALSE(ended.value_or(false)) << head.substr(0, 20);
    EXPECT_LE(input.most(), 64u * 1024) << head.substr(0, 20);
    EXPECT_LE(body.size(), 1'100'000u);
  }
  co_return Result<>();
}

TEST(HttpReader, PeersThatNeverEndAreBounded) {
  VirtualLoop loop;
  loop.run(endless_peers());
}

Task<Result<>> upgraded() {
  TextInput input("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nframes", 1000);
  HttpReader reader = HttpReader::response(input, kHeadMax, false);
  CO_TRY(const bool whole, co_await reader.read_final_head());
  EXPECT_TRUE(whole && reader.body_done());
  EXPECT_EQ(input.take_rest(), "frames");
  co_return Result<>();
}

TEST(HttpReader, LeavesWhatFollowsAnUpgrade) {
  VirtualLoop loop;
  loop.run(upgraded());
}

Task<Result<>> conn_input(Clock& clock) {
  auto [here, there] = memory_conn_pair(co_await asio::this_coro::executor, clock, 1024 * 1024);
  const std::string large(300'000, 'x');
  CO_TRY_DO(co_await there->write(large));
  there->shutdown_write();
  ConnInput input(*here);
  size_t reads = 0;
  size_t seen = 0;
  for (bool more = true; more; ++reads) {
    CO_TRY(more, co_await input.fill());
    if (seen % 2 == 0) input.use(input.bytes().size() / 2);  // some stays each time
    seen += input.bytes().size();
    input.use(input.bytes().size());
  }
  EXPECT_LE(reads, 10u) << "8 + 16 + 32 + 4 x 64 KiB hold it all";
  co_return Result<>();
}

TEST(ConnInput, ReadsMoreWhileThereIsMore) {
  VirtualLoop loop;
  loop.run(conn_input(loop.clock));
}

// How long it lingers with a client that sends `bytes` every second for at most `seconds`.
Task<Result<Duration>> linger_with(Clock& clock, size_t bytes, int seconds, LingerLimits limits) {
  auto [here, there] = memory_conn_pair(co_await asio::this_coro::executor, clock);
  ConnInput input(*here);
  const TimePoint start = clock.now();
  TimePoint end = start;
  const auto client = [](Clock& time, Conn& conn, std::string piece, int times) -> Task<void> {
    for (int i = 0; i < times && (co_await conn.write(piece)); ++i) {
      std::ignore = co_await time.sleep_for(1s);
    }
    conn.shutdown_write();
  };
  const auto server = [](Clock& time, ConnPtr conn, HttpInput& in, LingerLimits bounds,
                         TimePoint& ended) -> Task<void> {
    co_await linger(*conn, in, time, bounds);
    ended = time.now();
    conn->close();
  };
  co_await join(client(clock, *there, std::string(bytes, 'x'), seconds),
                server(clock, std::move(here), input, limits, end));
  co_return end - start;
}

Task<Result<>> lingering(Clock& clock) {
  const LingerLimits limits{.silence_max = 2s, .bytes_per_second_min = 1000, .bytes_max = 100'000};
  {
    // A client that says nothing more and does not leave.
    auto [here, there] = memory_conn_pair(co_await asio::this_coro::executor, clock);
    ConnInput input(*here);
    const TimePoint start = clock.now();
    co_await linger(*here, input, clock, limits);
    EXPECT_EQ(clock.now() - start, 2s);
    char byte = 0;
    CO_TRY(const size_t n, co_await there->read_some(asio::buffer(&byte, 1)));
    EXPECT_EQ(n, 0u) << "it is told that nothing more will come";
  }
  CO_TRY(const Duration steady, co_await linger_with(clock, 1500, 30, limits));
  EXPECT_EQ(steady, 30s) << "to the end of what it sends";
  CO_TRY(const Duration dripping, co_await linger_with(clock, 100, 30, limits));
  EXPECT_GE(dripping, 2s);
  EXPECT_LE(dripping, 4s) << "below the rate";
  CO_TRY(const Duration endless, co_await linger_with(clock, 10'000, 1000, limits));
  EXPECT_LE(endless, 11s) << "beyond the bytes";
  co_return Result<>();
}

TEST(Linger, EndsWithTheClientOrAtItsBounds) {
  VirtualLoop loop;
  loop.run(lingering(loop.clock));
}

}  // namespace
}  // namespace mesclun
