#include "base/tls_conn.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdlib>

#include "base/tls_stream.h"

namespace mesclun {

namespace {

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

}  // namespace mesclun
