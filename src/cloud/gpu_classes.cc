#include "cloud/gpu_classes.h"

#include <fmt/format.h>

#include "api/checks.h"
#include "base/ids.h"
#include "base/text.h"

namespace mesclun::cloud {

namespace {

constexpr size_t kClassesMax = 100;  // one answer lists them all (api.md §3)

// ^[ -~]{2,63}$ and a decimal of 1 to 20 characters: published clients check answers by them.
Result<> check(std::string_view name, std::string_view price) {
  JsonProblems problems;
  const JsonPath root;
  using api::operator/;
  api::check_length(name, 2, 63, root / "name", problems);
  const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
  if (!std::ranges::all_of(name, printable)) {
    problems.add(root / "name", "must be printable ASCII");
  }
  const size_t point = price.find('.');
  const std::string_view whole = price.substr(0, point);
  const std::string_view part =
      point == std::string_view::npos ? std::string_view("0") : price.substr(point + 1);
  const auto digits = [](std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  };
  if (price.size() > 20 || !digits(whole) || !digits(part)) {
    problems.add(root / "price", "must be a decimal number such as 0.25, in at most 20 characters");
  }
  if (!problems.empty()) return problems.to_error();
  return {};
}

}  // namespace

Task<Result<>> GpuClasses::load() {
  auto loaded = std::make_shared<std::vector<api::GpuClass>>();
  store::Body body = [loaded](store::Transaction& tx) -> Result<> {
    TRY(const auto rows, tx.query("SELECT document FROM gpu_class ORDER BY id"));
    for (const store::Row& row : rows) {
      TRY(api::GpuClass record, from_json_text<api::GpuClass>(row.text(0)));
      loaded->push_back(std::move(record));
    }
    return {};
  };
  CO_TRY_DO(co_await database_.read(std::move(body)));
  all_.insert(all_.end(), loaded->begin(), loaded->end());
  co_return Result<>();
}

Task<Result<api::GpuClass>> GpuClasses::add(std::string name, std::string price) {
  name = std::string(trim_blanks(name));
  CO_TRY_DO(check(name, price));
  if (all_.size() >= kClassesMax) {
    co_return Error{ErrorCode::ResourceExhausted,
                    fmt::format("a cloud has at most {} GPU classes", kClassesMax)};
  }
  if (const auto taken = api::find_gpu_class(all_, name)) {
    co_return Error{ErrorCode::AlreadyExists,
                    fmt::format("/name: GPU class '{}' exists already", (*taken)->name),
                    Cause::NameConflict};
  }
  const api::GpuClass made = api::make_gpu_class(new_uuid(random_), name, price);
  // In memory first: of two at once with one name, the second must see the first.
  all_.push_back(made);
  store::Body body = [made](store::Transaction& tx) -> Result<> {
    TRY_DO(tx.execute("INSERT INTO gpu_class (id, document) VALUES ($1, $2)",
                      {made.id, to_json_text(made)}));
    return {};
  };
  const Result<> stored = co_await database_.write(std::move(body));
  if (!stored) {
    std::erase_if(all_, [&](const api::GpuClass& gpu) { return gpu.id == made.id; });
    co_return stored.error();
  }
  co_return made;
}

Task<Result<>> GpuClasses::remove(std::string id_or_name) {
  CO_TRY(const api::GpuClass* found, api::find_gpu_class(all_, id_or_name));
  const std::string id = found->id;
  if (api::find_gpu_class(api::known_gpu_classes(), id)) {
    co_return Error{ErrorCode::FailedPrecondition,
                    fmt::format("GPU class '{}' is a published one and stays", found->name)};
  }
  store::Body body = [id](store::Transaction& tx) -> Result<> {
    TRY_DO(tx.execute("DELETE FROM gpu_class WHERE id = $1", {id}));
    return {};
  };
  CO_TRY_DO(co_await database_.write(std::move(body)));
  std::erase_if(all_, [&](const api::GpuClass& gpu) { return gpu.id == id; });
  co_return Result<>();
}

}  // namespace mesclun::cloud
