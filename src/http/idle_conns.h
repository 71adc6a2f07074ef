// Connections between two requests.
#pragma once

#include <functional>
#include <list>

#include "base/conn.h"

namespace mesclun {

// Keeps them without a task, a parser or a buffer: most connections of a server rest most of the time,
// and must cost little then.
//
// Runs on:   one loop.
// Lifetime:  outlives nothing of its connections: they are closed with it.
class IdleConns {
 public:
  // One connection, with the memory of its place here. Made once for a connection and handed to and fro:
  // what is allocated while others give back what they needed lies between it, and holds whole pages.
  class Entry {
   public:
    explicit Entry(ConnPtr conn) { one_.push_back(std::move(conn)); }
    Conn& conn() const { return *one_.front(); }
    // Without its place; nothing else may be called after it.
    ConnPtr take() { return std::move(one_.front()); }

   private:
    friend class IdleConns;
    Entry() = default;
    std::list<ConnPtr> one_;
  };

  // `wake` takes over a connection that has bytes to read.
  explicit IdleConns(std::function<void(Entry)> wake) : wake_(std::move(wake)) {}
  IdleConns(const IdleConns&) = delete;
  IdleConns& operator=(const IdleConns&) = delete;

  // Closes it at `until`, or when its peer ends it without another byte. False, and it stays in `entry`:
  // there is something to read by now, its end included, or it is of a kind that cannot be kept so.
  [[nodiscard]] bool keep(Entry& entry, TimePoint until);
  // Closes the one that has rested longest and sent nothing. False: there is none among the first few.
  bool close_oldest();
  // Closes those that have sent nothing; the others are woken in a later turn of the loop.
  void close_silent();
  void clear() { conns_.clear(); }
  size_t size() const { return conns_.size(); }

 private:
  std::function<void(Entry)> wake_;
  std::list<ConnPtr> conns_;
};

}  // namespace mesclun
