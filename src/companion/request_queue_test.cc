#include "companion/request_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace mesclun::companion {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Verdict = Admission::Verdict;

const TimePoint kStart = TimePoint(1h);

QueueRules batch_rules() {
  return {.queue_max = 8, .concurrency = 1, .batch_size_max = 4, .batch_wait_max = 1s};
}

QueuedRequest single(RequestId id, TimePoint arrived, int urgency = 3) {
  return {.id = id, .urgency = urgency, .arrived = arrived};
}
QueuedRequest item(RequestId id, TimePoint arrived, std::string key = "", double cost = 1) {
  return {.id = id, .arrived = arrived, .batched = true, .key = std::move(key), .cost = cost};
}

std::vector<RequestId> taken(RequestQueue& queue, TimePoint now) {
  const QueueStep step = queue.next(now);
  return step.dispatch ? step.dispatch->requests : std::vector<RequestId>{};
}

TEST(RequestQueue, OneAtATimeInOrderOfArrival) {
  RequestQueue queue({.queue_max = 8});
  for (RequestId id = 1; id <= 3; ++id) {
    EXPECT_EQ(queue.admit(single(id, kStart), kStart).verdict, Verdict::Accepted);
  }
  const QueueStep step = queue.next(kStart);
  ASSERT_TRUE(step.dispatch);
  EXPECT_THAT(step.dispatch->requests, ElementsAre(1));
  EXPECT_THAT(taken(queue, kStart), IsEmpty()) << "the application has one already";
  queue.remove(1);
  queue.finished(step.dispatch->number, kStart + 1s, true);
  EXPECT_THAT(taken(queue, kStart + 1s), ElementsAre(2));
}

TEST(RequestQueue, AFullQueueRefusesAtOnceAndSaysWhenToComeBack) {
  RequestQueue queue({.queue_max = 2});
  EXPECT_EQ(queue.admit(single(1, kStart), kStart).verdict, Verdict::Accepted);
  EXPECT_THAT(taken(queue, kStart), ElementsAre(1));
  EXPECT_EQ(queue.admit(single(2, kStart), kStart).verdict, Verdict::Accepted);
  const Admission refused = queue.admit(single(3, kStart), kStart);
  EXPECT_EQ(refused.verdict, Verdict::QueueFull) << "what is with the application counts";
  EXPECT_GE(refused.retry_after, 1s);
  queue.remove(2);
  EXPECT_EQ(queue.admit(single(4, kStart), kStart).verdict, Verdict::Accepted);
}

TEST(RequestQueue, AnUrgentRequestGoesFirstAndTakesThePlaceOfTheLeastUrgent) {
  RequestQueue queue({.queue_max = 3});
  EXPECT_EQ(queue.admit(single(1, kStart, 3), kStart).verdict, Verdict::Accepted);
  EXPECT_EQ(queue.admit(single(2, kStart, 5), kStart).verdict, Verdict::Accepted);
  EXPECT_EQ(queue.admit(single(3, kStart, 5), kStart).verdict, Verdict::Accepted);
  const Admission urgent = queue.admit(single(4, kStart, 0), kStart);
  EXPECT_EQ(urgent.verdict, Verdict::Accepted);
  EXPECT_EQ(urgent.displaced, std::optional<RequestId>(3)) << "the youngest of the worst class";
  EXPECT_EQ(queue.admit(single(5, kStart, 5), kStart).verdict, Verdict::QueueFull);
  EXPECT_THAT(taken(queue, kStart), ElementsAre(4));
}

