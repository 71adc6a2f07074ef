#include "base/tls_conn.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/notify.h"
#include "base/race.h"

namespace mesclun {

namespace {

template <auto kFree>
struct Freed {
  template <class T>
  void operator()(T* pointer) const {
    kFree(pointer);
  }
};
using ContextPtr = std::unique_ptr<SSL_CTX, Freed<&SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Freed<&SSL_free>>;
using BioPtr = std::unique_ptr<BIO, Freed<&BIO_free>>;
using CertificatePtr = std::unique_ptr<X509, Freed<&X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<&EVP_PKEY_free>>;

std::string openssl_problem() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (ERR_SYSTEM_ERROR(code)) return std::strerror(ERR_GET_REASON(code));
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "unknown TLS error" : reason;
}

// One TLS stream: records go through two memory buffers, which this moves to and from `conn_`.
//
// Only read_some() reads from `conn_` after the handshake. Both directions may have records to
// send (TLS 1.3 answers key updates while reading): whoever flushes goes on until nothing is left,
// and the other waits for it.
class TlsConn final : public Conn {
 public:
  TlsConn(ConnPtr conn, SslPtr ssl, const asio::any_io_executor& executor)
      : conn_(std::move(conn)), ssl_(std::move(ssl)), flushed_(executor) {
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    if (in_ == nullptr || out_ == nullptr) std::abort();
    SSL_set_bio(ssl_.get(), in_, out_);  // which owns them from now on
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
      CO_TRY(const size_t n, co_await feed());
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
      if (has_records() && !flushing_) CO_TRY_DO(co_await flush());
      if (done == 1) co_return n;
      if (problem == SSL_ERROR_ZERO_RETURN) co_return size_t{0};
      if (problem != SSL_ERROR_WANT_READ) {
        co_return Error::unavailable("the TLS stream is broken: " + openssl_problem());
      }
      CO_TRY(const size_t fed, co_await feed());
      if (fed == 0) co_return Error::unavailable("the peer broke the TLS stream off");
    }
  }

  Task<Result<>> write(std::span<const asio::const_buffer> buffers) override {
    for (const asio::const_buffer& buffer : buffers) {
      std::string_view rest(static_cast<const char*>(buffer.data()), buffer.size());
      while (!rest.empty()) {
        if (closed_) co_return Error::unavailable("connection closed");
        const std::string_view record = rest.substr(0, kRecordBytes);
        ERR_clear_error();
        size_t n = 0;
        // Into memory, so it takes all or fails.
        if (SSL_write_ex(ssl_.get(), record.data(), record.size(), &n) != 1) {
          co_return Error::unavailable("the TLS stream is broken: " + openssl_problem());
        }
        rest.remove_prefix(n);
        CO_TRY_DO(co_await flush());
      }
    }
    co_return Result<>();
  }

