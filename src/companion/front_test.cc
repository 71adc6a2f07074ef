// What callers of the front get, and when.
#include "companion/front_world.h"

namespace mesclun::companion {
namespace {

using ::testing::HasSubstr;

// practice.md §6: 9 inferences at once and 4 health queries, the k-th after k s, come to 1 refused,
// 4 answered, 4 past the 3 s; 2 ready and 2 busy.
TEST_F(FrontTest, ThePublishedBurstComesOutAsPublished) {
  config.front.queue_max = 8;
  config.front.timeout = 3s;
  config.front.timeout_status = 500;
  config.front.health_path = "/health_check";
  config.batch.paths = {"/predict"};
  config.batch.size_max = 4;
  config.batch.wait_max = 1s;
  start();
  std::vector<Answer> health(4);
  for (int k = 1; k <= 4; ++k) {
    spawn({.target = "/health_check"}, std::chrono::seconds(k), health[k - 1]);
  }
  std::vector<Answer> answers(9);
  const TimePoint began = loop.clock.now();
  for (int n = 0; n < 9; ++n) spawn(predict(n), 0s, answers[n]);
  run();
  std::map<int, int> by_status;
  for (int n = 0; n < 9; ++n) {
    ++by_status[answers[n].status];
    if (answers[n].status == 200) {
      EXPECT_EQ(answers[n].body, fmt::format("{{\"result\":{}}}", n * n));
      EXPECT_EQ(answers[n].at - began, 2s);
    } else {
      EXPECT_EQ(answers[n].at - began, answers[n].status == 429 ? 0s : 3s);
    }
  }
  EXPECT_EQ(by_status, (std::map<int, int>{{200, 4}, {429, 1}, {500, 4}}));
  int ready = 0;
  int busy = 0;
  for (const Answer& answer : health) {
    EXPECT_EQ(answer.status, 200);
    ready += answer.body.find("\"status\":\"ready\"") != std::string::npos ? 1 : 0;
    busy += answer.body.find("\"status\":\"busy\"") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(busy, 2);
  EXPECT_EQ(ready, 2);
}

TEST_F(FrontTest, OneAtATimeAndInOrder) {
  start();
  std::vector<Answer> answers(5);
  const TimePoint began = loop.clock.now();
  for (int n = 0; n < 5; ++n) spawn(predict(n), n * 1ms, answers[n]);
  run();
  EXPECT_EQ(most_at_once, 1);
  for (int n = 0; n < 5; ++n) {
    EXPECT_EQ(answers[n].status, 200);
    EXPECT_EQ(answers[n].at - began, (n + 1) * 2s);
  }
  EXPECT_EQ(dials, 1) << "the connection is kept";
}

TEST_F(FrontTest, TellsAGatewayThatAsksHowBusyItIs) {
  config.front.concurrency = 2;
  start();
  std::vector<Answer> answers(4);
  for (int n = 0; n < 3; ++n) {
    HttpCall call = predict(n);
    call.headers.add("Endpoint-Load-Metrics-Format", "TEXT");
    spawn(std::move(call), 0s, answers[n]);
  }
  spawn(predict(3), 0s, answers[3]);
  run();
  EXPECT_EQ(answers[0].headers.find("Endpoint-Load-Metrics"),
            "TEXT application_utilization=2.000, named_metrics.places=2");
  EXPECT_TRUE(answers[2].headers.has("Endpoint-Load-Metrics"));
  EXPECT_FALSE(answers[3].headers.has("Endpoint-Load-Metrics")) << "nobody asked";
}

TEST_F(FrontTest, ConcurrencyIsKept) {
  config.front.concurrency = 3;
  start();
  std::vector<Answer> answers(9);
  for (int n = 0; n < 9; ++n) spawn(predict(n), 0s, answers[n]);
  run();
  EXPECT_EQ(most_at_once, 3);
}

TEST_F(FrontTest, ACallerInAHurryIsRefusedWhenItsAnswerWouldComeTooLate) {
  start();
  std::vector<Answer> answers(4);
  spawn(predict(1), 0s, answers[0]);  // teaches that one takes 2 s
  spawn(predict(2), 3s, answers[1]);
  spawn(predict(3), 3001ms, answers[2]);
  HttpCall hasty = predict(4);
  hasty.headers.add("X-Request-Timeout-Ms", "3000");
  spawn(std::move(hasty), 3002ms, answers[3]);
  run();
  EXPECT_EQ(answers[2].status, 200);
  EXPECT_EQ(answers[3].status, 429);
  EXPECT_EQ(answers[3].headers.find("X-Mesclun-App"), "would_miss_deadline");
  EXPECT_EQ(answers[3].headers.find("Retry-After"), "3");
}

TEST_F(FrontTest, ADeadlineInTheQueueIsKeptToTheMoment) {
  start();
  std::vector<Answer> answers(2);
  const TimePoint began = loop.clock.now();
  spawn(predict(1), 0s, answers[0]);
  HttpCall hasty = predict(2);
  hasty.headers.add("X-Request-Timeout-Ms", "500");
  spawn(std::move(hasty), 1ms, answers[1]);
  run();
  EXPECT_EQ(answers[1].status, 504);
  EXPECT_EQ(answers[1].at - began, 501ms);
  EXPECT_EQ(calls, 1) << "what is late is not sent to the application";
}

TEST_F(FrontTest, BadWishesAreTheCallersMistake) {
  start();
  for (const char* text : {"soon", "0", "-1", "1.5", "99999999999999999999"}) {
    Answer answer;
    HttpCall call = predict(1);
    call.headers.add("X-Request-Timeout-Ms", text);
    spawn(std::move(call), 0s, answer);
    run();
    EXPECT_EQ(answer.status, 400) << text;
    EXPECT_THAT(answer.body, HasSubstr("X-Request-Timeout-Ms must be"));
  }
  EXPECT_EQ(calls, 0);
}

TEST_F(FrontTest, ACallerWhoLeavesFreesItsPlace) {
  config.front.queue_max = 2;
  start();
  std::vector<Answer> answers(3);
  spawn(predict(1), 0s, answers[0]);
  Scope leaving(loop.executor(), "leaving");
  leaving.spawn(send(predict(2), 1ms, answers[1]));
  loop.clock.run_for(500ms);
  EXPECT_EQ(front->queue().accepted(), 2u);
  leaving.cancel();
  loop.clock.run_for(1ms);
  EXPECT_EQ(front->queue().accepted(), 1u);
  EXPECT_EQ(front->stats().cancelled, 1u);
  spawn(predict(3), 0s, answers[2]);
  run();
  EXPECT_EQ(answers[2].status, 200);
  EXPECT_EQ(calls, 2);
}

TEST_F(FrontTest, ACallerWhoLeavesInTheMomentOfItsTurnGivesTheSlotBack) {
  start();
  const TicketPtr ticket = front->make_ticket();
  EXPECT_FALSE(front->accept(ticket));
  EXPECT_EQ(ticket->state, Ticket::State::Granted);
  front->leave(*ticket);
  EXPECT_EQ(front->queue().dispatches(), 0u);
}

TEST_F(FrontTest, CallersWhoLeaveAtAnyMomentLeakNothing) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    SeededRandom dice(seed);
    config.front.concurrency = 1 + static_cast<int>(dice.below(3));
    config.batch.paths.clear();
    if (dice.chance(0.5)) config.batch.paths = {"/predict"};
    work = 20ms;
    start();
    std::vector<Answer> answers(100);
    std::vector<std::unique_ptr<Scope>> impatient;
    for (size_t n = 0; n < answers.size(); ++n) {
      // Multiples of the work's time: arrivals, ends and departures meet.
      const auto after = std::chrono::milliseconds(10 * dice.below(100));
      impatient.push_back(std::make_unique<Scope>(loop.executor(), "impatient"));
      impatient.back()->spawn(send(predict(static_cast<int64_t>(n)), after, answers[n]));
    }
    for (int step = 0; step < 200; ++step) {
      loop.clock.run_for(5ms);
      if (dice.chance(0.5)) impatient[dice.below(impatient.size())]->cancel();
    }
    loop.clock.run_for(10s);
    Answer last;
    spawn(predict(7), 0s, last);
    run();
    EXPECT_EQ(last.status, 200);
    loop.clock.run_for(1s);
    EXPECT_EQ(front->queue().dispatches(), 0u);
    EXPECT_EQ(front->queue().accepted(), 0u);
    loop.run(stop_front());
    server.reset();
    front.reset();
  }
}

TEST_F(FrontTest, ABatchIsSplitAndOneBadItemFailsAlone) {
  config.batch.paths = {"/predict"};
  config.batch.size_max = 3;
  start();
  bad_item = 2;
  std::vector<Answer> answers(3);
  for (int n = 1; n <= 3; ++n) spawn(predict(n), 0s, answers[n - 1]);
  run();
  EXPECT_THAT(batch_sizes, ::testing::ElementsAre(3));
  EXPECT_EQ(answers[0].status, 200);
  EXPECT_EQ(answers[1].status, 422);
  EXPECT_EQ(answers[2].body, "{\"result\":9}");
}

TEST_F(FrontTest, ABatchThatFailsAsAWholeIsTriedSingly) {
  config.batch.paths = {"/predict"};
  config.batch.size_max = 3;
  start();
  poison = 2;
  std::vector<Answer> answers(3);
  for (int n = 1; n <= 3; ++n) spawn(predict(n), 0s, answers[n - 1]);
  run();
  EXPECT_THAT(batch_sizes, ::testing::ElementsAre(3, 1, 1, 1));
  for (const Answer& answer : answers) EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(front->stats().retried_singly, 3u);
  EXPECT_EQ(most_at_once, 1);
}

TEST_F(FrontTest, AnItemThatIsReadSlowlyHoldsNoPlace) {
  config.batch.paths = {"/predict"};
  config.batch.size_max = 2;
  start();
  large = 1;
  const ConnPtr slow = connect();
  loop.run(
      slow->write("POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
                  "{\"data\":1}"));
  loop.clock.run_for(10s);
  EXPECT_EQ(front->queue().accepted(), 0u);
  EXPECT_TRUE(front->has_unfinished());
}

TEST_F(FrontTest, AMissingItemIsTriedAloneAndThenFails) {
  config.batch.paths = {"/predict"};
  config.batch.size_max = 2;
  start();
  left_out = 2;
  std::vector<Answer> answers(2);
  for (int n = 1; n <= 2; ++n) spawn(predict(n), 0s, answers[n - 1]);
  run();
  EXPECT_EQ(answers[0].status, 200);
  EXPECT_EQ(answers[1].status, 502);
  EXPECT_EQ(answers[1].headers.find("X-Mesclun-App"), "missing_item");
}

TEST_F(FrontTest, WithoutRetriesTheWholeBatchGetsTheFailure) {
  config.batch.paths = {"/predict"};
  config.batch.size_max = 2;
  config.batch.retry_singly = false;
  start();
  status_of_next = 503;
  std::vector<Answer> answers(2);
  for (int n = 1; n <= 2; ++n) spawn(predict(n), 0s, answers[n - 1]);
  run();
  for (const Answer& answer : answers) EXPECT_EQ(answer.status, 502);
  EXPECT_EQ(calls, 1);
}

TEST_F(FrontTest, ABatchedRequestKeepsItsQuery) {
  config.batch.paths = {"/predict"};
  start();
  Answer answer;
  HttpCall call = predict(1);
  call.target = "/predict?model=a&n=1";
  spawn(std::move(call), 0s, answer);
  run();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(last_path, "/predict?model=a&n=1");
}

TEST_F(FrontTest, ABatchBodyMustBeJson) {
  config.batch.paths = {"/predict"};
  start();
  Answer answer;
  HttpCall call = predict(1);
  call.body = "{\"data\":";
  spawn(std::move(call), 0s, answer);
  run();
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(calls, 0);
}

TEST_F(FrontTest, TheNextBatchWaitsForAnApplicationWhoseCallersGaveUp) {
  config.front.timeout = 1s;
  config.batch.paths = {"/predict"};
  config.batch.size_max = 1;
  start();
  std::vector<Answer> answers(2);
  spawn(predict(1), 0s, answers[0]);
  spawn(predict(2), 1500ms, answers[1]);
  run();
  EXPECT_EQ(answers[0].status, 504);
  loop.clock.run_for(10s);
  EXPECT_EQ(most_at_once, 1);
}

// Twice what the application can do is offered for a minute; the callers wait at most 5 s.
TEST_F(FrontTest, AtTwiceTheCapacityWhatIsAnsweredIsAnsweredInTime) {
  work = 200ms;  // 4 a batch: 20 requests a second
  config.front.timeout = 5s;
  config.batch.paths = {"/predict"};
  config.batch.size_max = 4;
  start();
  std::vector<Answer> answers(2400);
  for (size_t n = 0; n < answers.size(); ++n) {
    spawn(predict(static_cast<int64_t>(n)), static_cast<int64_t>(n) * 25ms, answers[n]);
  }
  run();
  std::map<int, int> by_status;
  for (const Answer& answer : answers) ++by_status[answer.status];
  EXPECT_GE(by_status[200], 0.95 * 20 * 60);
  EXPECT_LE(by_status[504], 12) << "refused early, not late";
  size_t full = 0;
  for (size_t size : batch_sizes) full += size == 4 ? 1 : 0;
  EXPECT_GE(full, 0.95 * static_cast<double>(batch_sizes.size()));
}

TEST_F(FrontTest, HealthHasRoomOfItsOwn) {
  config.front.connections_max = 2;
  start();
  std::vector<Answer> answers(5);
  spawn(predict(1), 0s, answers[0]);
  spawn(predict(2), 0s, answers[1]);
  spawn({.target = "/mesclun-app/health"}, 1s, answers[2]);
  spawn(predict(3), 1s, answers[3]);
  spawn(predict(4), 5s, answers[4]);
  run();
  EXPECT_EQ(answers[2].status, 200);
  EXPECT_EQ(answers[2].headers.find("Connection"), "close");
  EXPECT_EQ(answers[3].status, 503);
  EXPECT_EQ(answers[3].headers.find("X-Mesclun-App"), "connections_full");
  EXPECT_EQ(answers[4].status, 200) << "there is room again";
}

TEST_F(FrontTest, AndWhoOnlyConnectsDoesNotFillIt) {
  config.front.connections_max = 1;
  start();
  Answer busy;
  spawn(predict(1), 0s, busy);
  loop.clock.run_for(10ms);
  std::vector<ConnPtr> silent;
  for (int i = 0; i < 200; ++i) silent.push_back(connect());
  Answer answer;
  spawn({.target = "/mesclun-app/health"}, 0s, answer);
  run();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(front->stats().refusals["connections_full"], 201 - BriefRoom::kPlaces);
}

TEST_F(FrontTest, BodiesOverTheBoundAreRefused) {
  config.front.body_max = 100;
  start();
  Answer answer;
  HttpCall call{.method = "POST", .target = "/predict", .body = std::string(101, 'x')};
  spawn(std::move(call), 0s, answer);
  run();
  EXPECT_EQ(answer.status, 413);
}

TEST_F(FrontTest, WorkIsReadFromAnswers) {
  config.monitor.work = {FieldSource::Kind::Json, "/result"};
  start();
  Answer answer;
  spawn(predict(5), 0s, answer);
  run();
  EXPECT_EQ(observed_work, 25);
}

TEST_F(FrontTest, AFullQueueIsNoIllHealth) {
  config.front.queue_max = 1;
  for (const bool ready_while_busy : {true, false}) {
    config.front.ready_while_busy = ready_while_busy;
    start();
    std::vector<Answer> answers(2);
    spawn(predict(1), 0s, answers[0]);
    spawn({.target = "/mesclun-app/ready"}, 1s, answers[1]);
    run();
    EXPECT_EQ(answers[1].status, ready_while_busy ? 200 : 503);
    EXPECT_THAT(answers[1].body, HasSubstr("\"state\":\"busy\""));
    loop.run(stop_front());
    server.reset();
    front.reset();
  }
}

TEST_F(FrontTest, WhoAsksWhetherItHasStartedHearsItAtOnce) {
  start();
  judge.emplace(config.application);
  std::vector<Answer> answers(2);
  const TimePoint began = loop.clock.now();
  for (Answer& answer : answers) spawn({.target = "/mesclun-app/started"}, 0s, answer);
  loop.clock.run_for(20s);
  EXPECT_EQ(answers[0].status, 0);
  judge->started(loop.clock.now());
  run();
  EXPECT_EQ(answers[0].status, 200);
  EXPECT_LT(answers[0].at - began, 21s);
}

TEST_F(FrontTest, BeforeItServesEverythingButHealthIsRefused) {
  start();
  judge.emplace(config.application);
  std::vector<Answer> answers(4);
  spawn(predict(1), 0s, answers[0]);
  spawn({.target = "/mesclun-app/health"}, 0s, answers[1]);
  spawn({.target = "/mesclun-app/started"}, 0s, answers[2]);
  spawn({.target = "/mesclun-app/nothing"}, 0s, answers[3]);
  run();
  EXPECT_EQ(answers[0].status, 503);
  EXPECT_TRUE(answers[0].headers.has("Retry-After"));
  EXPECT_EQ(answers[1].status, 503);
  EXPECT_THAT(answers[1].body, HasSubstr("\"state\":\"starting\""));
  EXPECT_EQ(answers[2].status, 503);
  EXPECT_EQ(answers[3].status, 404);
}

}  // namespace
}  // namespace mesclun::companion
