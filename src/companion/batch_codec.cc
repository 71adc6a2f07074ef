#include "companion/batch_codec.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "base/json.h"
#include "companion/json_span.h"
#include "companion/multipart.h"
#include "http/forward.h"

namespace mesclun::companion {

namespace {

using Answers = std::vector<std::optional<ItemAnswer>>;

bool is_json(std::string_view content_type) {
  const std::string_view type = content_type.substr(0, content_type.find(';'));
  return type.starts_with("application/json") || type.ends_with("+json");
}

std::string write_json_items(const std::vector<BatchItem>& items) {
  size_t size = 16;
  for (const BatchItem& item : items) size += item.body.size() + item.path.size() + 48;
  std::string out;
  out.reserve(size);
  out += "{\"items\":[";
  for (const BatchItem& item : items) {
    if (out.back() != '[') out += ',';
    fmt::format_to(std::back_inserter(out), "{{\"id\":\"{}\",\"path\":{},\"body\":", item.id,
                   json::serialize(json::string(item.path)));
    out += item.body;
    out += '}';
  }
  out += "]}";
  return out;
}

// RFC 9110 §5.6.2.
bool is_token_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_control(char c) {
  return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
}

// One entry of "items" in the answer; `raw_body` is its body as it was written, if known.
// The front frames the answers itself.
Result<> take_header(std::string_view name, std::string_view value, ItemAnswer& answer) {
  // What would end the line or the head of the caller's answer, or be read differently by two.
  if (name.empty() || !std::ranges::all_of(name, is_token_character) ||
      std::ranges::any_of(value, is_control)) {
    return Error::invalid("a header of an item is malformed");
  }
  if (!is_hop_by_hop(name)) answer.headers.add(name, value);
  return {};
}

Result<ItemAnswer> read_item(const json::object& object, std::string_view raw_body) {
  ItemAnswer answer;
  if (const json::value* status = object.if_contains("status")) {
    if (!status->is_int64() || status->as_int64() < 200 || status->as_int64() > 599) {
      return Error::invalid("the status of an item is not a number from 200 to 599");
    }
    answer.status = static_cast<int>(status->as_int64());
  }
  if (const json::value* headers = object.if_contains("headers")) {
    if (!headers->is_object()) return Error::invalid("the headers of an item are not an object");
    for (const auto& [name, value] : headers->as_object()) {
      const std::string text =
          value.is_string() ? std::string(value.as_string()) : json::serialize(value);
      TRY_DO(take_header(std::string_view(name.data(), name.size()), text, answer));
    }
  }
  if (!answer.headers.has("Content-Type")) answer.headers.set("Content-Type", "application/json");
  const json::value* body = object.if_contains("body");
  if (body == nullptr) {
    answer.body = "null";
  } else if (!raw_body.empty()) {
    answer.body = raw_body;
  } else {
    answer.body = json::serialize(*body);
  }
  return answer;
}

std::map<std::string, size_t> places_of(const std::vector<BatchItem>& items) {
  std::map<std::string, size_t> places;
  for (size_t i = 0; i < items.size(); ++i) places.emplace(std::to_string(items[i].id), i);
  return places;
}

Result<Answers> split_json(std::string_view text, const std::vector<BatchItem>& items) {
  const Result<json::value> parsed = parse_json(text);
  if (!parsed) return Error::invalid("the answer is not JSON: " + parsed.error().message);
  const json::value* list =
      parsed->is_object() ? parsed->as_object().if_contains("items") : nullptr;
  if (list == nullptr || !list->is_array()) {
    return Error::invalid("the answer has no list \"items\"");
  }
  const std::map<std::string, size_t> places = places_of(items);
  // Passed on as written: 1.7132 must not come back as 1.7132E0, nor a large number rounded.
  const std::vector<std::string_view> raw = raw_item_bodies(text);
  const bool has_raw = raw.size() == list->as_array().size();
  Answers answers(items.size());
  size_t in_order = 0;
  bool with_ids = false;
  for (const json::value& entry : list->as_array()) {
    if (!entry.is_object()) return Error::invalid("an entry of \"items\" is not an object");
    const json::value* id = entry.as_object().if_contains("id");
    size_t place = in_order;
    if (id != nullptr) {
      const auto found =
          places.find(id->is_string() ? std::string(id->as_string()) : json::serialize(*id));
      if (found == places.end()) return Error::invalid("the answer has an id that nobody sent");
      place = found->second;
      with_ids = true;
    } else if (with_ids) {
      return Error::invalid("some entries of \"items\" have an id and others none");
    }
    if (place >= items.size()) {
      return Error::invalid(fmt::format("the answer has more than {} items", items.size()));
    }
    if (answers[place]) return Error::invalid("the answer has an id twice");
    TRY(answers[place], read_item(entry.as_object(), has_raw ? raw[in_order] : std::string_view()));
    ++in_order;
  }
  // Without ids a short answer does not tell which item is missing.
  if (!with_ids && in_order != 0 && in_order != items.size()) {
    return Error::invalid(
        fmt::format("the answer has {} items without ids, {} were sent", in_order, items.size()));
  }
  return answers;
}

Result<Answers> split_multipart(std::string_view content_type, std::string_view body,
                                const std::vector<BatchItem>& items) {
  TRY(const std::vector<Part> parts, parse_multipart(content_type, body, items.size()));
  const std::map<std::string, size_t> places = places_of(items);
  Answers answers(items.size());
  for (const Part& part : parts) {
    const auto found = places.find(part.name);
    if (found == places.end()) return Error::invalid("the answer has a name that nobody sent");
    if (answers[found->second]) return Error::invalid("the answer has a name twice");
    ItemAnswer answer;
    if (const auto status = part.headers.find("X-Status")) {
      const auto [end, error] =
          std::from_chars(status->data(), status->data() + status->size(), answer.status);
      if (error != std::errc() || answer.status < 200 || answer.status > 599) {
        return Error::invalid("the X-Status of a part is not a number from 200 to 599");
      }
    }
    for (size_t i = 0; i < part.headers.size(); ++i) {
      const auto [name, value] = part.headers[i];
      if (!iequals(name, "X-Status")) TRY_DO(take_header(name, value, answer));
    }
    answer.body = part.body;
    answers[found->second] = std::move(answer);
  }
  return answers;
}

}  // namespace

HttpCall write_batch(const BatchConfig& config, const std::vector<BatchItem>& items,
                     std::string_view boundary) {
  HttpCall call{.method = "POST", .target = config.target};
  call.headers.add("X-Batch-Size", std::to_string(items.size()));
  if (config.format == BatchFormat::Json) {
    call.headers.add("Content-Type", "application/json");
    call.body = write_json_items(items);
    return call;
  }
  call.headers.add("Content-Type", fmt::format("multipart/form-data; boundary={}", boundary));
  for (const BatchItem& item : items) {
    Part part{.name = std::to_string(item.id), .body = item.body};
    part.headers.add("Content-Type",
                     item.content_type.empty() ? "application/octet-stream" : item.content_type);
    part.headers.add("X-Path", item.path);
    append_part(boundary, part, call.body);
  }
  append_multipart_end(boundary, call.body);
  return call;
}

Result<Answers> split_answer(const HttpReply& reply, const std::vector<BatchItem>& items) {
  if (reply.status != 200) {
    return Error::invalid(fmt::format("the application answered {} to the batch", reply.status));
  }
  const std::string_view type = reply.headers.find("Content-Type").value_or("");
  if (type.starts_with("multipart/")) return split_multipart(type, reply.body, items);
  return split_json(reply.body, items);
}

const Result<json::value>& MessageFields::json() {
  if (!json_) json_.emplace(parse_json(body_));
  return *json_;
}

std::optional<std::string> MessageFields::find(const FieldSource& source) {
  if (source.kind == FieldSource::Kind::Header) {
    const auto value = headers_.find(source.name);
    return value ? std::optional<std::string>(*value) : std::nullopt;
  }
  if (source.kind != FieldSource::Kind::Json) return std::nullopt;
  if (!is_json(headers_.find("Content-Type").value_or("application/json"))) return std::nullopt;
  const Result<json::value>& parsed = json();
  if (!parsed) return std::nullopt;
  boost::system::error_code error;
  const json::value* found = parsed->find_pointer(source.name, error);
  if (found == nullptr) return std::nullopt;
  return found->is_string() ? std::string(found->as_string()) : json::serialize(*found);
}

Result<double> MessageFields::number(const FieldSource& source) {
  if (source.kind == FieldSource::Kind::Requests) return 1.0;
  const std::optional<std::string> text = find(source);
  if (!text) return Error::not_found("no such field");
  double number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || !std::isfinite(number) ||
      number < 0) {
    return Error::invalid(fmt::format("{} is not a number of 0 or more", text->substr(0, 40)));
  }
  return number;
}

std::optional<std::string> find_field(const FieldSource& source, const HeaderList& headers,
                                      std::string_view body) {
  return MessageFields(headers, body).find(source);
}

Result<double> find_number(const FieldSource& source, const HeaderList& headers,
                           std::string_view body) {
  return MessageFields(headers, body).number(source);
}

}  // namespace mesclun::companion
