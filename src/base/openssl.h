// Owners of OpenSSL's objects, and its errors in words. For the sources that speak to it.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace mesclun {

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

// The first error of this thread's queue, which is empty afterwards.
std::string openssl_problem();

// For TLS 1.2 and 1.3.
ContextPtr make_context(const SSL_METHOD* method);

}  // namespace mesclun
