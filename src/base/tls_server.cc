#include "base/tls_server.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>

#include "base/text.h"
#include "base/tls_stream.h"

namespace mesclun {

namespace {

using NamesPtr = std::unique_ptr<GENERAL_NAMES, Freed<&GENERAL_NAMES_free>>;

constexpr int kSecurityLevel = 2;

// Nobody is there to type one.
int no_password(char*, int, int, void*) {
  return -1;
}

std::string lower_name(const unsigned char* text, int size) {
  return lower_case({reinterpret_cast<const char*>(text), static_cast<size_t>(std::max(size, 0))});
}

// The names of hosts that a certificate is valid for, lower case: "a.example", "*.b.example".
std::vector<std::string> names_of(X509& certificate) {
  std::vector<std::string> names;
  const NamesPtr alternatives(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; alternatives != nullptr && i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(alternatives.get(), i);
    if (name->type != GEN_DNS) continue;
    names.push_back(
        lower_name(ASN1_STRING_get0_data(name->d.dNSName), ASN1_STRING_length(name->d.dNSName)));
  }
  return names;
}

WallTime end_of(X509& certificate) {
  int days = 0;
  int seconds = 0;
  const std::unique_ptr<ASN1_TIME, Freed<&ASN1_TIME_free>> epoch(ASN1_TIME_set(nullptr, 0));
  ASN1_TIME_diff(&days, &seconds, epoch.get(), X509_get0_notAfter(&certificate));
  // A wall time of ours ends in the year 2262.
  days = std::min(days, 365 * 290);
  return WallTime(std::chrono::days(days) + std::chrono::seconds(seconds));
}

struct Identity {
  ContextPtr context;
  std::vector<std::string> names;
  WallTime end;
};

Result<BioPtr> text_bio(std::string_view text) {
  if (text.size() > static_cast<size_t>(std::numeric_limits<int>::max())) {
    return Error::invalid("too long");
  }
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// The rest of the text after the first certificate.
Result<> add_chain(SSL_CTX& context, BIO& text) {
  while (CertificatePtr next{PEM_read_bio_X509(&text, nullptr, no_password, nullptr)}) {
    if (SSL_CTX_add1_chain_cert(&context, next.get()) != 1) {
      return Error::invalid("its chain is refused: " + openssl_problem());
    }
  }
  // The end of the text counts as an error.
  const bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!ended) return Error::invalid("a certificate of its chain is no PEM: " + openssl_problem());
  ERR_clear_error();
  return {};
}

Result<Identity> make_identity(const TlsIdentity& pem) {
  Identity identity;
  identity.context = make_context(TLS_server_method());
  SSL_CTX& context = *identity.context;
  SSL_CTX_set_security_level(&context, kSecurityLevel);
  ERR_clear_error();
  TRY(const BioPtr chain, text_bio(pem.certificate_pem));
  TRY(const BioPtr key_text, text_bio(pem.key_pem));
  const CertificatePtr own(PEM_read_bio_X509(chain.get(), nullptr, no_password, nullptr));
  if (own == nullptr) {
    ERR_clear_error();
    return Error::invalid("there is no certificate in PEM (BEGIN CERTIFICATE)");
  }
  const KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_password, nullptr));
  if (key == nullptr) {
    ERR_clear_error();
    return Error::invalid("there is no private key in PEM without a password (BEGIN PRIVATE KEY)");
  }
  if (X509_check_private_key(own.get(), key.get()) != 1) {
    ERR_clear_error();
    return Error::invalid("the private key is not the one of the certificate");
  }
  if (SSL_CTX_use_certificate(&context, own.get()) != 1 ||
      SSL_CTX_use_PrivateKey(&context, key.get()) != 1) {
    return Error::invalid("it is refused: " + openssl_problem());
  }
  TRY_DO(add_chain(context, *chain));
  identity.names = names_of(*own);
  identity.end = end_of(*own);
  return identity;
}

