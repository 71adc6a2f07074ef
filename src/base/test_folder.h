// For tests: a folder of its own, gone with the object.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/file_tree.h"

namespace mesclun {

class TestFolder {
 public:
  TestFolder() : path_(testing::TempDir() + "mesclun-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) std::abort();
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() { remove_tree(path_); }

  const std::string& path() const { return path_; }
  std::string path(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

}  // namespace mesclun
