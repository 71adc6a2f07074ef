// What comes over a tunnel's stream, taken from it without a copy.
#pragma once

#include "http/reader.h"
#include "link/tunnel.h"

namespace mesclun::gateway {

// Kept by its connection from one request to the next, for the sake of its buffers.
class StreamInput final : public HttpInput {
 public:
  // Begins anew. The stream must outlive what is read of it.
  void read_from(link::TunnelStream& stream) {
    stream_ = &stream;
    clear();
  }

  Task<Result<bool>> fill() override {
    if (!bytes().empty()) return fill_more();
    clear();
    return stream_->read_all(bytes_);
  }
  bool fill_now() override {
    if (!bytes().empty()) return false;
    clear();
    return stream_->read_all_now(bytes_);
  }

  // Between requests.
  void trim(size_t kept_max) {
    clear();
    for (std::string* text : {&bytes_, &spare_}) {
      if (text->capacity() > kept_max) free_memory(*text);
    }
  }

 private:
  void clear() {
    bytes_.clear();
    used_ = 0;
  }
  Task<Result<bool>> fill_more() {
    spare_.clear();
    CO_TRY(const bool more, co_await stream_->read_all(spare_));
    drop_used();
    bytes_ += spare_;
    co_return more;
  }

  link::TunnelStream* stream_ = nullptr;
  std::string spare_;
};

}  // namespace mesclun::gateway
