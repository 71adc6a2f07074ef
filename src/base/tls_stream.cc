#include "base/tls_stream.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/notify.h"
#include "base/race.h"

namespace mesclun {

namespace {

// Records on their way: from the connection to OpenSSL, and from OpenSSL to the connection.
struct Records {
  std::string in;
  size_t used = 0;  // of `in`
  std::string out;
};

int read_record(BIO* bio, char* to, int size) {
  BIO_clear_retry_flags(bio);
  Records& records = *static_cast<Records*>(BIO_get_data(bio));
  const size_t n = std::min(static_cast<size_t>(size), records.in.size() - records.used);
  if (n == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  std::memcpy(to, records.in.data() + records.used, n);
  records.used += n;
  return static_cast<int>(n);
}

int write_record(BIO* bio, const char* from, int size) {
  BIO_clear_retry_flags(bio);
  static_cast<Records*>(BIO_get_data(bio))->out.append(from, static_cast<size_t>(size));
  return size;
}

long control(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

// OpenSSL's own memory BIOs never give back what the largest record needed.
BIO* make_bio(Records& records) {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "records");
    BIO_meth_set_read(made, read_record);
    BIO_meth_set_write(made, write_record);
    BIO_meth_set_ctrl(made, control);
    return made;
  }();
  BIO* const bio = BIO_new(method);
  if (bio == nullptr) std::abort();
  BIO_set_data(bio, &records);
  BIO_set_init(bio, 1);
  return bio;
}

// One TLS stream, whose records this moves to and from `conn_`.
//
// Only read_some() reads from `conn_` after the handshake. Both directions may have records to
// send (TLS 1.3 answers key updates while reading): whoever flushes goes on until nothing is left,
// and the other waits for it.
class TlsConn final : public Conn {
 public:
  TlsConn(ConnPtr conn, SslPtr ssl, const asio::any_io_executor& executor)
      : conn_(std::move(conn)), ssl_(std::move(ssl)), flushed_(executor) {
    BIO* const bio = make_bio(records_);
    SSL_set_bio(ssl_.get(), bio, bio);  // which owns it from now on
  }
  ~TlsConn() override { TlsConn::close(); }

  Task<Result<>> handshake() {
    while (true) {
      ERR_clear_error();
      const int done = SSL_do_handshake(ssl_.get());
      const int problem = SSL_get_error(ssl_.get(), done);
      if (done != 1 && problem != SSL_ERROR_WANT_READ) {
        const Error error = handshake_error();
        // The alert tells the peer why.
        std::ignore = co_await flush();
        co_return error;
      }
      const Result<> flushed = co_await flush();
      if (!flushed && (done != 1 || flushed.code() != ErrorCode::Unavailable)) co_return flushed;
      // A client that has said all and left is still worth reading.
      if (done == 1) co_return Result<>();
      CO_TRY(const size_t n, co_await feed(kSmallFeed));
      if (n == 0) co_return Error::unavailable("the peer closed during the TLS handshake");
    }
  }

  Task<Result<size_t>> read_some(asio::mutable_buffer buffer) override {
    while (true) {
      if (closed_) co_return Error::unavailable("connection closed");
      ERR_clear_error();
      size_t n = 0;
      const int done = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &n);
      const int problem = SSL_get_error(ssl_.get(), done);
      if (!records_.out.empty() && !flushing_) CO_TRY_DO(co_await flush());
      if (done == 1) co_return n;
      if (problem == SSL_ERROR_ZERO_RETURN) co_return size_t{0};
      if (problem != SSL_ERROR_WANT_READ) {
        co_return Error::unavailable("the TLS stream is broken: " + openssl_problem());
      }
      // Who waits with little room expects little.
      CO_TRY(const size_t fed, co_await feed(buffer.size() < kSmallFeed ? kSmallFeed : kFeed));
      if (fed == 0) co_return Error::unavailable("the peer broke the TLS stream off");
    }
  }

