// An nghttp2 client over memory, against a session whose streams are served as HTTP/1.1.
#include "http/h2_session.h"

#include <fmt/format.h>
#include <nghttp2/nghttp2.h>

#include "base/test_conn.h"
#include "base/test_loop.h"
#include "http/server.h"

namespace mesclun {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

// What the client saw of one stream.
struct Seen {
  std::vector<std::string> statuses;
  std::string fields;
  std::string body;
  bool closed = false;
  uint32_t code = 0;
};

class Client {
 public:
  Client(ConnPtr conn, const asio::any_io_executor& executor)
      : conn_(std::move(conn)), work_(executor) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks,
        [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
           const uint8_t* value, size_t value_size, uint8_t, void* me) {
          const std::string n(reinterpret_cast<const char*>(name), name_size);
          const std::string v(reinterpret_cast<const char*>(value), value_size);
          Seen& seen = static_cast<Client*>(me)->seen[frame->hd.stream_id];
          if (n == ":status") seen.statuses.push_back(v);
          if (n != ":status") seen.fields += n + ": " + v + "\n";
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks,
        [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* me) {
          static_cast<Client*>(me)->seen[id].body.append(reinterpret_cast<const char*>(data), size);
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        callbacks, [](nghttp2_session*, int32_t id, uint32_t code, void* me) {
          Seen& one = static_cast<Client*>(me)->seen[id];
          one.closed = true;
          one.code = code;
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* me) {
          if (frame->hd.type == NGHTTP2_GOAWAY) {
            static_cast<Client*>(me)->goaway = frame->goaway.error_code;
          }
          return 0;
        });
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_http_messaging(option, 1);  // it may send what it should not
    nghttp2_session_client_new2(&session, callbacks, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
  }
  ~Client() { nghttp2_session_del(session); }

  int32_t request(const std::string& method, const std::string& path, Fields more = {},
                  const std::string* body = nullptr) {
    Fields fields = {
        {":method", method}, {":scheme", "http"}, {":authority", "a.example"}, {":path", path}};
    fields.insert(fields.end(), more.begin(), more.end());
    std::vector<nghttp2_nv> out;
    for (auto& [name, value] : fields) {
      out.push_back({reinterpret_cast<uint8_t*>(name.data()),
                     reinterpret_cast<uint8_t*>(value.data()), name.size(), value.size(),
                     NGHTTP2_NV_FLAG_NONE});
    }
    nghttp2_data_provider provider{};
    if (body != nullptr) {
      bodies_.push_back(*body);
      provider.source.ptr = &bodies_.back();
      provider.read_callback = [](nghttp2_session*, int32_t, uint8_t* to, size_t size,
                                  uint32_t* flags, nghttp2_data_source* source, void*) {
        auto& text = *static_cast<std::string*>(source->ptr);
        const size_t n = std::min(size, text.size());
        std::copy_n(text.begin(), n, to);
        text.erase(0, n);
        if (text.empty()) *flags |= NGHTTP2_DATA_FLAG_EOF;
        return static_cast<ssize_t>(n);
      };
    }
    const int32_t id = nghttp2_submit_request(session, nullptr, out.data(), out.size(),
                                              body == nullptr ? nullptr : &provider, nullptr);
    work_.notify_all();
    return id;
  }

  Task<Result<>> write() {
    while (true) {
      const uint8_t* data = nullptr;
      const ssize_t n = nghttp2_session_mem_send(session, &data);
      if (n > 0) {
        const std::string bytes(reinterpret_cast<const char*>(data), static_cast<size_t>(n));
        if (!co_await conn_->write(bytes)) co_return Result<>();
      } else if (!co_await work_.wait()) {
        co_return Result<>();
      }
    }
  }
  Task<Result<>> read() {
    std::vector<char> buffer(10'000);
    while (true) {
      const Result<size_t> n = co_await conn_->read_some(asio::buffer(buffer));
      if (!n || *n == 0) break;
      nghttp2_session_mem_recv(session, reinterpret_cast<const uint8_t*>(buffer.data()), *n);
      work_.notify_all();
    }
    ended = true;
    co_return Result<>();
  }
  void wake() { work_.notify_all(); }
  Conn& conn() { return *conn_; }

  nghttp2_session* session = nullptr;
  std::map<int32_t, Seen> seen;
  std::optional<uint32_t> goaway;
  bool ended = false;

 private:
  ConnPtr conn_;
  Notify work_;
  std::list<std::string> bodies_;
};

using App = std::function<Task<Result<>>(ConnPtr)>;

Task<HttpResponse> echo(HttpRequest request) {
  HttpResponse response;
  response.body =
      fmt::format("{} {} {}\n", request.head.method, request.head.target, request.head.host);
  response.body += request.body;
  co_return response;
}
Task<Result<>> quietly(Task<Result<>> task) {
  std::ignore = co_await std::move(task);
  co_return Result<>();
}

class H2SessionTest : public testing::Test {
 public:
  H2SessionTest() {
    HttpLimits http;
    http.body_bytes_max = 64 * 1024 * 1024;
    app = [this, http](ConnPtr conn) {
      return serve_http(std::move(conn), loop.clock, http, echo,
                        [](const Error&) { return HttpResponse{.status = 400}; });
    };
    auto [a, b] = memory_conn_pair(loop.executor(), loop.clock);
    client = std::make_unique<Client>(std::move(a), loop.executor());
    session = std::make_shared<H2Session>(
        loop.executor(), std::move(b), "", loop.clock, H2Limits(),
        [this](ConnPtr conn) { scope.spawn(quietly(app(std::move(conn)))); });
    scope.spawn(session->run(session));
    scope.spawn(client->write());
    scope.spawn(client->read());
  }
  ~H2SessionTest() override {
    client->conn().close();
    session->drain();
    scope.cancel();
    session.reset();
    loop.clock.run_while_not([this] { return scope.running() == 0; }, 1h);
  }
  void run(Duration length) { loop.clock.run_for(length); }

  VirtualLoop loop;
  Scope scope{loop.executor(), "h2 test"};
  App app;
  std::unique_ptr<Client> client;
  std::shared_ptr<H2Session> session;
};

TEST_F(H2SessionTest, ManyStreamsAreAnswered) {
  std::vector<int32_t> ids;
  const std::string body(100'000, 'b');
  for (int i = 0; i < 50; ++i) {
    ids.push_back(client->request("POST", fmt::format("/{}", i), {}, i % 2 == 0 ? &body : nullptr));
  }
  run(5s);
  for (int i = 0; i < 50; ++i) {
    const Seen& one = client->seen[ids[static_cast<size_t>(i)]];
    EXPECT_EQ(one.statuses, std::vector<std::string>{"200"});
    EXPECT_TRUE(one.closed);
    EXPECT_EQ(one.code, NGHTTP2_NO_ERROR);
    EXPECT_EQ(one.body, fmt::format("POST /{} a.example\n{}", i, i % 2 == 0 ? body : ""));
  }
  EXPECT_EQ(session->streams(), 0u);
}

Task<Result<>> in_parts(ConnPtr conn) {
  CO_TRY_DO(co_await conn->write("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 20"));
  CO_TRY_DO(
      co_await conn->write("0 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3"));
  CO_TRY_DO(co_await conn->write("\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n"));
  co_return Result<>();
}
TEST_F(H2SessionTest, InterimAnswersChunksAndTrailers) {
  app = in_parts;
  const int32_t id = client->request("GET", "/");
  run(1s);
  const Seen& one = client->seen[id];
  EXPECT_EQ(one.statuses, (std::vector<std::string>{"103", "200"}));
  EXPECT_EQ(one.fields, "link: </x>\nx-sum: 5\n");
  EXPECT_EQ(one.body, "abcde");
  EXPECT_TRUE(one.closed);
  EXPECT_EQ(one.code, NGHTTP2_NO_ERROR);
}

Task<Result<>> break_off(ConnPtr conn) {
  CO_TRY_DO(co_await conn->write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"));
  conn->abort();
  co_return Result<>();
}
TEST_F(H2SessionTest, AnAnswerThatBreaksResetsItsStream) {
  app = break_off;
  const int32_t id = client->request("GET", "/");
  run(1s);
  EXPECT_TRUE(client->seen[id].closed);
  EXPECT_EQ(client->seen[id].code, NGHTTP2_INTERNAL_ERROR);
  EXPECT_FALSE(client->goaway);
}

Task<Result<>> never(ConnPtr conn, Conn::Peer& peer, Error& error) {
  std::array<char, 100> buffer;
  while (true) {
    const Result<size_t> n = co_await conn->read_some(asio::buffer(buffer));
    if (n && *n > 0) continue;
    if (!n) error = n.error();
    peer = conn->peer();
    co_return Result<>();
  }
}
TEST_F(H2SessionTest, AClientThatResetsHasLeft) {
  Conn::Peer peer = Conn::Peer::There;
  Error error;
  app = [&](ConnPtr conn) { return never(std::move(conn), peer, error); };
  const int32_t id = client->request("GET", "/");
  run(10s);
  EXPECT_EQ(error.message, "") << "the end of the request is not the client's";
  nghttp2_submit_rst_stream(client->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  client->wake();
  run(1s);
  EXPECT_EQ(peer, Conn::Peer::Gone);
  EXPECT_EQ(error.code, ErrorCode::Unavailable);
}

Task<Result<>> read_nothing(ConnPtr conn, Clock& clock) {
  CO_TRY_DO(co_await clock.sleep_for(1h));
  conn->close();
  co_return Result<>();
}
TEST_F(H2SessionTest, AStreamThatIsNotReadHoldsItsWindowAndUpNobody) {
  app = [this](ConnPtr conn) { return read_nothing(std::move(conn), loop.clock); };
  const std::string large(10'000'000, 'x');
  for (int i = 0; i < 20; ++i) client->request("POST", "/", {}, &large);
  run(5s);
  HttpLimits http;
  http.body_bytes_max = 64 * 1024 * 1024;
  app = [this, http](ConnPtr conn) {
    return serve_http(std::move(conn), loop.clock, http, echo,
                      [](const Error&) { return HttpResponse{.status = 400}; });
  };
  const int32_t id = client->request("POST", "/", {}, &large);
  run(10s);
  EXPECT_EQ(client->seen[id].body.size(), large.size() + std::string("POST / a.example\n").size());
}

TEST_F(H2SessionTest, MalformedRequestsResetTheirStreamOnly) {
  const int32_t bad = client->request("GET", "/a b");
  const int32_t worse = client->request("GET", "/", {{"connection", "close"}});
  const int32_t good = client->request("GET", "/");
  run(1s);
  EXPECT_EQ(client->seen[bad].code, NGHTTP2_PROTOCOL_ERROR);
  EXPECT_EQ(client->seen[worse].code, NGHTTP2_PROTOCOL_ERROR);
  EXPECT_EQ(client->seen[good].statuses, std::vector<std::string>{"200"});
}

TEST_F(H2SessionTest, RapidResetsAreSentAway) {
  app = [this](ConnPtr conn) { return read_nothing(std::move(conn), loop.clock); };
  size_t served_at_most = 0;
  for (int round = 0; round < 100 && !client->goaway; ++round) {
    std::vector<int32_t> ids;
    for (int i = 0; i < 20; ++i) ids.push_back(client->request("GET", "/"));
    run(1ms);
    for (const int32_t id : ids) {
      nghttp2_submit_rst_stream(client->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    }
    client->wake();
    run(1ms);
    served_at_most = std::max(served_at_most, scope.running());
  }
  EXPECT_LT(served_at_most, 2u * 100 + 10);
  run(3s);
  ASSERT_TRUE(client->goaway);
  EXPECT_EQ(*client->goaway, NGHTTP2_ENHANCE_YOUR_CALM);
  EXPECT_TRUE(client->ended);
}

TEST_F(H2SessionTest, FloodsOfPingsAreSentAway) {
  for (int i = 0; i < 3000 && !client->goaway; ++i) {
    nghttp2_submit_ping(client->session, NGHTTP2_FLAG_NONE, nullptr);
    client->wake();
    run(1us);
  }
  run(3s);
  ASSERT_TRUE(client->goaway);
  EXPECT_EQ(*client->goaway, NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST_F(H2SessionTest, DrainingLetsStreamsEnd) {
  ConnPtr held;
  app = [&held](ConnPtr conn) -> Task<Result<>> {
    held = std::move(conn);
    co_return Result<>();
  };
  const int32_t id = client->request("GET", "/");
  run(1s);
  session->drain();
  run(1s);
  ASSERT_TRUE(client->goaway);
  EXPECT_EQ(*client->goaway, NGHTTP2_NO_ERROR);
  EXPECT_FALSE(client->ended);
  const std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  ASSERT_TRUE(held);
  scope.spawn([](Conn& conn, std::string_view text) -> Task<Result<>> {
    co_return co_await conn.write(text);
  }(*held, answer));
  run(3s);
  EXPECT_EQ(client->seen[id].body, "ok");
  EXPECT_TRUE(client->ended);
  held.reset();
}

TEST_F(H2SessionTest, AnIdleConnectionIsClosed) {
  client->request("GET", "/");
  run(70s);
  EXPECT_FALSE(client->ended);
  run(20s);
  EXPECT_TRUE(client->ended);
}

}  // namespace
}  // namespace mesclun
