#include "link/exec_flow.h"

#include <gtest/gtest.h>

namespace mesclun::link {
namespace {

TEST(ExecFlow, SenderStopsAtTheWindowAndGoesOnWithWhatIsRead) {
  ExecSending sending;
  ExecReceiving receiving;
  size_t sent = 0;
  while (const size_t piece = sending.room()) {
    EXPECT_LE(piece, kExecDataBytesMax);
    sending.sent(piece);
    EXPECT_TRUE(receiving.take(piece));
    sent += piece;
  }
  EXPECT_EQ(sent, static_cast<size_t>(kExecWindowBytes));
  EXPECT_FALSE(receiving.take(1));
  // Little that is read costs no message.
  EXPECT_EQ(receiving.read(100), 0);
  const int64_t more = receiving.read(static_cast<size_t>(kExecWindowBytes) / 2);
  EXPECT_EQ(more, kExecWindowBytes / 2 + 100);
  EXPECT_TRUE(sending.grant(more));
  EXPECT_GT(sending.room(), 0u);
  EXPECT_TRUE(receiving.take(sending.room()));
}

TEST(ExecFlow, NobodyGrantsMoreThanAWindow) {
  ExecSending sending;
  EXPECT_FALSE(sending.grant(1));
  sending.sent(10);
  EXPECT_FALSE(sending.grant(0));
  EXPECT_FALSE(sending.grant(-5));
  EXPECT_FALSE(sending.grant(INT64_MAX));
  EXPECT_TRUE(sending.grant(10));
  EXPECT_FALSE(sending.grant(1));
}

}  // namespace
}  // namespace mesclun::link
