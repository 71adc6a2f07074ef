// A stand-in for libnvidia-ml.so.1, loaded by gpu_discovery_test. FAKE_NVML in the environment says
// how it behaves: "two" GPUs, "none", a "dead" driver, or one GPU of two that is "lost".
#include <cstdlib>
#include <cstring>

namespace {

bool is(const char* mode) {
  const char* chosen = std::getenv("FAKE_NVML");
  return chosen != nullptr && std::strcmp(chosen, mode) == 0;
}

struct Memory {
  unsigned long long total, free, used;
};

int devices[2];

}  // namespace

extern "C" {
int nvmlInit_v2() {
  return is("dead") ? 9 : 0;
}
int nvmlShutdown() {
  return 0;
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = is("none") ? 0 : 2;
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  if (is("lost") && index == 0) return 15;
  *device = &devices[index];
  return 0;
}
int nvmlDeviceGetName(void* device, char* name, unsigned length) {
  const char* text = device == &devices[0] ? "NVIDIA GeForce RTX 4090" : "NVIDIA H100 80GB HBM3";
  std::strncpy(name, text, length);
  return 0;
}
int nvmlDeviceGetUUID(void* device, char* uuid, unsigned length) {
  std::strncpy(uuid, device == &devices[0] ? "GPU-0" : "GPU-1", length);
  return 0;
}
int nvmlDeviceGetMemoryInfo(void* device, void* memory) {
  auto* out = static_cast<Memory*>(memory);
  out->total = (device == &devices[0] ? 24'564ULL : 81'559ULL) * 1024 * 1024;
  out->free = out->total - 1'000ULL * 1024 * 1024;
  return 0;
}
int nvmlSystemGetDriverVersion(char* version, unsigned length) {
  std::strncpy(version, "570.86.10", length);
  return 0;
}
int nvmlSystemGetCudaDriverVersion_v2(int* version) {
  *version = 12'080;
  return 0;
}
}
