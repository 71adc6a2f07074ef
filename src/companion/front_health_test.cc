// What the front makes of answers, and of their lack.
#include "companion/front_world.h"

namespace mesclun::companion {
namespace {

// Twelve bad inputs in a hundred, each of which takes its batch along.
TEST_F(FrontTest, BadInputsAreNotTheNodesFault) {
  config.batch.paths = {"/predict"};
  config.batch.size_max = 8;
  work = 20ms;
  start();
  poison = 13;
  poison_fails_alone = true;
  std::vector<Answer> answers(96);
  for (size_t n = 0; n < answers.size(); ++n) {
    spawn(predict(n % 8 == 0 ? poison : 1000), static_cast<int64_t>(n) * 1ms, answers[n]);
  }
  run();
  EXPECT_GE(front->stats().batch_failures, 10u);
  EXPECT_EQ(front->health().health, Health::Ready);
}

// Nor are those of one caller who sends nothing else.
TEST_F(FrontTest, OneBadInputOverAndOverIsNotTheNodesFault) {
  config.batch.paths = {"/predict"};
  config.batch.size_max = 1;
  work = 20ms;
  start();
  poison = 13;
  poison_fails_alone = true;
  std::vector<Answer> answers(50);
  for (Answer& answer : answers) spawn(predict(poison), 0s, answer);
  run();
  for (const Answer& answer : answers) EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(front->health().health, Health::Ready);
}

TEST_F(FrontTest, ABrokenApplicationIs) {
  config.batch.paths = {"/predict"};
  config.batch.size_max = 1;
  work = 20ms;
  start();
  always_status = 500;
  std::vector<Answer> answers(50);
  for (size_t n = 0; n < answers.size(); ++n) {
    spawn(predict(static_cast<int64_t>(n)), 0s, answers[n]);
  }
  run();
  EXPECT_EQ(front->health().health, Health::Failed);
}

// Each request ends at its own timeout, long before hang_after.
TEST_F(FrontTest, AHungApplicationFailsUnderLoad) {
  config.front.timeout = 3s;
  config.front.queue_max = 4;
  config.application.hang_after = 10s;
  start();
  work = 1h;
  std::vector<Answer> answers(300);
  for (size_t n = 0; n < answers.size(); ++n) {
    spawn(predict(static_cast<int64_t>(n)), static_cast<int64_t>(n) * 100ms, answers[n]);
  }
  loop.clock.run_for(8s);
  EXPECT_NE(front->health().health, Health::Failed);
  loop.clock.run_for(4s);
  EXPECT_EQ(front->health().health, Health::Failed);
  loop.clock.run_for(8s);
  EXPECT_EQ(front->health().health, Health::Failed);
  EXPECT_EQ(answers[199].headers.find("X-Mesclun-App"), "not_ready");
  run();
}

// An application that takes 2 s, and callers who give it less.
TEST_F(FrontTest, CallersInAHurryAreNoHang) {
  config.application.hang_after = 10s;
  start();
  Answer taught;
  spawn(predict(1), 0s, taught);
  run();
  for (int n = 0; n < 40; ++n) {
    Answer answer;
    HttpCall call = predict(n);
    call.headers.add("X-Request-Timeout-Ms", "500");
    spawn(std::move(call), 0s, answer);
    run();
    EXPECT_EQ(answer.status, 504);
  }
  EXPECT_EQ(front->health().health, Health::Ready);
}

}  // namespace
}  // namespace mesclun::companion
