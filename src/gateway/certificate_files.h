// The certificates that the gateway shows, as their files have them.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/tls_server.h"

namespace mesclun::gateway {

// PEM: the certificate with its chain, and its key, which may stand in the same file.
struct CertificateFile {
  std::string certificate;
  std::string key;
};

// What is known of a file without reading it; all zero of one that is not there.
struct FileStamp {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  int64_t changed_nanos = 0;
  bool operator==(const FileStamp&) const = default;
};

// New files are taken up without a restart; if they cannot be used, the log says why, and what was
// there before stays.
//
// Runs on:  one loop; reading blocks it for as long as some small files take.
class CertificateFiles {
 public:
  // `protocols`: ALPN's list, the best first. Fails if one of the files cannot be used, and names it.
  static Result<std::shared_ptr<CertificateFiles>> load(std::vector<CertificateFile> files,
                                                        std::vector<std::string> protocols = {});

  const std::shared_ptr<const TlsServer>& server() const { return server_; }

  // Looks every kLook whether they have changed, and reads them once they have stayed as they are for
  // so long: a certificate and its key are rarely written in one step. Also once a day, so that no
  // session's ticket is good for longer.
  Task<Result<>> watch(Clock& clock);
  static constexpr Duration kLook = 2s;
  static constexpr Duration kRenewal = 24h;
  // Reads them at once.
  void reload();

 private:
  CertificateFiles(std::vector<CertificateFile> files, std::vector<std::string> protocols)
      : files_(std::move(files)), protocols_(std::move(protocols)) {}
  std::vector<FileStamp> stamps() const;

  const std::vector<CertificateFile> files_;
  const std::vector<std::string> protocols_;
  std::shared_ptr<const TlsServer> server_;
  std::vector<FileStamp> read_;  // as they were when they were read last
};

}  // namespace mesclun::gateway
