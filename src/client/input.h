// Documents that people write: JSON or YAML files of the API's shape, and `--set path=value`.
#pragma once

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace mesclun::client {

struct Document {
  std::string name;  // the file, for messages; "standard input" for "-"
  json::value value;
  // The line (from 1) of every value by its JSON pointer; empty if it could not be found out.
  std::map<std::string, int> lines;
};

// Reads a file, or `in` for "-". At most 4 MiB. Text that starts with "{" or "[" is JSON unless the
// name ends in .yaml or .yml; everything else is YAML. Errors carry "FILE:LINE:".
//
// A YAML file may hold several documents; read_document() wants one.
Result<std::vector<Document>> read_documents(const std::string& path, std::FILE* in);
Result<std::vector<Document>> parse_documents(const std::string& name, std::string_view text);
Result<Document> read_document(const std::string& path, std::FILE* in);
Result<Document> parse_document(const std::string& name, std::string_view text);

// "/container/image" in the document: "group.yaml:7". The line of the nearest value around it when
// the value itself is missing; just the name when nothing is known.
std::string locate(const Document& document, std::string_view pointer);

// The API names mistakes as "/path message; /path message". Returns the same, one a line, each with
// its place in the document: "group.yaml:7: /replicas must be between 0 and 500".
std::string locate_mistakes(const Document& document, std::string_view detail);

// A line for every member that the API would silently ignore, such as a mistyped name.
std::vector<std::string> unknown_group_members(const Document& document);

// Adds "container.image=nginx" to a merge patch. The path is split at dots ("\." is a dot in a
// name, as in an environment variable). The value is read as JSON, and as text if it is no JSON;
// environment variables are always text. `null` removes.
Result<> apply_set(json::object& patch, std::string_view assignment);

}  // namespace mesclun::client
