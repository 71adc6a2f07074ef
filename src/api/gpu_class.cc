#include "api/gpu_class.h"

#include <fmt/format.h>

#include "base/text.h"

namespace mesclun::api {

namespace {

GpuClass make_class(std::string id, std::string name, double hourly) {
  GpuClass gpu{.id = std::move(id), .name = std::move(name)};
  // The four levels of one class differ by a fifth each.
  double price = hourly;
  for (Priority priority : {Priority::High, Priority::Medium, Priority::Low, Priority::Batch}) {
    GpuClassPrice& entry = gpu.prices.emplace_back();
    entry.priority.emplace(priority);
    entry.price = fmt::format("{:.3f}", price);
    price *= 0.8;
  }
  gpu.is_high_demand = false;
  return gpu;
}

}  // namespace

const std::vector<GpuClass>& known_gpu_classes() {
  static const std::vector<GpuClass> kClasses = {
      make_class("ed563892-aacd-40f5-80b7-90c9be6c759b", "RTX 4090 (24 GB)", 0.30),
      make_class("a5db5c50-cbcb-4596-ae80-6a0c8090d80f", "RTX 3090 (24 GB)", 0.18),
      make_class("9998fe42-04a5-4807-b3a5-849943f16c38", "RTX 3090 Ti (24 GB)", 0.20),
      make_class("0d062939-7c01-4aae-a2b1-30e315124e51", "RTX 4080 (16 GB)", 0.22),
      make_class("f1380143-51cd-4bad-80cb-1f86ee6b49fe", "RTX 4070 Ti SUPER (16 GB)", 0.18),
      make_class("2b73eef8-be49-4667-8fc0-5c0cb127cfe0", "RTX 4060 Ti (16 GB)", 0.12),
      make_class("0798d5aa-2d17-42ee-81b8-ea92e3bc088e", "RTX 4070 (12 GB)", 0.12),
      make_class("65247de0-746f-45c6-8537-650ba613966a", "RTX 3080 Ti (12 GB)", 0.14),
      make_class("43a49c0c-f860-40e9-a509-702d0dba0902", "RTX 3080 (10 GB)", 0.12),
      make_class("f51baccc-dc95-40fb-a5d1-6d0ee0db31d2", "RTX 3060 (12 GB)", 0.08),
  };
  return kClasses;
}

const GpuClass* find_gpu_class(std::span<const GpuClass> classes, std::string_view id_or_name) {
  const std::string_view wanted = trim_blanks(id_or_name);
  for (const GpuClass& gpu : classes) {
    if (iequals(gpu.id, wanted) || iequals(trim_blanks(gpu.name), wanted)) return &gpu;
  }
  return nullptr;
}

}  // namespace mesclun::api
