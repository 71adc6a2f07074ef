#include "companion/gpu_query.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/text.h"

namespace mesclun::companion {

namespace {

constexpr std::string_view kQuery =
    "--query-gpu=name,memory.total,memory.used,memory.free,temperature.gpu,driver_version";
constexpr size_t kFieldsAfterName = 5;

// Up to its end, which may be that of Windows.
std::string_view first_line(std::string_view text) {
  std::string_view line = text.substr(0, text.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Nothing for "[N/A]", "[Not Supported]", "ERR!" and the like.
std::optional<double> number(std::string_view text) {
  text = trim_blanks(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<uint64_t> mebibytes(std::string_view text) {
  const std::optional<double> value = number(text);
  // A GPU with a pebibyte is a misprint.
  if (!value || *value < 0 || *value > 1024.0 * 1024 * 1024) return std::nullopt;
  return static_cast<uint64_t>(*value * 1024 * 1024);
}

// Cut from the right: only the name may have commas of its own.
std::optional<GpuReading> parse_line(std::string_view line) {
  std::array<std::string_view, kFieldsAfterName> fields;
  for (size_t i = kFieldsAfterName; i > 0; --i) {
    const size_t comma = line.rfind(',');
    if (comma == std::string_view::npos) return std::nullopt;
    fields[i - 1] = trim_blanks(line.substr(comma + 1));
    line = line.substr(0, comma);
  }
  if (trim_blanks(line).empty()) return std::nullopt;
  return GpuReading{.name = std::string(trim_blanks(line)),
                    .vram_total = mebibytes(fields[0]),
                    .vram_used = mebibytes(fields[1]),
                    .vram_free = mebibytes(fields[2]),
                    .temperature = number(fields[3]),
                    .driver = std::string(fields[4])};
}

// The first line of what a failing nvidia-smi said.
std::string first_words(std::string_view text) {
  const std::string_view line = trim_blanks(first_line(text));
  return line.empty() ? "it printed nothing" : std::string(line.substr(0, 200));
}

template <class T>
void keep(std::optional<T>& worst, const std::optional<T>& value, auto is_worse) {
  if (value && (!worst || is_worse(*value, *worst))) worst = value;
}

}  // namespace

std::optional<double> GpuReading::vram_used_share() const {
  if (!vram_total || *vram_total == 0 || !vram_used) return std::nullopt;
  return static_cast<double>(*vram_used) / static_cast<double>(*vram_total);
}

std::string CudaVersion::to_string() const {
  return fmt::format("{}.{}", major, minor);
}

std::optional<CudaVersion> parse_cuda_version(std::string_view text) {
  text = trim_blanks(text);
  CudaVersion version;
  const char* const end = text.data() + text.size();
  auto [at, error] = std::from_chars(text.data(), end, version.major);
  if (error != std::errc() || version.major < 0) return std::nullopt;
  if (at != end && *at == '.') {
    const auto [after, bad] = std::from_chars(at + 1, end, version.minor);
    if (bad != std::errc() || version.minor < 0) return std::nullopt;
    at = after;
  }
  if (at != end) return std::nullopt;
  return version;
}

GpuReading GpuReport::worst() const {
  GpuReading worst;
  for (const GpuReading& gpu : gpus) {
    if (worst.name.empty()) worst.name = gpu.name;
    if (worst.driver.empty()) worst.driver = gpu.driver;
    keep(worst.vram_total, gpu.vram_total, std::less<>());
    keep(worst.vram_free, gpu.vram_free, std::less<>());
    keep(worst.vram_used, gpu.vram_used, std::greater<>());
    keep(worst.temperature, gpu.temperature, std::greater<>());
  }
  return worst;
}

std::optional<double> GpuReport::worst_vram_used_share() const {
  std::optional<double> worst;
  for (const GpuReading& gpu : gpus) keep(worst, gpu.vram_used_share(), std::greater<>());
  return worst;
}

Result<std::vector<GpuReading>> parse_gpu_lines(std::string_view text) {
  std::vector<GpuReading> gpus;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (std::optional<GpuReading> gpu = parse_line(first_line(line)))
      gpus.push_back(std::move(*gpu));
  }
  if (gpus.empty()) return Error::unavailable("nvidia-smi names no GPU: " + first_words(text));
  return gpus;
}

// "| NVIDIA-SMI 570.86.10  Driver Version: 570.86.10  CUDA Version: 12.8  |"; newer drivers may put
// a word between the two.
std::optional<CudaVersion> find_cuda_version(std::string_view table) {
  constexpr std::string_view kLabel = "Version:";
  for (size_t at = table.find("CUDA"); at != std::string_view::npos;
       at = table.find("CUDA", at + 1)) {
    std::string_view line = first_line(table.substr(at));
    const size_t label = line.find(kLabel);
    if (label == std::string_view::npos) continue;
    line = trim_blanks(line.substr(label + kLabel.size()));
    if (const auto version = parse_cuda_version(line.substr(0, line.find_first_of(" |")))) {
      return version;
    }
  }
  return std::nullopt;
}

Task<Result<GpuReport>> query_gpus(CommandRunner& commands, Duration limit, bool with_cuda) {
  std::vector<std::string> query{"nvidia-smi", std::string(kQuery),
                                 "--format=csv,noheader,nounits"};
  CO_TRY(const CommandOutput lines, co_await commands.run(std::move(query), limit));
  if (lines.status != 0) {
    co_return Error::unavailable(
        fmt::format("nvidia-smi ended with status {}: {}", lines.status, first_words(lines.out)));
  }
  GpuReport report;
  CO_TRY(report.gpus, parse_gpu_lines(lines.out));
  if (with_cuda) {
    std::vector<std::string> table_of{"nvidia-smi"};
    const Result<CommandOutput> table = co_await commands.run(std::move(table_of), limit);
    if (!table && table.code() == ErrorCode::Cancelled) co_return table.error();
    if (table) report.cuda = find_cuda_version(table->out);
  }
  co_return report;
}

}  // namespace mesclun::companion
