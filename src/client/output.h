// What commands print: results to standard output, notes and progress to standard error.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

namespace mesclun::client {

// The three standard streams, or files of a test. Whether a person watches is asked once.
struct Console {
  std::FILE* in = stdin;
  std::FILE* out = stdout;
  std::FILE* err = stderr;
  bool out_is_terminal = false;
  bool err_is_terminal = false;

  static Console standard();

  void print(std::string_view text) const;  // to standard output, flushed
  // To standard error, with a line break; each line is made printable, and cut at 4,096 bytes.
  void note(std::string_view text) const;
};

// Columns a terminal needs for UTF-8 text: 2 for wide characters, 0 for combining ones.
size_t display_width(std::string_view text);

// Makes foreign text safe to show: control characters and broken UTF-8 become U+FFFD. Tabs stay;
// colour sequences (ESC [ … m) stay if `keep_colours`.
std::string printable(std::string_view text, bool keep_colours = false);

// Rows under headings, aligned, two spaces apart. Cells are made printable.
class Table {
 public:
  explicit Table(std::vector<std::string> headings) : headings_(std::move(headings)) {}
  // Missing cells are empty; cells beyond the headings are dropped.
  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  std::string render() const;

 private:
  std::vector<std::string> headings_;
  std::vector<std::vector<std::string>> rows_;
};

// "NAME  value" lines, aligned: one object for people. Empty values are left out.
std::string render_fields(const std::vector<std::pair<std::string, std::string>>& fields);

// Indented JSON with a line break at the end; members in the order of the document.
std::string pretty_json(const json::value& value);

// How long ago: "12s", "5m", "3h", "2d". Nothing for a text that is no time.
std::string age(std::string_view rfc3339, WallTime now);
// To the second, in UTC: "2026-01-02T03:04:05Z"; the text itself if it is no time.
std::string short_time(std::string_view rfc3339);

// A line that changes while something is awaited. People see it move; logs get only the last word.
class Progress {
 public:
  explicit Progress(const Console& console) : console_(console) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(std::string text);
  void clear();
  // Ends the line with its last word, which everyone sees.
  void done(std::string_view text);

 private:
  const Console& console_;
  std::string shown_;
};

}  // namespace mesclun::client