TEST(RequestQueue, ABatchGoesWhenFullOrWhenItsOldestHasWaited) {
  RequestQueue queue(batch_rules());
  queue.admit(item(1, kStart), kStart);
  queue.admit(item(2, kStart + 400ms), kStart + 400ms);
  const QueueStep early = queue.next(kStart + 400ms);
  EXPECT_FALSE(early.dispatch);
  EXPECT_EQ(early.look_again, kStart + 1s);
  const QueueStep ripe = queue.next(kStart + 1s);
  ASSERT_TRUE(ripe.dispatch);
  EXPECT_THAT(ripe.dispatch->requests, ElementsAre(1, 2));
  queue.finished(ripe.dispatch->number, kStart + 2s, true);
  for (RequestId id = 3; id <= 7; ++id) queue.admit(item(id, kStart + 2s), kStart + 2s);
  EXPECT_THAT(taken(queue, kStart + 2s), ElementsAre(3, 4, 5, 6));
}

TEST(RequestQueue, OnlyEqualKeysShareABatch) {
  RequestQueue queue(batch_rules());
  queue.admit(item(1, kStart, "a"), kStart);
  queue.admit(item(2, kStart, "b"), kStart);
  queue.admit(item(3, kStart, "a"), kStart);
  EXPECT_THAT(taken(queue, kStart + 1s), ElementsAre(1, 3));
}

TEST(RequestQueue, AFullBatchOfAnotherKeyDoesNotWaitForTheOldest) {
  RequestQueue queue(batch_rules());
  queue.admit(item(1, kStart, "a"), kStart);
  for (RequestId id = 2; id <= 5; ++id) queue.admit(item(id, kStart, "b"), kStart);
  EXPECT_THAT(taken(queue, kStart), ElementsAre(2, 3, 4, 5));
}

TEST(RequestQueue, CostBoundsABatchAndALargeItemGoesAlone) {
  QueueRules rules = batch_rules();
  rules.batch_cost_max = 10;
  rules.concurrency = 4;
  RequestQueue queue(rules);
  queue.admit(item(1, kStart, "", 6), kStart);
  queue.admit(item(2, kStart, "", 4), kStart);
  queue.admit(item(3, kStart, "", 25), kStart);
  queue.admit(item(4, kStart, "", 1), kStart);
  EXPECT_THAT(taken(queue, kStart), ElementsAre(1, 2));
  EXPECT_THAT(taken(queue, kStart), ElementsAre(3));
  EXPECT_THAT(taken(queue, kStart), IsEmpty()) << "the last waits for others";
  EXPECT_THAT(taken(queue, kStart + 1s), ElementsAre(4));
}

TEST(RequestQueue, WhoWouldMissItsDeadlineIsRefusedBeforeItWaits) {
  RequestQueue queue({.queue_max = 100});
  queue.admit(single(1, kStart), kStart);
  const QueueStep first = queue.next(kStart);
  queue.remove(1);
  queue.finished(first.dispatch->number, kStart + 2s, true);  // one takes 2 s
  TimePoint now = kStart + 2s;
  queue.admit(single(2, now), now);
  EXPECT_THAT(taken(queue, now), ElementsAre(2));
  QueuedRequest patient = single(3, now);
  patient.deadline = now + 4s;
  EXPECT_EQ(queue.admit(patient, now).verdict, Verdict::Accepted);
  QueuedRequest hasty = single(4, now);
  hasty.deadline = now + 5s;
  const Admission refused = queue.admit(hasty, now);
  EXPECT_EQ(refused.verdict, Verdict::WouldMissDeadline);
  EXPECT_EQ(refused.retry_after, 1s);
  hasty.id = 5;
  hasty.urgency = 0;
  EXPECT_EQ(queue.admit(hasty, now).verdict, Verdict::Accepted) << "it passes the one that waits";
}

TEST(RequestQueue, ABadEstimateIsPutToTheTestWhenNothingElseIsToDo) {
  RequestQueue queue({.queue_max = 100});
  queue.admit(single(1, kStart), kStart);
  const QueueStep first = queue.next(kStart);
  queue.remove(1);
  queue.finished(first.dispatch->number, kStart + 100s, true);
  QueuedRequest request = single(2, kStart + 100s);
  request.deadline = kStart + 101s;
  EXPECT_EQ(queue.admit(request, kStart + 100s).verdict, Verdict::Accepted);
}

