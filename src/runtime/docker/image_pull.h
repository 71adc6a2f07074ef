// How the engine tells of a pull: lines of JSON, of which each says something of one layer, or that it
// failed. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/json.h"

namespace mesclun::runtime {

// Bounds: 256 layers, lines of 64 KiB; what is beyond is passed over.
class PullReport {
 public:
  // Any piece of the stream. Its error is that of the pull (pull_error).
  Result<> feed(std::string_view bytes);
  // Of the bytes known so far, 0 to 99: layers may still be unknown, and are unpacked at the end.
  double percent() const;

 private:
  struct Layer {
    int64_t done = 0;
    int64_t size = 0;
  };

  Result<> take_line(std::string_view line);

  std::string line_;
  bool passing_over_ = false;
  std::map<std::string, Layer> layers_;
};

// What the engine's words mean. NotFound: no such image, or no right to see it; PermissionDenied: the
// registry wants (other) credentials; FailedPrecondition: it is for other machines;
// ResourceExhausted: the disk is full; else Unavailable.
Error pull_error(const std::string& image, std::string_view words);

// "repo:tag" with what is understood added: without a tag it is `latest`; a scheme is dropped.
std::string full_image_name(std::string_view image);

}  // namespace mesclun::runtime