  // Bytes on the wire may turn out to be the peer's goodbye, which is no byte of the stream.
  bool when_readable(std::function<void(bool)> then) override {
    if (closed_ || has_unread()) return false;
    records_.used = 0;
    std::string().swap(records_.in);
    if (records_.out.empty()) std::string().swap(records_.out);
    return conn_->when_readable(std::move(then));
  }
  // A write of ours under way, half a record, is worth more.
  void cancel_read() override {
    if (!flushing_) conn_->cancel_read();
  }

  Task<Result<>> write(std::span<const asio::const_buffer> buffers) override {
    size_t made = std::exchange(made_, 0);
    std::string joined;
    const asio::const_buffer one = join_small(buffers, joined);
    if (!joined.empty()) buffers = std::span(&one, 1);
    for (const asio::const_buffer& buffer : buffers) {
      std::string_view rest(static_cast<const char*>(buffer.data()), buffer.size());
      const size_t skipped = std::min(made, rest.size());
      rest.remove_prefix(skipped);
      made -= skipped;
      while (!rest.empty()) {
        if (closed_) co_return Error::unavailable("connection closed");
        const size_t n = std::min(rest.size(), kRecordBytes);
        CO_TRY_DO(make_record(rest.substr(0, n)));
        rest.remove_prefix(n);
        if (records_.out.size() >= kFlushBytes) CO_TRY_DO(co_await flush());
      }
    }
    co_return co_await flush();
  }

  size_t write_now(std::span<const asio::const_buffer> buffers) override {
    if (closed_ || broken_ || flushing_ || made_ > 0 || !records_.out.empty()) return 0;
    std::string joined;
    const asio::const_buffer one = join_small(buffers, joined);
    if (!joined.empty()) buffers = std::span(&one, 1);
    size_t taken = 0;
    for (const asio::const_buffer& buffer : buffers) {
      std::string_view rest(static_cast<const char*>(buffer.data()), buffer.size());
      while (!rest.empty()) {
        const size_t n = std::min(rest.size(), kRecordBytes);
        if (!make_record(rest.substr(0, n))) return taken;
        send_now();
        if (!records_.out.empty()) {
          made_ = n;
          return taken;
        }
        taken += n;
        rest.remove_prefix(n);
      }
    }
    return taken;
  }

  bool is_clean() const override {
    return !closed_ && !broken_ && !has_unread() && conn_->is_clean();
  }
  bool is_encrypted() const override { return true; }
  Peer peer() const override { return conn_->peer(); }
  void set_deadline(TimePoint when) override { conn_->set_deadline(when); }
  void set_idle_deadline(TimePoint when, Duration idle) override {
    conn_->set_idle_deadline(when, idle);
  }
  // What does not fit into the connection now goes with the next read.
  void shutdown_write() override {
    say_goodbye();
    shutting_down_ = true;
    if (records_.out.empty() && !flushing_) conn_->shutdown_write();
  }
  void close() override {
    if (closed_) return;
    closed_ = true;
    say_goodbye();
    conn_->close();
  }
  void abort() override {
    closed_ = true;
    conn_->abort();
  }
  std::string peer_address() const override { return conn_->peer_address(); }

 private:
  static constexpr size_t kRecordBytes = 16 * 1024;
  static constexpr size_t kFeed = kRecordBytes + 1024;  // a record with its frame
  static constexpr size_t kSmallFeed = 4 * 1024;
  static constexpr size_t kFlushBytes = 4 * kRecordBytes;

  Error handshake_error() {
    const long verdict = SSL_get_verify_result(ssl_.get());
    if (SSL_is_server(ssl_.get()) == 0 && verdict != X509_V_OK) {
      ERR_clear_error();
      return {ErrorCode::PermissionDenied, fmt::format("the server's certificate is refused: {}",
                                                       X509_verify_cert_error_string(verdict))};
    }
    return Error::unavailable("the TLS handshake failed: " + openssl_problem());
  }

