#include "base/clock.h"

#include <date/date.h>
#include <fmt/format.h>

#include <algorithm>
#include <sstream>

namespace mesclun {

Task<Result<>> Clock::sleep_until(TimePoint when) {
  if (co_await cancel_requested()) co_return Error::cancelled();
  asio::steady_timer timer(co_await asio::this_coro::executor);
  if (!co_await wait_on(timer, when)) co_return Error::cancelled();
  co_return Result<>();
}

std::string format_rfc3339(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:07}+00:00", int(date.year()),
                     unsigned(date.month()), unsigned(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count() / 100);
}

namespace {

// Of the length of `shape`, where 0 is any digit and all else itself.
bool has_shape(std::string_view text, std::string_view shape) {
  return std::ranges::equal(
      text, shape, [](char c, char s) { return s == '0' ? c >= '0' && c <= '9' : c == s; });
}

}  // namespace

Result<WallTime> parse_rfc3339(std::string_view text) {
  const Error bad = Error::invalid(
      fmt::format("'{}' is not a time such as 2026-01-02T03:04:05Z", text.substr(0, 64)));
  if (text.size() < 20 || text.size() > 40 || (text[10] != 'T' && text[10] != 't')) return bad;
  // A sign alone would be the least of all offsets, which has no opposite.
  const bool zone = text.back() == 'Z' || text.back() == 'z' ||
                    has_shape(text.substr(text.size() - 6), "+00:00") ||
                    has_shape(text.substr(text.size() - 6), "-00:00");
  if (!zone) return bad;
  // More digits where the seconds end would be seconds, more than there is room for.
  if (!has_shape(text.substr(0, 10), "0000-00-00") || !has_shape(text.substr(11, 8), "00:00:00") ||
      std::string_view(".Zz+-").find(text[19]) == std::string_view::npos) {
    return bad;
  }
  // Nanoseconds since 1970 in 64 bits reach from 1677 to 2262. Digits compare as numbers do.
  if (text.substr(0, 4) < "1678" || text.substr(0, 4) > "2261") return bad;
  std::string copy(text);
  copy[10] = 'T';
  const char* format = "%FT%T%Ez";
  if (copy.back() == 'Z' || copy.back() == 'z') {
    copy.pop_back();
    format = "%FT%T";
  }
  std::istringstream in(copy);
  date::sys_time<std::chrono::nanoseconds> time;
  in >> date::parse(format, time);
  if (in.fail() || in.peek() != std::istringstream::traits_type::eof()) return bad;
  return WallTime(time.time_since_epoch());
}

}  // namespace mesclun
