// For tests: certificates of our own making, in PEM.
#pragma once

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <string>

#include "base/openssl.h"

namespace mesclun {

struct TestCertificate {
  std::string certificate_pem;
  std::string key_pem;
};

// Signed by itself, valid for an hour from an hour ago, for `names` such as "DNS:localhost" or
// "IP:127.0.0.1, DNS:a.example". Its own authority: trusting it is trusting the file it is in.
inline TestCertificate make_test_certificate(const std::string& names) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const CertificatePtr made(X509_new());
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
  X509_set_pubkey(made.get(), key.get());
  // Its own name too, or a client that trusts several takes one for the issuer of another.
  const std::string own = names.substr(0, 64);
  X509_NAME* const name = X509_get_subject_name(made.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(own.data()),
                             static_cast<int>(own.size()), -1, 0);
  X509_set_issuer_name(made.get(), name);
  for (const auto& [what, value] : {std::pair(NID_subject_alt_name, names.c_str()),
                                    std::pair(NID_basic_constraints, "critical,CA:TRUE")}) {
    const std::unique_ptr<X509_EXTENSION, Freed<&X509_EXTENSION_free>> extension(
        X509V3_EXT_conf_nid(nullptr, nullptr, what, value));
    X509_add_ext(made.get(), extension.get(), -1);
  }
  X509_sign(made.get(), key.get(), EVP_sha256());

  const auto written = [](auto write) {
    const BioPtr out(BIO_new(BIO_s_mem()));
    write(out.get());
    char* text = nullptr;
    const long size = BIO_get_mem_data(out.get(), &text);
    return std::string(text, static_cast<size_t>(size));
  };
  return {.certificate_pem = written([&](BIO* out) { PEM_write_bio_X509(out, made.get()); }),
          .key_pem = written([&](BIO* out) {
            PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

}  // namespace mesclun
