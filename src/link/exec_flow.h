// How much of one direction of an exec may be under way: counted by both ends, told in ExecWindow.
#pragma once

#include <algorithm>
#include <utility>

#include "link/messages.h"

namespace mesclun::link {

// The end that sends.
class ExecSending {
 public:
  // What may go into the next message; 0: wait for a window.
  size_t room() const {
    return std::min(static_cast<size_t>(std::max<int64_t>(left_, 0)), kExecDataBytesMax);
  }
  void sent(size_t bytes) { left_ -= static_cast<int64_t>(bytes); }
  // False: nobody grants so much.
  bool grant(int64_t bytes) {
    if (bytes < 1 || bytes > kExecWindowBytes - left_) return false;
    left_ += bytes;
    return true;
  }

 private:
  int64_t left_ = kExecWindowBytes;
};

// The end that receives. What it holds unread is at most kExecWindowBytes.
class ExecReceiving {
 public:
  // False: more than was granted.
  bool take(size_t bytes) {
    if (bytes > static_cast<size_t>(left_)) return false;
    left_ -= static_cast<int64_t>(bytes);
    return true;
  }
  // So many bytes went on to the reader. What is to be granted now; 0: nothing yet, so that small reads
  // cost no message each.
  int64_t read(size_t bytes) {
    read_ += static_cast<int64_t>(bytes);
    if (read_ < kExecWindowBytes / 4) return 0;
    left_ += read_;
    return std::exchange(read_, 0);
  }

 private:
  int64_t left_ = kExecWindowBytes;
  int64_t read_ = 0;
};

}  // namespace mesclun::link
