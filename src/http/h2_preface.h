// How a client of HTTP/2 that was not asked begins, and how that is told from HTTP/1.1.
#pragma once

#include "http/reader.h"

namespace mesclun {

// RFC 9113 §3.4; the first line is no request of HTTP/1.1.
inline constexpr std::string_view kH2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
inline constexpr std::string_view kH2PrefaceLine = kH2Preface.substr(0, 16);

// Whether it begins with `text`: reads on only as long as it may. False also at an end before that.
// Fails as fill() does. Nothing is used up.
Task<Result<bool>> begins_with(HttpInput& input, std::string_view text);

}  // namespace mesclun
