#include "api/gpu_class.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <set>

#include "base/suggest.h"
#include "base/text.h"

namespace mesclun::api {

namespace {

struct PublishedClass {
  const char* id;
  const char* name;
  std::array<const char*, 4> prices;  // high, medium, low, batch
  int32_t gpu_count = 1;
};

constexpr PublishedClass kPublished[] = {
    {"ce8950bc-a52a-4bef-ac64-1fe3c7078b5d",
     "GTX 1050 Ti (4 GB)",
     {"0.020", "0.018", "0.017", "0.015"}},
    {"b550790a-cc32-4c76-a0d8-e965c027fe02",
     "GTX 1060 (6 GB)",
     {"0.030", "0.027", "0.023", "0.020"}},
    {"6b17a5e7-9a6a-4f1c-9782-243277f4fa00",
     "GTX 1070, 1080, 1080Ti (8 GB)",
     {"0.040", "0.033", "0.027", "0.020"}},
    {"0f60d6f5-642a-44a5-af51-3ac34d7602c1",
     "GTX 1650 (4 GB)",
     {"0.020", "0.018", "0.017", "0.015"}},
    {"0ec75caa-1282-4546-a925-4b90c2c6b3fd",
     "GTX 1660 (6 GB)",
     {"0.040", "0.033", "0.027", "0.020"}},
    {"f474c159-1600-460c-9f84-b7f585750be9",
     "GTX 1660 Super (6 GB)",
     {"0.040", "0.033", "0.027", "0.020"}},
    {"3eae6ce4-aa14-4c7d-b502-131730c9af48",
     "RTX 2060 (6 GB)",
     {"0.050", "0.040", "0.030", "0.020"}},
    {"2aec4fc1-2270-4e40-b8cc-6e69fae61d4f",
     "RTX 2070 (8 GB)",
     {"0.060", "0.047", "0.033", "0.020"}},
    {"ffc51032-64d2-4df3-855a-f3a649895c0f",
     "RTX 2080 (8 GB)",
     {"0.080", "0.070", "0.060", "0.050"}},
    {"6d3221b4-1fd0-4cc4-98cd-2c1895a18c2e",
     "RTX 2080 Ti (11 GB)",
     {"0.100", "0.087", "0.073", "0.060"}},
    {"99305b63-f7cf-4b8d-ae33-2d6b6ff0b085",
     "RTX 3050 (8 GB)",
     {"0.070", "0.057", "0.043", "0.030"}},
    {"f51baccc-dc95-40fb-a5d1-6d0ee0db31d2",
     "RTX 3060 (12 GB)",
     {"0.080", "0.067", "0.053", "0.040"}},
    {"69071b6c-3d2c-4181-b3ce-de03aec04b9f",
     "RTX 3060 (8 GB)",
     {"0.080", "0.063", "0.047", "0.030"}},
    {"cb6c1931-89b6-4f76-976f-54047320ccc6",
     "RTX 3060 Ti (8 GB)",
     {"0.080", "0.063", "0.047", "0.030"}},
    {"951131f6-5acf-489c-b303-0906be8b26ef",
     "RTX 3070 (8 GB)",
     {"0.100", "0.080", "0.060", "0.040"}},
    {"d9fb0bd6-05c9-4cb9-b98e-9f7d1b5ba0e7",
     "RTX 3070 Ti (8 GB)",
     {"0.100", "0.087", "0.073", "0.060"}},
    {"43a49c0c-f860-40e9-a509-702d0dba0902",
     "RTX 3080 (10 GB)",
     {"0.180", "0.140", "0.100", "0.060"}},
    {"65247de0-746f-45c6-8537-650ba613966a",
     "RTX 3080 Ti (12 GB)",
     {"0.200", "0.160", "0.120", "0.080"}},
    {"a5db5c50-cbcb-4596-ae80-6a0c8090d80f",
     "RTX 3090 (24 GB)",
     {"0.250", "0.197", "0.143", "0.090"}},
    {"9998fe42-04a5-4807-b3a5-849943f16c38",
     "RTX 3090 Ti (24 GB)",
     {"0.280", "0.220", "0.160", "0.100"}},
    {"2b73eef8-be49-4667-8fc0-5c0cb127cfe0",
     "RTX 4060 Ti (16 GB)",
     {"0.220", "0.173", "0.127", "0.080"}},
    {"0798d5aa-2d17-42ee-81b8-ea92e3bc088e",
     "RTX 4070 (12 GB)",
     {"0.220", "0.170", "0.120", "0.070"}},
    {"de00c90b-904b-4d9e-8fc9-1d9a08eb0932",
     "RTX 4070 Ti (12 GB)",
     {"0.240", "0.187", "0.133", "0.080"}},
    {"f1380143-51cd-4bad-80cb-1f86ee6b49fe",
     "RTX 4070 Ti SUPER (16 GB)",
     {"0.260", "0.207", "0.153", "0.100"}},
    {"0d062939-7c01-4aae-a2b1-30e315124e51",
     "RTX 4080 (16 GB)",
     {"0.280", "0.223", "0.167", "0.110"}},
    {"ed563892-aacd-40f5-80b7-90c9be6c759b",
     "RTX 4090 (24 GB)",
     {"0.300", "0.253", "0.207", "0.160"}},
    {"5d6b104d-c029-4357-b179-8b662d0a76b2",
     "RTX 5060 Ti (16 GB)",
     {"0.180", "0.143", "0.107", "0.070"}},
    {"61e8ceee-4479-40c5-9a05-1711f45f931c",
     "RTX 5070 (12 GB)",
     {"0.240", "0.187", "0.133", "0.080"}},
    {"1b8747be-e789-475b-a339-3c1028010d84",
     "RTX 5070 Ti (16 GB)",
     {"0.280", "0.220", "0.160", "0.100"}},
    {"8065b30b-4a27-434c-8610-222e8df8fad7",
     "RTX 5080 (16 GB)",
     {"0.420", "0.335", "0.250", "0.180"}},
    {"851399fb-7329-4195-a042-d6514b28cf33",
     "RTX 5090 (32 GB)",
     {"0.450", "0.380", "0.310", "0.250"}},
    {"6d4e9e99-d27e-4751-8d7d-393f7d8ea949",
     "RTX A5000 (24 GB)",
     {"0.250", "0.197", "0.143", "0.090"}},
    {"dec851b7-eba7-4457-a319-a01b611a810e",
     "Stable Diffusion Compatible",
     {"0.080", "0.067", "0.053", "0.040"}},
    {"1665bfbe-6e12-41ef-82c9-1a5a35db8b37",
     "8x A100 (40 GB PCIe)",
     {"7.600", "6.133", "4.667", "3.200"},
     8},
    {"a1d5e93b-eb2d-46f1-8587-5ead89173e6b",
     "8x A100 (80 GB SXM)",
     {"8.000", "6.667", "5.333", "4.000"},
     8},
    {"32adf1e3-2e66-4e43-87f5-ce10d5b6b280",
     "8x H100 NVL (94 GB)",
     {"14.400", "12.240", "10.080", "7.920"},
     8},
    {"97b905f3-e8ed-42d6-90cf-d2a395afa1eb",
     "8x L40S (48 GB)",
     {"6.480", "5.176", "3.864", "2.560"},
     8},
};

constexpr Priority kLevels[] = {Priority::High, Priority::Medium, Priority::Low, Priority::Batch};

GpuClass make_class(std::string id, std::string name, std::span<const std::string> prices) {
  GpuClass gpu{.id = std::move(id), .name = std::move(name)};
  for (size_t level = 0; level < std::size(kLevels); ++level) {
    GpuClassPrice& entry = gpu.prices.emplace_back();
    entry.priority.emplace(kLevels[level]);
    entry.price = prices[level];
  }
  gpu.is_high_demand = false;
  return gpu;
}

// Letters and digits only, lower case.
std::string bare(std::string_view text) {
  std::string out = lower_case(text);
  std::erase_if(out, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return out;
}

// Every spelling that names the class, bare: with and without what is in parentheses, and each
// product of a list, whose first word the others share.
std::vector<std::string> spellings(std::string_view name) {
  name = trim_blanks(name);
  const std::string_view product = trim_blanks(name.substr(0, name.find('(')));
  const std::string_view memory = name.substr(std::min(name.size(), product.size()));
  std::vector<std::string> out{bare(name), bare(product)};
  const std::string_view family = product.substr(0, product.find(' '));
  for (size_t at = 0; at < product.size() && product.find(',') != std::string_view::npos;) {
    const size_t end = std::min(product.find(',', at), product.size());
    const std::string item = bare(product.substr(at, end - at));
    const std::string full = at == 0 ? item : bare(family) + item;
    out.push_back(full);
    out.push_back(full + bare(memory));
    at = end + 1;
  }
  return out;
}

}  // namespace

const std::vector<GpuClass>& known_gpu_classes() {
  static const std::vector<GpuClass> kClasses = [] {
    std::vector<GpuClass> out;
    for (const PublishedClass& published : kPublished) {
      const std::vector<std::string> prices(published.prices.begin(), published.prices.end());
      out.push_back(make_class(published.id, published.name, prices));
      if (published.gpu_count > 1) out.back().gpu_count = published.gpu_count;
    }
    return out;
  }();
  return kClasses;
}

GpuClass make_gpu_class(std::string id, std::string name, std::string price) {
  const std::vector<std::string> prices(std::size(kLevels), std::move(price));
  return make_class(std::move(id), std::move(name), prices);
}

Result<const GpuClass*> find_gpu_class(std::span<const GpuClass> classes,
                                       std::string_view id_or_name) {
  const std::string_view wanted = trim_blanks(id_or_name);
  for (const GpuClass& gpu : classes) {
    if (iequals(gpu.id, wanted) || iequals(trim_blanks(gpu.name), wanted)) return &gpu;
  }
  std::vector<const GpuClass*> found;
  const std::string name = bare(wanted);
  for (const GpuClass& gpu : classes) {
    if (!name.empty() && std::ranges::count(spellings(gpu.name), name) > 0) found.push_back(&gpu);
  }
  if (found.size() == 1) return found.front();
  const std::string shown(wanted.substr(0, 64));
  if (found.empty()) {
    std::set<std::string> known;
    for (const GpuClass& gpu : classes) {
      for (std::string& spelling : spellings(gpu.name)) known.insert(std::move(spelling));
    }
    const std::string near = near_names(name, {known.begin(), known.end()});
    return Error::not_found(fmt::format("'{}' is no GPU class; {}see /gpu-classes", shown,
                                        near.empty() ? "" : "did you mean " + near + "? "));
  }
  std::vector<std::string> names;
  for (const GpuClass* gpu : found) names.push_back(fmt::format("'{}'", trim_blanks(gpu->name)));
  return Error{ErrorCode::FailedPrecondition,
               fmt::format("'{}' is the name of several GPU classes; write {}", shown,
                           fmt::join(names, " or "))};
}

void drop_gpu_class_members_unknown_to_go(json::object& gpu_class) {
  gpu_class.erase("gpu_count");
}

}  // namespace mesclun::api
