#include "companion/gpu_query.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/test_loop.h"

namespace mesclun::companion {
namespace {

constexpr uint64_t kMib = 1024 * 1024;

constexpr std::string_view kTable = R"(Tue Nov 25 20:12:00 2025
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 570.86.10              Driver Version: 570.86.10      CUDA Version: 12.8     |
|-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
)";

TEST(GpuQuery, ReadsALine) {
  const auto gpus = parse_gpu_lines("NVIDIA GeForce RTX 4090, 24564, 512, 23601, 41, 570.86.10\n");
  ASSERT_TRUE(gpus);
  ASSERT_EQ(gpus->size(), 1u);
  const GpuReading& gpu = gpus->front();
  EXPECT_EQ(gpu.name, "NVIDIA GeForce RTX 4090");
  EXPECT_EQ(gpu.vram_total, 24564 * kMib);
  EXPECT_EQ(gpu.vram_used, 512 * kMib);
  EXPECT_EQ(gpu.vram_free, 23601 * kMib);
  EXPECT_EQ(gpu.temperature, 41);
  EXPECT_EQ(gpu.driver, "570.86.10");
  EXPECT_NEAR(gpu.vram_used_share().value(), 512.0 / 24564, 1e-9);
}

TEST(GpuQuery, ValuesThatTheDriverDoesNotKnowAreAbsent) {
  for (const char* unknown : {"[N/A]", "[Not Supported]", "N/A", "ERR!", "[Unknown Error]", "",
                              "nan", "inf", "[GPU requires reset]"}) {
    const auto gpus = parse_gpu_lines(fmt::format("A, {0}, {0}, {0}, {0}, [N/A]\r\n", unknown));
    ASSERT_TRUE(gpus) << unknown;
    EXPECT_FALSE(gpus->front().vram_total) << unknown;
    EXPECT_FALSE(gpus->front().temperature) << unknown;
    EXPECT_FALSE(gpus->front().vram_used_share()) << unknown;
  }
  EXPECT_FALSE(parse_gpu_lines("A, -5, 0, 1e300, 40, 1")->front().vram_total);
  EXPECT_FALSE(parse_gpu_lines("A, -5, 0, 1e300, 40, 1")->front().vram_free);
}

TEST(GpuQuery, OfSeveralGpusTheWorstCounts) {
  GpuReport report;
  report.gpus = parse_gpu_lines(
                    "A, 24000, 1000, 23000, 40, 1\n"
                    "B, with a comma, 8000, 7900, 100, 85, 1\n"
                    "C, [N/A], [N/A], [N/A], [N/A], 1\n")
                    .value();
  ASSERT_EQ(report.gpus.size(), 3u);
  EXPECT_EQ(report.gpus[1].name, "B, with a comma");
  const GpuReading worst = report.worst();
  EXPECT_EQ(worst.vram_total, 8000 * kMib);
  EXPECT_EQ(worst.vram_free, 100 * kMib);
  EXPECT_EQ(worst.temperature, 85);
  EXPECT_NEAR(report.worst_vram_used_share().value(), 7900.0 / 8000, 1e-9);
}

TEST(GpuQuery, AFailingDriverIsQuoted) {
  const auto gpus = parse_gpu_lines(
      "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure\n");
  ASSERT_FALSE(gpus);
  EXPECT_EQ(gpus.code(), ErrorCode::Unavailable);
  EXPECT_THAT(gpus.error().message, testing::HasSubstr("couldn't communicate"));
  EXPECT_FALSE(parse_gpu_lines("No devices were found\n"));
  EXPECT_FALSE(parse_gpu_lines(""));
}

TEST(GpuQuery, FindsTheCudaVersion) {
  EXPECT_EQ(find_cuda_version(kTable), (CudaVersion{12, 8}));
  EXPECT_EQ(find_cuda_version("Driver Version: 590.1  CUDA UMD Version: 13.0 |"),
            (CudaVersion{13, 0}));
  EXPECT_EQ(find_cuda_version("| CUDA Version: N/A |"), std::nullopt);
  EXPECT_EQ(find_cuda_version("CUDA"), std::nullopt);
  EXPECT_EQ(find_cuda_version(""), std::nullopt);
}

TEST(GpuQuery, CudaVersionsCompareByNumber) {
  EXPECT_LT(parse_cuda_version("12.8"), parse_cuda_version("12.10"));
  EXPECT_EQ(parse_cuda_version("12"), (CudaVersion{12, 0}));
  for (const char* text : {"", "x", "12.", "12.x", "12.8.1", "-1.0"}) {
    EXPECT_EQ(parse_cuda_version(text), std::nullopt) << text;
  }
}

struct FakeCommands final : CommandRunner {
  Task<Result<CommandOutput>> run(std::vector<std::string> argv, Duration) override {
    ++runs;
    co_return argv.size() > 1 ? lines : table;
  }
  Result<CommandOutput> lines = CommandOutput{.out = "A, 100, 1, 99, 40, 1\n"};
  Result<CommandOutput> table = CommandOutput{.out = std::string(kTable)};
  int runs = 0;
};

Result<GpuReport> query(FakeCommands& commands, bool with_cuda = true) {
  VirtualLoop loop;
  Result<GpuReport> report;
  const auto body = [](FakeCommands& c, bool cuda, Result<GpuReport>& out) -> Task<Result<>> {
    out = co_await query_gpus(c, 5s, cuda);
    co_return Result<>();
  };
  loop.run(body(commands, with_cuda, report));
  return report;
}

TEST(GpuQuery, AsksTwiceOnlyForCuda) {
  FakeCommands commands;
  EXPECT_EQ(query(commands)->cuda, (CudaVersion{12, 8}));
  EXPECT_EQ(commands.runs, 2);
  EXPECT_EQ(query(commands, false)->cuda, std::nullopt);
  EXPECT_EQ(commands.runs, 3);
}

TEST(GpuQuery, FailuresStayWhatTheyAre) {
  FakeCommands commands;
  commands.table = Error::deadline("nvidia-smi was killed after 5s");
  EXPECT_EQ(query(commands)->cuda, std::nullopt) << "the rest is known nevertheless";
  commands.lines = Error::not_found("no program nvidia-smi");
  EXPECT_EQ(query(commands).code(), ErrorCode::NotFound);
  commands.lines = CommandOutput{.status = 9, .out = "NVIDIA-SMI has failed"};
  EXPECT_THAT(query(commands).error().message, testing::HasSubstr("status 9: NVIDIA-SMI has"));
}

}  // namespace
}  // namespace mesclun::companion
