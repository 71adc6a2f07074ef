#include "gateway/certificate_files.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"

namespace mesclun::gateway {

namespace {

FileStamp stamp_of(const std::string& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) return {};
  constexpr int64_t kNanos = 1'000'000'000;
  return {.device = found.st_dev,
          .inode = found.st_ino,
          .size = found.st_size,
          .changed_nanos = found.st_mtim.tv_sec * kNanos + found.st_mtim.tv_nsec};
}

Result<std::shared_ptr<const TlsServer>> read_all(const std::vector<CertificateFile>& files,
                                                  const std::vector<std::string>& protocols) {
  std::vector<TlsIdentity> identities;
  for (const CertificateFile& file : files) {
    TlsIdentity identity;
    TRY(identity.certificate_pem, read_file(file.certificate));
    TRY(identity.key_pem, read_file(file.key));
    // Alone, so that the message can name the file.
    if (const auto made = TlsServer::make({identity}); !made) {
      return Error::invalid(
          fmt::format("{} with the key {}: {}", file.certificate, file.key, made.error().message));
    }
    identities.push_back(std::move(identity));
  }
  return TlsServer::make(identities, protocols);
}

}  // namespace

Result<std::shared_ptr<CertificateFiles>> CertificateFiles::load(
    std::vector<CertificateFile> files, std::vector<std::string> protocols) {
  const std::shared_ptr<CertificateFiles> loaded(
      new CertificateFiles(std::move(files), std::move(protocols)));
  loaded->read_ = loaded->stamps();
  TRY(loaded->server_, read_all(loaded->files_, loaded->protocols_));
  return loaded;
}

std::vector<FileStamp> CertificateFiles::stamps() const {
  std::vector<FileStamp> found;
  for (const CertificateFile& file : files_) {
    found.push_back(stamp_of(file.certificate));
    found.push_back(stamp_of(file.key));
  }
  return found;
}

Task<Result<>> CertificateFiles::watch(Clock& clock) {
  std::vector<FileStamp> before = read_;
  TimePoint renewal = clock.now() + kRenewal;
  while (true) {
    CO_TRY_DO(co_await clock.sleep_for(kLook));
    const std::vector<FileStamp> now = stamps();
    const bool settled = now == before;
    before = now;
    if ((!settled || now == read_) && clock.now() < renewal) continue;
    renewal = clock.now() + kRenewal;
    reload();
  }
}

void CertificateFiles::reload() {
  read_ = stamps();
  Result<std::shared_ptr<const TlsServer>> made = read_all(files_, protocols_);
  if (!made) {
    return log_error("gateway",
                     "new certificates cannot be used, the former ones stay: write a certificate "
                     "with its chain and its key in PEM, and they are read again",
                     {{"problem", made.error().message}});
  }
  server_ = *std::move(made);
  log_info("gateway", "certificates were read",
           {{"files", files_.size()}, {"until", format_rfc3339(server_->expires())}});
}

}  // namespace mesclun::gateway
