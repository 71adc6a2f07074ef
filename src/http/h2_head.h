// Heads of HTTP/2 and of HTTP/1.1, one made of the other (RFC 9113 §8). Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace mesclun {

// The fields of a client's head, or of its trailers, one by one; then what a reader of HTTP/1.1
// takes for the same. Whether the whole is a good request is for that reader to say, by its own
// rules: here is refused only what HTTP/1.1 could not carry, or what HTTP/2 forbids.
class H2Section {
 public:
  // Beyond `bytes_max` fields are dropped, once the text is too long for a reader with that bound.
  explicit H2Section(size_t bytes_max) : bytes_max_(bytes_max) {}

  // InvalidArgument: no such field may stand in a section; the stream is malformed.
  Result<> add(std::string_view name, std::string_view value);

  struct Head {
    std::string text;      // with its empty line
    bool chunked = false;  // so the body has to follow
    bool to_head = false;  // the answer has no body
  };
  // `ended`: no body follows.
  Result<Head> request(bool ended) const;
  // Trailers as lines, without the empty one.
  Result<std::string> trailers() const;

 private:
  Result<> add_pseudo(std::string_view name, std::string_view value);

  size_t bytes_max_;
  std::string method_;
  std::string path_;
  std::string authority_;
  std::string length_;
  std::string cookies_;
  std::string fields_;
  bool pseudo_ = false;
  bool trailers_follow_ = false;
};

// Of an answer, or of its trailers: names in lower case, without those that concern one connection
// of HTTP/1.1.
using H2Fields = std::vector<std::pair<std::string, std::string>>;
H2Fields h2_answer_head(const ResponseHead& head);
H2Fields h2_trailers(const HeaderList& trailers);

}  // namespace mesclun
