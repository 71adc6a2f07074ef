// Buffers that the requests of one connection use one after the other, so that most allocate
// little.
#pragma once

#include <boost/asio/buffer.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/stream_input.h"

namespace mesclun::gateway {

struct Scratch {
  std::string request_id;
  std::string request;   // the head, and what of the body came with it
  StreamInput answer;    // read from the stream, not yet used
  std::string head_out;  // before the pieces of a body
  std::string end_out;   // after them
  std::vector<std::string_view> pieces;
  std::vector<boost::asio::const_buffer> buffers;

  // For the next request. A connection that rests keeps no more than kKeptMax of each.
  void clear() {
    for (std::string* text : {&request_id, &request, &head_out, &end_out}) {
      text->clear();
      if (text->capacity() > kKeptMax) text->shrink_to_fit();
    }
    answer.trim(kKeptMax);
    pieces.clear();
    buffers.clear();
  }

 private:
  static constexpr size_t kKeptMax = 4096;
};

}  // namespace mesclun::gateway