  Peer peer() const override { return conn_->peer(); }
  void set_deadline(TimePoint when) override { conn_->set_deadline(when); }
  void set_idle_deadline(TimePoint when, Duration idle) override {
    conn_->set_idle_deadline(when, idle);
  }
  // What does not fit into the connection now goes with the next read.
  void shutdown_write() override {
    say_goodbye();
    shutting_down_ = true;
    if (!has_records() && !flushing_) conn_->shutdown_write();
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

  Error handshake_error() {
    const long verdict = SSL_get_verify_result(ssl_.get());
    if (SSL_is_server(ssl_.get()) == 0 && verdict != X509_V_OK) {
      ERR_clear_error();
      return {ErrorCode::PermissionDenied, fmt::format("the server's certificate is refused: {}",
                                                       X509_verify_cert_error_string(verdict))};
    }
    return Error::unavailable("the TLS handshake failed: " + openssl_problem());
  }

  // Reads from the connection into OpenSSL's memory; 0 at its end.
  Task<Result<size_t>> feed() {
    CO_TRY(const size_t n, co_await conn_->read_some(asio::buffer(chunk_)));
    if (n > 0 && BIO_write(in_, chunk_.data(), static_cast<int>(n)) != static_cast<int>(n)) {
      co_return Error::internal("out of memory");
    }
    co_return n;
  }

  bool has_records() const { return !unsent_.empty() || BIO_ctrl_pending(out_) > 0; }

  std::string take_records() {
    std::string records = std::exchange(unsent_, {});
    const size_t before = records.size();
    records.resize(before + BIO_ctrl_pending(out_));
    if (records.size() > before) {
      BIO_read(out_, records.data() + before, static_cast<int>(records.size() - before));
    }
    return records;
  }

  // Returns when every record made so far is written.
  Task<Result<>> flush() {
    while (flushing_) CO_TRY_DO(co_await flushed_.wait());
    flushing_ = true;
    Result<> result;
    while (result && !broken_) {
      const std::string records = take_records();
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

  void say_goodbye() {
    if (broken_ || flushing_ || SSL_is_init_finished(ssl_.get()) == 0) return;
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
    std::string records = take_records();
    const asio::const_buffer buffer = asio::buffer(records);
    unsent_ = records.substr(conn_->write_now(std::span(&buffer, 1)));
  }

  ConnPtr conn_;
  SslPtr ssl_;
  BIO* in_ = nullptr;   // owned by ssl_
  BIO* out_ = nullptr;  // owned by ssl_
  std::string unsent_;  // records that write_now() left over
  Notify flushed_;
  bool flushing_ = false;
  bool shutting_down_ = false;
  bool broken_ = false;
  bool closed_ = false;
  std::array<char, kRecordBytes + 1024> chunk_;
};

// Where distributions keep the file, for a program that was linked on another one. From Go's
// crypto/x509, root_linux.go.
constexpr const char* kCaFiles[] = {
    "/etc/ssl/certs/ca-certificates.crt",                 // Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",                   // Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",                             // openSUSE
    "/etc/pki/tls/cacert.pem",                            // OpenELEC
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  // CentOS, RHEL
    "/etc/ssl/cert.pem",                                  // Alpine
};

Result<> load_authorities(SSL_CTX& context) {
  const char* named = std::getenv("SSL_CERT_FILE");
  if (named != nullptr && *named != '\0') {
    if (SSL_CTX_load_verify_file(&context, named) == 1) return {};
    return Error{ErrorCode::FailedPrecondition,
                 fmt::format("$SSL_CERT_FILE names '{}', which has no CA certificates: {}", named,
                             openssl_problem())};
  }
  SSL_CTX_set_default_verify_dir(&context);
  if (::access(X509_get_default_cert_file(), R_OK) == 0 &&
      SSL_CTX_load_verify_file(&context, X509_get_default_cert_file()) == 1) {
    return {};
  }
  for (const char* file : kCaFiles) {
    if (::access(file, R_OK) == 0 && SSL_CTX_load_verify_file(&context, file) == 1) return {};
  }
  ERR_clear_error();
  if (::access(X509_get_default_cert_dir(), R_OK) == 0) return {};
  return Error{ErrorCode::FailedPrecondition,
               "no CA certificates on this machine: install ca-certificates in the image, or name "
               "a PEM file in $SSL_CERT_FILE"};
}

ContextPtr make_context(const SSL_METHOD* method) {
  // Without openssl.cnf, which may ask for modules that a static program cannot load.
  OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  ContextPtr context(SSL_CTX_new(method));
  if (context == nullptr) std::abort();
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // Then writing never has to wait for something to read.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
  return context;
}

Result<> expect_host(SSL& ssl, std::string host) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.ends_with('.')) host.pop_back();
  SSL_set_hostflags(&ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const bool is_address = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(&ssl), host.c_str()) == 1;
  ERR_clear_error();
  if (is_address) return {};  // SNI is for names only
  if (host.empty() || host.find('\0') != std::string::npos ||
      SSL_set1_host(&ssl, host.c_str()) != 1 || SSL_set_tlsext_host_name(&ssl, host.c_str()) != 1) {
    ERR_clear_error();
    return Error::invalid(fmt::format("'{}' is no host name", host));
  }
  return {};
}

Result<> use_identity(SSL_CTX& context, std::string_view certificate_pem,
                      std::string_view key_pem) {
  const Error bad = Error::invalid("the certificate or its key is not PEM, or they do not match");
  const BioPtr chain(
      BIO_new_mem_buf(certificate_pem.data(), static_cast<int>(certificate_pem.size())));
  const BioPtr key_text(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())));
  const CertificatePtr own(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
  const KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  if (own == nullptr || key == nullptr || SSL_CTX_use_certificate(&context, own.get()) != 1 ||
      SSL_CTX_use_PrivateKey(&context, key.get()) != 1) {
    ERR_clear_error();
    return bad;
  }
  while (CertificatePtr next{PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)}) {
    if (SSL_CTX_add1_chain_cert(&context, next.get()) != 1) return bad;
  }
  ERR_clear_error();  // the end of the text counts as an error
  return {};
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

}  // namespace

Task<Result<ConnPtr>> tls_client(ConnPtr conn, std::string host, Clock& clock, Duration limit) {
  const ContextPtr context = make_context(TLS_client_method());
  CO_TRY_DO(load_authorities(*context));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SslPtr ssl(SSL_new(context.get()));
  if (ssl == nullptr) std::abort();
  CO_TRY_DO(expect_host(*ssl, std::move(host)));
  SSL_set_connect_state(ssl.get());
  co_return co_await shake_hands(std::move(conn), std::move(ssl), clock, limit);
}

Task<Result<ConnPtr>> tls_client_unchecked(ConnPtr conn, std::string host, Clock& clock,
                                           Duration limit) {
  const ContextPtr context = make_context(TLS_client_method());
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  SslPtr ssl(SSL_new(context.get()));
  if (ssl == nullptr) std::abort();
  CO_TRY_DO(expect_host(*ssl, std::move(host)));
  SSL_set_connect_state(ssl.get());
  co_return co_await shake_hands(std::move(conn), std::move(ssl), clock, limit);
}

Task<Result<ConnPtr>> tls_server(ConnPtr conn, std::string certificate_pem, std::string key_pem,
                                 Clock& clock, Duration limit) {
  const ContextPtr context = make_context(TLS_server_method());
  CO_TRY_DO(use_identity(*context, certificate_pem, key_pem));
  SslPtr ssl(SSL_new(context.get()));
  if (ssl == nullptr) std::abort();
  SSL_set_accept_state(ssl.get());
  co_return co_await shake_hands(std::move(conn), std::move(ssl), clock, limit);
}

}  // namespace mesclun
