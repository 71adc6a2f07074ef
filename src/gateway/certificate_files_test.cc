#include "gateway/certificate_files.h"

#include <filesystem>
#include <fstream>

#include "base/test_certificate.h"
#include "base/test_folder.h"
#include "base/test_loop.h"

namespace mesclun::gateway {
namespace {

void write(const std::string& path, const std::string& text) {
  std::ofstream(path + ".new") << text;
  std::filesystem::rename(path + ".new", path);
}

class CertificateFilesTest : public testing::Test {
 public:
  CertificateFilesTest() { write_both("DNS:a.example"); }

  void write_both(const std::string& names) const {
    const TestCertificate made = make_test_certificate(names);
    write(certificate, made.certificate_pem);
    write(key, made.key_pem);
  }
  // Runs `story` while the files are looked after.
  void run(std::shared_ptr<CertificateFiles> files, Task<Result<>> story) {
    const auto body = [](VirtualLoop& l, auto looked_after, auto told) -> Task<Result<>> {
      Scope scope(l.executor(), "watch");
      scope.spawn(looked_after->watch(l.clock));
      const Result<> ended = co_await std::move(told);
      co_await scope.stop();
      co_return ended;
    };
    loop.run(body(loop, std::move(files), std::move(story)));
  }

  VirtualLoop loop;
  TestFolder folder;
  std::string certificate = folder.path() + "/chain.pem";
  std::string key = folder.path() + "/key.pem";
};

TEST_F(CertificateFilesTest, OneFileMayHoldBoth) {
  const TestCertificate made = make_test_certificate("DNS:a.example");
  write(certificate, made.key_pem + made.certificate_pem);
  EXPECT_TRUE(CertificateFiles::load({{certificate, certificate}}));
}

TEST_F(CertificateFilesTest, WhatCannotBeUsedIsNamed) {
  const auto missing = CertificateFiles::load({{certificate, key}, {certificate, "/no/such/key"}});
  EXPECT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("/no/such/key"), std::string::npos);
  write(key, make_test_certificate("DNS:a.example").key_pem);
  const auto other = CertificateFiles::load({{certificate, key}});
  EXPECT_FALSE(other);
  EXPECT_EQ(other.error().message, certificate + " with the key " + key +
                                       ": the private key is not the one of the certificate");
}

Task<Result<>> replace(CertificateFilesTest& t, CertificateFiles& files) {
  const auto first = files.server();
  CO_TRY_DO(co_await t.loop.clock.sleep_for(10s));
  EXPECT_EQ(files.server(), first) << "nothing has changed";
  t.write_both("DNS:b.example");
  CO_TRY_DO(co_await t.loop.clock.sleep_for(CertificateFiles::kLook));
  EXPECT_EQ(files.server(), first) << "more may be on its way";
  CO_TRY_DO(co_await t.loop.clock.sleep_for(CertificateFiles::kLook));
  EXPECT_NE(files.server(), first);
  co_return Result<>();
}
TEST_F(CertificateFilesTest, NewFilesAreTakenUpOnceTheyAreWhole) {
  const auto files = *CertificateFiles::load({{certificate, key}});
  run(files, replace(*this, *files));
}

Task<Result<>> break_and_mend(CertificateFilesTest& t, CertificateFiles& files) {
  const auto first = files.server();
  write(t.certificate, "nothing");
  CO_TRY_DO(co_await t.loop.clock.sleep_for(10s));
  EXPECT_EQ(files.server(), first);
  std::filesystem::remove(t.certificate);
  CO_TRY_DO(co_await t.loop.clock.sleep_for(10s));
  EXPECT_EQ(files.server(), first);
  files.reload();
  EXPECT_EQ(files.server(), first);
  t.write_both("DNS:b.example");
  CO_TRY_DO(co_await t.loop.clock.sleep_for(10s));
  EXPECT_NE(files.server(), first);
  co_return Result<>();
}
TEST_F(CertificateFilesTest, BrokenFilesChangeNothing) {
  const auto files = *CertificateFiles::load({{certificate, key}});
  run(files, break_and_mend(*this, *files));
}

Task<Result<>> wait_a_day(CertificateFilesTest& t, CertificateFiles& files) {
  const auto first = files.server();
  CO_TRY_DO(co_await t.loop.clock.sleep_for(CertificateFiles::kRenewal + 10s));
  EXPECT_NE(files.server(), first);
  co_return Result<>();
}
TEST_F(CertificateFilesTest, TicketsAreGoodForADay) {
  const auto files = *CertificateFiles::load({{certificate, key}});
  run(files, wait_a_day(*this, *files));
}

}  // namespace
}  // namespace mesclun::gateway