TEST(RequestQueue, CancelledRequestsLeaveNoTrace) {
  RequestQueue queue(batch_rules());
  for (RequestId id = 1; id <= 4; ++id) queue.admit(item(id, kStart), kStart);
  queue.remove(2);
  queue.remove(2);
  EXPECT_EQ(queue.accepted(), 3u);
  EXPECT_THAT(taken(queue, kStart + 1s), ElementsAre(1, 3, 4));
  queue.remove(3);
  EXPECT_EQ(queue.accepted(), 2u);
  EXPECT_EQ(queue.waiting(), 0u);
}

// Whatever happens in whatever order: no request is dispatched twice or lost, no bound is passed.
TEST(RequestQueue, RandomHistoriesKeepTheBounds) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    SeededRandom random(seed);
    QueueRules rules{.queue_max = 1 + random.below(20),
                     .concurrency = 1 + random.below(3),
                     .batch_size_max = 1 + random.below(5),
                     .batch_cost_max = static_cast<double>(random.below(12)),
                     .batch_wait_max = std::chrono::milliseconds(random.below(50))};
    RequestQueue queue(rules);
    TimePoint now = kStart;
    std::set<RequestId> waiting;
    std::map<uint64_t, std::vector<RequestId>> running;
    std::set<RequestId> ended;
    RequestId next_id = 1;
    for (int step = 0; step < 2000; ++step) {
      now += std::chrono::milliseconds(random.below(10));
      switch (random.below(4)) {
        case 0:
        case 1: {
          QueuedRequest request = random.chance(0.7)
                                      ? item(next_id, now, std::string(1, 'a' + random.below(3)),
                                             static_cast<double>(1 + random.below(5)))
                                      : single(next_id, now);
          request.urgency = static_cast<int>(random.below(8));
          if (random.chance(0.3))
            request.deadline = now + std::chrono::milliseconds(random.below(99));
          const Admission admission = queue.admit(request, now);
          if (admission.verdict == Verdict::Accepted) waiting.insert(next_id);
          if (admission.displaced) EXPECT_EQ(waiting.erase(*admission.displaced), 1u);
          ++next_id;
          break;
        }
        case 2: {
          if (waiting.empty() || !random.chance(0.2)) break;
          const RequestId id = *std::next(waiting.begin(), random.below(waiting.size()));
          queue.remove(id);
          waiting.erase(id);
          break;
        }
        default: {
          if (running.empty()) break;
          const auto at = std::next(running.begin(), random.below(running.size()));
          for (RequestId id : at->second) queue.remove(id);
          queue.finished(at->first, now, random.chance(0.9));
          running.erase(at);
        }
      }
      while (true) {
        const QueueStep plan = queue.next(now);
        if (!plan.dispatch) break;
        EXPECT_LE(plan.dispatch->requests.size(), rules.batch_size_max);
        for (RequestId id : plan.dispatch->requests) {
          EXPECT_EQ(waiting.erase(id), 1u);
          EXPECT_TRUE(ended.insert(id).second);
        }
        running[plan.dispatch->number] = plan.dispatch->requests;
      }
      EXPECT_LE(running.size(), rules.concurrency);
      EXPECT_LE(queue.accepted(), rules.queue_max);
      EXPECT_EQ(queue.waiting(), waiting.size());
    }
    now += 1s;
    for (int i = 0; i < 1000 && (!waiting.empty() || !running.empty()); ++i) {
      for (auto& [number, ids] : running) {
        for (RequestId id : ids) queue.remove(id);
        queue.finished(number, now, true);
      }
      running.clear();
      while (true) {
        const QueueStep plan = queue.next(now);
        if (!plan.dispatch) break;
        for (RequestId id : plan.dispatch->requests) waiting.erase(id);
        running[plan.dispatch->number] = plan.dispatch->requests;
      }
    }
    EXPECT_THAT(waiting, IsEmpty()) << "all that was accepted gets its turn";
  }
}

}  // namespace
}  // namespace mesclun::companion
