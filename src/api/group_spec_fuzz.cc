#include "api/container_group.h"
#include "api/gpu_class.h"
#include "api/registry_authentication.h"

// A create call, and the same document as a patch of what came out.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mesclun;
  const auto document = parse_json(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!document) return 0;
  std::ignore = api::read_registry_authentication(*document);
  const auto spec = api::read_group_spec(*document, api::known_gpu_classes());
  if (!spec) return 0;
  const auto again = api::read_group_spec(write_json(*spec), api::known_gpu_classes());
  if (!again || *again != *spec) __builtin_trap();
  const auto change = api::patch_group_spec(*spec, *document, api::known_gpu_classes());
  if (change && change->spec.name != spec->name) __builtin_trap();
  return 0;
}
