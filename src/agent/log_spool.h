// Lines on their way to the cloud: kept on the disk, in order, until it has stored them.
//
//   segment 7        segment 8              segment 9
//   [1 2 3 4 5]      [6 7 8 9]              [10 11 12
//          ▲ acknowledged   ▲ said                   ▲ appended
//
// A segment whose batches are all acknowledged is removed; beyond the bound the oldest segment goes,
// and a line in its place says how many are missing. A record is one line: sequence, number of
// lines, instance, batch as JSON.
#pragma once

#include <deque>
#include <optional>

#include "agent/log_segments.h"
#include "link/messages.h"

namespace mesclun::agent {

// Runs on:  the agent's loop.
// Promise:  sequences grow and are never used again. What was appended is said until it is
//           acknowledged, also by a later process over the same segments.
// Lifetime: the segments outlive it.
class LogSpool {
 public:
  LogSpool(LogSegments& segments, size_t bytes_max);

  // Reads what an earlier process left. New batches have `first` at least: each start of an agent
  // has a range of its own, for a loss of power may have taken the last ones.
  void load(int64_t first);
  // The last line that was appended of a run by an earlier process; once. What its driver hands out
  // again up to there is known.
  std::optional<link::LogLine> take_last_line(const std::string& instance_id);

  // Gives the batch its sequence. What the disk refuses is counted, and a line says so later.
  void append(link::LogBatch batch);
  // A session begins with a cloud that has stored all up to there. Nothing: one that acknowledges
  // nothing, so that what is said counts as stored.
  void begin(std::optional<int64_t> stored);
  void acknowledge(int64_t sequence);
  // Says again what is not acknowledged.
  void rewind();
  // The next batch to say; nothing if all were said.
  std::optional<link::LogBatch> next();

  size_t bytes() const { return bytes_; }
  size_t unsaid_bytes() const;
  // Said, and not acknowledged.
  size_t waiting_bytes() const { return said_bytes_; }
  int64_t acknowledged() const { return acknowledged_; }
  int64_t lost() const { return lost_; }

 private:
  struct Segment {
    int64_t number = 0;
    size_t bytes = 0;
    int64_t last_sequence = 0;
  };
  struct Record {
    int64_t sequence = 0;
    int64_t lines = 0;  // below 0: so many are missing, as its one line says
    std::string_view instance_id;
    std::string_view batch;
  };
  // Lines of a run that are not there any more.
  struct Loss {
    link::LogBatch source;  // without lines
    int64_t lines = 0;
    int64_t time = 0;  // of the first
    std::string reason;
  };

  static std::optional<Record> read_record(std::string_view line);
  void load_segment(int64_t number);
  Result<> write(link::LogBatch& batch, int64_t lines);
  void write_losses();
  void lose(const link::LogBatch& batch, int64_t lines, std::string reason);
  void make_room();
  void drop_oldest();
  void remove_first();
  // The next line of what is said; nothing at the end.
  std::optional<std::string> next_line();

  LogSegments& segments_;
  const size_t bytes_max_;
  const size_t segment_bytes_;
  std::deque<Segment> all_;  // oldest first; the last one is appended to unless `closed_`
  bool closed_ = true;
  size_t bytes_ = 0;
  int64_t next_sequence_ = 1;
  int64_t next_number_ = 1;
  std::map<std::string, Loss> losses_;  // by instance
  int64_t lost_ = 0;
  bool warned_ = false;
  std::map<std::string, std::pair<int64_t, int64_t>>
      last_records_;  // segment and offset, by instance

  // What is said.
  bool acknowledges_ = true;  // the cloud
  int64_t acknowledged_ = 0;
  int64_t said_ = 0;       // the last sequence, or what is acknowledged
  int64_t at_number_ = 0;  // the segment that is read
  int64_t at_offset_ = 0;  // behind `read_`
  std::string read_;       // of it, not said yet
  size_t read_at_ = 0;
  size_t said_bytes_ = 0;
};

}  // namespace mesclun::agent