// Of every identity a context, of which the first is the one that handshakes begin with: its tickets
// and its list of protocols are everybody's.
class OpensslServer final : public TlsServer {
 public:
  Result<> add(const TlsIdentity& pem) {
    TRY(Identity identity, make_identity(pem));
    for (const std::string& name : identity.names) {
      by_name_.try_emplace(name, identity.context.get());
    }
    expires_ = identities_.empty() ? identity.end : std::min(expires_, identity.end);
    identities_.push_back(std::move(identity));
    return {};
  }
  void finish(const std::vector<std::string>& protocols) {
    for (const std::string& protocol : protocols) {
      protocols_ += static_cast<char>(protocol.size());
      protocols_ += protocol;
    }
    SSL_CTX& first = *identities_.front().context;
    // Sessions live in their tickets, not here.
    SSL_CTX_set_session_cache_mode(&first, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_tlsext_servername_callback(&first, choose_identity);
    SSL_CTX_set_tlsext_servername_arg(&first, this);
    if (!protocols_.empty()) SSL_CTX_set_alpn_select_cb(&first, choose_protocol, this);
  }

  WallTime expires() const override { return expires_; }
  SslPtr start() const {
    SslPtr ssl(SSL_new(identities_.front().context.get()));
    if (ssl == nullptr) std::abort();
    SSL_set_accept_state(ssl.get());
    return ssl;
  }

 private:
  static int choose_identity(SSL* ssl, int*, void* self) {
    const char* const asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (asked == nullptr) return SSL_TLSEXT_ERR_NOACK;
    if (SSL_CTX* const found = static_cast<const OpensslServer*>(self)->find(asked)) {
      SSL_set_SSL_CTX(ssl, found);
    }
    return SSL_TLSEXT_ERR_OK;
  }
  static int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* size,
                             const unsigned char* offered, unsigned int offered_size, void* self) {
    const std::string& ours = static_cast<const OpensslServer*>(self)->protocols_;
    unsigned char* out = nullptr;
    const int outcome =
        SSL_select_next_proto(&out, size, reinterpret_cast<const unsigned char*>(ours.data()),
                              static_cast<unsigned int>(ours.size()), offered, offered_size);
    if (outcome != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
    *chosen = out;
    return SSL_TLSEXT_ERR_OK;
  }
  SSL_CTX* find(std::string_view asked) const {
    std::string name = lower_case(asked);
    if (const auto exact = by_name_.find(name); exact != by_name_.end()) return exact->second;
    const size_t dot = name.find('.');
    if (dot == std::string::npos) return nullptr;
    name.replace(0, dot, "*");
    const auto wildcard = by_name_.find(name);
    return wildcard == by_name_.end() ? nullptr : wildcard->second;
  }

  std::vector<Identity> identities_;
  std::map<std::string, SSL_CTX*> by_name_;
  std::string protocols_;  // as on the wire
  WallTime expires_;
};

}  // namespace

Result<std::shared_ptr<const TlsServer>> TlsServer::make(const std::vector<TlsIdentity>& identities,
                                                         std::vector<std::string> protocols) {
  const auto server = std::make_shared<OpensslServer>();
  for (size_t i = 0; i < identities.size(); ++i) {
    if (const Result<> added = server->add(identities[i]); !added) {
      if (identities.size() == 1) return added.error();
      return Error::invalid(fmt::format("certificate {}: {}", i + 1, added.error().message));
    }
  }
  server->finish(protocols);
  return std::shared_ptr<const TlsServer>(server);
}

Task<Result<TlsAccepted>> accept_tls(ConnPtr conn, std::shared_ptr<const TlsServer> server,
                                     Clock& clock, Duration limit) {
  SslPtr owned = static_cast<const OpensslServer&>(*server).start();
  SSL* const ssl = owned.get();
  TlsAccepted accepted;
  CO_TRY(accepted.conn, co_await shake_hands(std::move(conn), std::move(owned), clock, limit));
  const unsigned char* protocol = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl, &protocol, &size);
  if (size > 0) accepted.protocol.assign(reinterpret_cast<const char*>(protocol), size);
  co_return std::move(accepted);
}

Task<Result<ConnPtr>> tls_server(ConnPtr conn, std::string certificate_pem, std::string key_pem,
                                 Clock& clock, Duration limit) {
  std::vector<TlsIdentity> identities;
  identities.push_back({std::move(certificate_pem), std::move(key_pem)});
  CO_TRY(const std::shared_ptr<const TlsServer> server, TlsServer::make(identities));
  CO_TRY(TlsAccepted accepted, co_await accept_tls(std::move(conn), server, clock, limit));
  co_return std::move(accepted.conn);
}

}  // namespace mesclun
