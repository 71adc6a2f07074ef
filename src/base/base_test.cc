#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/real_random.h"
#include "base/units.h"

namespace mesclun {
namespace {

TEST(Error, EveryCodeHasOneRow) {
  for (int code = 0; code <= static_cast<int>(ErrorCode::Internal); ++code) {
    const ErrorCodeRow& row = error_code_row(static_cast<ErrorCode>(code));
    EXPECT_FALSE(row.name.empty());
    EXPECT_GE(row.http_status, 400);
  }
  EXPECT_EQ(http_status(ErrorCode::NotFound), 404);
  EXPECT_EQ(Error::not_found("x").problem_type(), "not_found");
  EXPECT_EQ((Error{ErrorCode::PermissionDenied, "x", Cause::QuotaExceeded}.problem_type()),
            "quota_exceeded");
}

Result<int> half(int n) {
  if (n % 2 != 0) return Error::invalid("odd");
  return n / 2;
}
Result<int> quarter(int n) {
  TRY(const int h, half(n));
  return half(h);
}

TEST(Result, TryReturnsTheErrorUpward) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error().message, "odd");
}

TEST(Clock, Rfc3339RoundTrips) {
  const WallTime time = from_unix_nanos(1'767'323'045'123'456'700);
  EXPECT_EQ(format_rfc3339(time), "2026-01-02T03:04:05.1234567+00:00");
  EXPECT_EQ(parse_rfc3339(format_rfc3339(time)).value(), time);
}

TEST(Clock, Rfc3339TakesOffsetsAndRefusesNonsense) {
  EXPECT_EQ(to_unix_seconds(parse_rfc3339("1970-01-01T01:00:00+01:00").value()), 0);
  EXPECT_EQ(to_unix_seconds(parse_rfc3339("1970-01-01T00:00:07Z").value()), 7);
  EXPECT_LT(parse_rfc3339("1678-01-01T00:00:00Z").value(),
            parse_rfc3339("2261-12-31T23:59:59Z").value());
  for (const char* text :
       {"", "yesterday", "1970-01-01", "1970-13-01T00:00:00Z", "1970-01-01T00:00:00",
        "1970-01-01T00:00:00Zx", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
        "-100-01-01T00:00:00Z", "2026-01-02T03:04:050678901234Z", "2026-1-02T03:04:050Z",
        "2026-01-02T03:04:05.678901234-"}) {
    EXPECT_FALSE(parse_rfc3339(text)) << text;
  }
}

TEST(Ids, UuidsAreVersion4AndDistinct) {
  RealRandom random;
  const std::string a = new_uuid(random);
  EXPECT_TRUE(is_uuid(a));
  EXPECT_EQ(a[14], '4');
  EXPECT_NE(a, new_uuid(random));
  EXPECT_FALSE(is_uuid("00000000-0000-0000-0000-00000000000"));
  EXPECT_FALSE(is_uuid("00000000+0000-0000-0000-000000000000"));
}

TEST(Random, SameSeedSameNumbersAndBelowStaysBelow) {
  SeededRandom a(7);
  SeededRandom b(7);
  for (int i = 0; i < 1000; ++i) {
    const uint64_t n = a.below(10);
    EXPECT_LT(n, 10u);
    EXPECT_EQ(n, b.below(10));
  }
}

TEST(Units, DurationsNeedAUnit) {
  EXPECT_EQ(parse_duration("20s").value(), 20s);
  EXPECT_EQ(parse_duration("1.5m").value(), 90s);
  EXPECT_EQ(parse_duration("500ms").value(), 500ms);
  EXPECT_EQ(parse_duration("0").value(), 0s);
  for (const char* text : {"20", "s", "-1s", "1 s", "1e300s", "nan"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
  EXPECT_EQ(format_duration(90s), "90s");
  EXPECT_EQ(format_duration(2h), "2h");
}

TEST(Units, BytesMayBeBare) {
  EXPECT_EQ(parse_bytes("4096").value(), 4096u);
  EXPECT_EQ(parse_bytes("64KiB").value(), 65536u);
  EXPECT_EQ(parse_bytes("1.5MiB").value(), 1572864u);
  EXPECT_FALSE(parse_bytes("64K"));
  EXPECT_EQ(format_bytes(65536), "64KiB");
}

TEST(Log, QuotesOnlyWhatNeedsIt) {
  const std::string text = format_log(LogFormat::Text, LogLevel::Info, "cloud", "node lost",
                                      {{"node", "a b"}, {"n", 3}});
  EXPECT_EQ(text, "info    cloud: node lost node=\"a b\" n=3");
  EXPECT_EQ(format_log(LogFormat::Json, LogLevel::Info, "cloud", "x", {{"node", "a"}, {"n", 3}}),
            R"("level":"info","area":"cloud","message":"x","node":"a","n":3})");
}

TEST(Crypto, KnownAnswers) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(hmac_sha256("key", "The quick brown fox jumps over the lazy dog")),
            "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
  EXPECT_EQ(base64url("\xff\xfe\xfd?"), "__79Pw");
  EXPECT_TRUE(equal_secret("abc", "abc"));
  EXPECT_FALSE(equal_secret("abc", "abd"));
  EXPECT_FALSE(equal_secret("abc", "ab"));
}

TEST(Crypto, Base64ReadsWhatItWritesAndNothingElse) {
  for (const std::string bytes : {"", "a", "ab", "abc", "\xff\xfe\xfd?", "abcd"}) {
    EXPECT_EQ(from_base64(base64(bytes)).value_or("?"), bytes);
  }
  for (const char* text :
       {"a", "ab", "abc", "=", "====", "a===", "ab=c", "YQ==YQ==", " YQ=", "YQ\n="}) {
    EXPECT_FALSE(from_base64(text)) << text;
  }
}

}  // namespace
}  // namespace mesclun
