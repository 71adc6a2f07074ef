#include "agent/gpu_discovery.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <cmath>

namespace mesclun::agent {

namespace {

// The part of NVML's stable C interface that we need, declared here so that no build needs its
// headers.
using nvmlReturn = int;  // 0: success
using nvmlDevice = void*;
struct nvmlMemory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};
constexpr unsigned kNameBytes = 96;

class Nvml {
 public:
  explicit Nvml(const std::string& library)
      : library_(::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL)) {}
  ~Nvml() {
    if (library_ != nullptr) ::dlclose(library_);
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  bool loaded() const { return library_ != nullptr; }
  template <class Function>
  Function* find(const char* name) const {
    return reinterpret_cast<Function*>(::dlsym(library_, name));
  }

 private:
  void* library_;
};

struct Calls {
  nvmlReturn (*init)();
  nvmlReturn (*shutdown)();
  nvmlReturn (*count)(unsigned*);
  nvmlReturn (*handle)(unsigned, nvmlDevice*);
  nvmlReturn (*name)(nvmlDevice, char*, unsigned);
  nvmlReturn (*memory)(nvmlDevice, void*);  // nvmlMemory; untyped, so that a sanitizer can compare
  nvmlReturn (*uuid)(nvmlDevice, char*, unsigned);
  // Older drivers may lack these.
  nvmlReturn (*driver)(char*, unsigned);
  nvmlReturn (*cuda)(int*);

  explicit Calls(const Nvml& nvml)
      : init(nvml.find<nvmlReturn()>("nvmlInit_v2")),
        shutdown(nvml.find<nvmlReturn()>("nvmlShutdown")),
        count(nvml.find<nvmlReturn(unsigned*)>("nvmlDeviceGetCount_v2")),
        handle(nvml.find<nvmlReturn(unsigned, nvmlDevice*)>("nvmlDeviceGetHandleByIndex_v2")),
        name(nvml.find<nvmlReturn(nvmlDevice, char*, unsigned)>("nvmlDeviceGetName")),
        memory(nvml.find<nvmlReturn(nvmlDevice, void*)>("nvmlDeviceGetMemoryInfo")),
        uuid(nvml.find<nvmlReturn(nvmlDevice, char*, unsigned)>("nvmlDeviceGetUUID")),
        driver(nvml.find<nvmlReturn(char*, unsigned)>("nvmlSystemGetDriverVersion")),
        cuda(nvml.find<nvmlReturn(int*)>("nvmlSystemGetCudaDriverVersion_v2")) {}
  bool complete() const {
    return init != nullptr && shutdown != nullptr && count != nullptr && handle != nullptr &&
           name != nullptr && memory != nullptr && uuid != nullptr;
  }
};

constexpr uint64_t kMebibyte = 1024 * 1024;

struct Device {
  std::array<char, kNameBytes> name{};
  std::array<char, kNameBytes> uuid{};
  nvmlMemory memory{};
};

nvmlReturn read_device(const Calls& nvml, unsigned index, Device& out) {
  nvmlDevice device = nullptr;
  nvmlReturn error = nvml.handle(index, &device);
  if (error == 0) error = nvml.name(device, out.name.data(), kNameBytes - 1);
  if (error == 0) error = nvml.memory(device, &out.memory);
  if (error == 0) error = nvml.uuid(device, out.uuid.data(), kNameBytes - 1);
  return error;
}

void read_versions(const Calls& nvml, GpuDiscovery& out) {
  std::array<char, kNameBytes> driver{};
  if (nvml.driver != nullptr && nvml.driver(driver.data(), kNameBytes - 1) == 0) {
    out.driver = driver.data();
  }
  int cuda = 0;  // 1000 times the major number, and ten times the minor one
  if (nvml.cuda != nullptr && nvml.cuda(&cuda) == 0 && cuda > 0) {
    out.cuda = fmt::format("{}.{}", cuda / 1000, cuda % 1000 / 10);
  }
}

std::vector<link::GpuReading> read_memory(const Calls& nvml) {
  std::vector<link::GpuReading> out;
  unsigned count = 0;
  if (nvml.count(&count) != 0) return out;
  for (unsigned i = 0; i < count; ++i) {
    Device device;
    if (read_device(nvml, i, device) != 0) continue;
    out.push_back({.device = device.uuid.data(),
                   .memory_free_mb = static_cast<int64_t>(device.memory.free / kMebibyte)});
  }
  return out;
}

void list_devices(const Calls& nvml, GpuDiscovery& out) {
  unsigned count = 0;
  if (const nvmlReturn error = nvml.count(&count); error != 0) {
    out.problem = fmt::format("the NVIDIA driver cannot count its GPUs (NVML error {})", error);
    return;
  }
  for (unsigned i = 0; i < count; ++i) {
    Device device;
    if (const nvmlReturn error = read_device(nvml, i, device); error != 0) {
      out.problem = fmt::format("GPU {} does not answer (NVML error {})", i, error);
      continue;
    }
    out.gpus.push_back({.name = gpu_class_name(device.name.data(), device.memory.total),
                        .device = device.uuid.data(),
                        .memory_mb = static_cast<int64_t>(device.memory.total / kMebibyte)});
  }
}

}  // namespace

std::string gpu_class_name(std::string_view product, uint64_t memory_bytes) {
  for (std::string_view prefix : {"NVIDIA ", "GeForce "}) {
    if (product.starts_with(prefix)) product.remove_prefix(prefix.size());
  }
  // Some of the memory is reserved, so the total is a little below the advertised size.
  const double gib = static_cast<double>(memory_bytes) / (1024.0 * 1024 * 1024);
  return fmt::format("{} ({:.0f} GB)", product, std::round(gib));
}

GpuDiscovery discover_gpus(const std::string& library) {
  GpuDiscovery out;
  const Nvml nvml(library);
  if (!nvml.loaded()) return out;
  const Calls calls(nvml);
  if (!calls.complete()) {
    out.problem = "the NVIDIA driver is too old to list its GPUs";
    return out;
  }
  if (const nvmlReturn error = calls.init(); error != 0) {
    out.problem = fmt::format("the NVIDIA driver does not start (NVML error {})", error);
    return out;
  }
  read_versions(calls, out);
  list_devices(calls, out);
  calls.shutdown();
  return out;
}

GpuMeter::GpuMeter(Duration period, const std::string& library)
    : period_(period), thread_([this, library] { run(library); }) {}

GpuMeter::~GpuMeter() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  ends_.notify_all();
  thread_.join();
}

std::vector<link::GpuReading> GpuMeter::readings() const {
  const std::scoped_lock lock(mutex_);
  return readings_;
}

bool GpuMeter::wait() {
  std::unique_lock lock(mutex_);
  return !ends_.wait_for(lock, period_, [this] { return ending_; });
}

void GpuMeter::run(const std::string& library) {
  const Nvml nvml(library);
  if (!nvml.loaded()) return;
  const Calls calls(nvml);
  if (!calls.complete() || calls.init() != 0) return;
  do {
    std::vector<link::GpuReading> read = read_memory(calls);
    const std::scoped_lock lock(mutex_);
    readings_ = std::move(read);
  } while (wait());
  calls.shutdown();
}

}  // namespace mesclun::agent
