// What a head must be beside its grammar, so that no two readers of a message can differ about where
// it ends and whom it is for (RFC 9110 §7.2, RFC 9112 §3 and §6).
#pragma once

#include <optional>
#include <string_view>

#include "http/message.h"

namespace mesclun {

// Looks at each field as it is read. What it refuses it tells in words; a constant text.
//
//   requests   one Host, in HTTP/1.1; a target that is a path, *, an http URL of that host, or for
//              CONNECT a host and port
//   answers    a status of 100 or more
//   both       at most kFieldsMax fields; one Content-Length, a number; Transfer-Encoding nothing
//              but "chunked", and not in HTTP/1.0; at most kConnectionOptionsMax words in all
//              Connection lines
class HeadRules {
 public:
  // Names are looked up one by one, so their number is bounded apart from their size.
  static constexpr size_t kFieldsMax = 200;
  static constexpr size_t kConnectionOptionsMax = 100;
  using Complaint = std::optional<std::string_view>;

  enum class Field { Other, Connection, ContentLength, Host, TransferEncoding };

  Complaint field(Field field, std::string_view value, bool http_1_0);
  // Once its fields are read. Brings the target to its usual form and fills `host`.
  Complaint request(RequestHead& head);
  static Complaint response(const ResponseHead& head);

  // Connection: close was among the fields; it overrules keep-alive.
  bool closes() const { return closes_; }

 private:
  Complaint connection(std::string_view value);
  Complaint host(RequestHead& head) const;

  size_t fields_ = 0;
  size_t connection_options_ = 0;
  size_t hosts_ = 0;
  bool has_length_ = false;
  bool has_encoding_ = false;
  bool closes_ = false;
};

}  // namespace mesclun
