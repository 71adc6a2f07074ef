#include "link/tunnel_frames.h"

#include <gtest/gtest.h>

namespace mesclun::link {
namespace {

TEST(TunnelFrames, ComeBackAsTheyWereSent) {
  std::string wire;
  append_open(1, {.instance_id = "abc", .port = 8080}, wire);
  append_frame(FrameType::Data, 1, "hello", wire);
  append_window(1, 70'000, wire);
  append_reset(1, ResetCode::Timeout, wire);
  append_frame(FrameType::Ping, 0, {}, wire);

  std::string_view rest = wire;
  Frame frame;
  ASSERT_TRUE(take_frame(rest, frame).value());
  EXPECT_EQ(frame.type, FrameType::Open);
  EXPECT_EQ(read_open(frame.payload).value(), (TunnelTarget{"abc", 8080}));
  ASSERT_TRUE(take_frame(rest, frame).value());
  EXPECT_EQ(frame.payload, "hello");
  EXPECT_EQ(frame.stream, 1u);
  ASSERT_TRUE(take_frame(rest, frame).value());
  EXPECT_EQ(read_window(frame.payload), 70'000u);
  ASSERT_TRUE(take_frame(rest, frame).value());
  EXPECT_EQ(read_reset(frame.payload), ResetCode::Timeout);
  ASSERT_TRUE(take_frame(rest, frame).value());
  EXPECT_EQ(frame.type, FrameType::Ping);
  EXPECT_TRUE(rest.empty());
}

TEST(TunnelFrames, WaitForTheirLastByte) {
  std::string wire;
  append_frame(FrameType::Data, 7, "payload", wire);
  Frame frame;
  for (size_t n = 0; n < wire.size(); ++n) {
    std::string_view part = std::string_view(wire).substr(0, n);
    EXPECT_FALSE(take_frame(part, frame).value()) << n;
    EXPECT_EQ(part.size(), n);
  }
}

TEST(TunnelFrames, RefuseWhatNoPeerOfOursSends) {
  const auto refuses = [](std::string wire) {
    std::string_view rest = wire;
    Frame frame;
    const auto taken = take_frame(rest, frame);
    return !taken && taken.code() == ErrorCode::InvalidArgument;
  };
  std::string wire;
  append_frame(FrameType::Data, 0, "x", wire);
  EXPECT_TRUE(refuses(wire)) << "data of no stream";
  wire.clear();
  append_frame(FrameType::Ping, 3, {}, wire);
  EXPECT_TRUE(refuses(wire)) << "a ping on a stream";
  wire.clear();
  append_frame(FrameType::Data, 1, std::string(kFramePayloadMax + 1, 'x'), wire);
  EXPECT_TRUE(refuses(wire.substr(0, kFrameHeadBytes))) << "too long, known from its head";
  wire.clear();
  append_frame(static_cast<FrameType>(9), 1, "x", wire);
  EXPECT_TRUE(refuses(wire)) << "unknown type";
  for (const char* payload : {"abc", "abc ", " 80", "abc 0", "abc 65536", "abc x", "abc 80 "}) {
    EXPECT_FALSE(read_open(payload)) << payload;
  }
}

}  // namespace
}  // namespace mesclun::link