  // Of the stream, or a record that OpenSSL has not seen.
  bool has_unread() const {
    return records_.used < records_.in.size() || SSL_has_pending(ssl_.get()) == 1 ||
           (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
  }

  // Reads from the connection what OpenSSL sees next; 0 at its end. It has seen all before.
  Task<Result<size_t>> feed(size_t bytes_max) {
    records_.used = 0;
    std::string& in = records_.in;
    if (in.capacity() > 2 * bytes_max) std::string().swap(in);
    in.resize_and_overwrite(bytes_max, [bytes_max](char*, size_t) { return bytes_max; });
    // OpenSSL may look while this waits.
    records_.used = bytes_max;
    const Result<size_t> n = co_await conn_->read_some(asio::buffer(in));
    in.resize(n ? *n : 0);
    records_.used = 0;
    co_return n;
  }

  // The pieces of a message in one record, if it is small; else they stay apart.
  static asio::const_buffer join_small(std::span<const asio::const_buffer> buffers,
                                       std::string& joined) {
    if (buffers.size() < 2 || asio::buffer_size(buffers) > kRecordBytes) return {};
    for (const asio::const_buffer& buffer : buffers) {
      joined.append(static_cast<const char*>(buffer.data()), buffer.size());
    }
    return asio::buffer(joined);
  }

  // Into memory, so it takes all or fails.
  Result<> make_record(std::string_view bytes) {
    ERR_clear_error();
    size_t n = 0;
    if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &n) == 1) return {};
    return Error::unavailable("the TLS stream is broken: " + openssl_problem());
  }

  // Returns when every record made so far is written.
  Task<Result<>> flush() {
    while (flushing_) CO_TRY_DO(co_await flushed_.wait());
    flushing_ = true;
    Result<> result;
    while (result && !broken_) {
      const std::string records = std::exchange(records_.out, {});
      if (records.empty()) break;
      result = co_await conn_->write(records);
      // Half a record may be out: nothing that follows would be understood.
      if (!result) broken_ = true;
    }
    if (result && shutting_down_) conn_->shutdown_write();
    flushing_ = false;
    flushed_.notify_all();
    if (result && broken_) result = Error::unavailable("the TLS stream is broken");
    co_return result;
  }

  void send_now() {
    const asio::const_buffer buffer = asio::buffer(records_.out);
    records_.out.erase(0, conn_->write_now(std::span(&buffer, 1)));
  }

  void say_goodbye() {
    if (broken_ || flushing_ || SSL_is_init_finished(ssl_.get()) == 0) return;
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
    send_now();
  }

  ConnPtr conn_;
  Records records_;
  SslPtr ssl_;
  Notify flushed_;
  size_t made_ = 0;  // bytes that write_now() made a record of, and called not taken
  bool flushing_ = false;
  bool shutting_down_ = false;
  bool broken_ = false;
  bool closed_ = false;
};

}  // namespace

std::string openssl_problem() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (ERR_SYSTEM_ERROR(code)) return std::strerror(ERR_GET_REASON(code));
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "unknown TLS error" : reason;
}

ContextPtr make_context(const SSL_METHOD* method) {
  // Without openssl.cnf, which may ask for modules that a static program cannot load.
  OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  ContextPtr context(SSL_CTX_new(method));
  if (context == nullptr) std::abort();
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // Then writing never has to wait for something to read.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
  // A stream that rests keeps no buffer.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  return context;
}

Task<Result<ConnPtr>> shake_hands(ConnPtr conn, SslPtr ssl, Clock& clock, Duration limit) {
  const std::string peer = conn->peer_address();
  auto tls = std::make_unique<TlsConn>(std::move(conn), std::move(ssl),
                                       co_await asio::this_coro::executor);
  Result<> done = co_await within(clock, limit, tls->handshake());
  if (!done && done.code() == ErrorCode::DeadlineExceeded) {
    co_return Error::deadline(
        fmt::format("no TLS handshake with {} within {} ms", peer, to_millis(limit)));
  }
  if (!done) co_return std::move(done).error();
  co_return ConnPtr(std::move(tls));
}

}  // namespace mesclun
