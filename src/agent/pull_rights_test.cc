#include "agent/pull_rights.h"

#include <gtest/gtest.h>

#include "base/test_loop.h"

namespace mesclun::agent {
namespace {

using runtime::RegistryAccess;

class PullRightsTest : public testing::Test {
 protected:
  Task<Result<>> get() {
    const link::SpecName spec{"group", 3};
    got_ = co_await rights_.get(spec);
    co_return Result<>();
  }
  void ask() { loop_.run(get()); }

  VirtualLoop loop_;
  bool session_ = true;
  int asked_ = 0;
  std::optional<link::PullReply> reply_;  // at once
  std::optional<Result<RegistryAccess>> got_;
  PullRights rights_{loop_.executor(), loop_.clock, [this](const link::PullRequest& request) {
                       if (!session_) return false;
                       ++asked_;
                       if (reply_) {
                         link::PullReply reply = *reply_;
                         reply.spec = request.spec;
                         rights_.on_reply(std::move(reply));
                       }
                       return true;
                     }};
};

TEST_F(PullRightsTest, EveryKindBecomesWhatADriverShows) {
  reply_ = link::PullReply{.kind = link::PullKind::Token, .registry = "r", .secret = "t"};
  ask();
  EXPECT_EQ((*got_)->token, "t");
  EXPECT_EQ((*got_)->registry, "r");
  reply_ = link::PullReply{.kind = link::PullKind::Password, .user = "u", .secret = "p"};
  ask();
  EXPECT_EQ((*got_)->user, "u");
  EXPECT_EQ((*got_)->password, "p");
  EXPECT_EQ((*got_)->token, "");
  reply_ = link::PullReply{};
  ask();
  EXPECT_TRUE((*got_)->empty());
  EXPECT_EQ(asked_, 3) << "nothing is kept";
}

TEST_F(PullRightsTest, ARefusalKeepsItsWords) {
  reply_ = link::PullReply{.refusal_code = "permission_denied", .refusal = "wrong password"};
  ask();
  EXPECT_EQ(got_->code(), ErrorCode::PermissionDenied);
  EXPECT_EQ(got_->error().message, "wrong password");
  reply_ = link::PullReply{.refusal_code = "not_found", .refusal = "not here"};
  ask();
  EXPECT_EQ(got_->code(), ErrorCode::Unavailable);
  EXPECT_EQ(got_->error().cause, Cause::None);
}

TEST_F(PullRightsTest, WithoutASessionItIsSoonSaid) {
  session_ = false;
  const TimePoint begun = loop_.clock.now();
  ask();
  EXPECT_EQ(got_->error().cause, Cause::Unreachable);
  EXPECT_LE(loop_.clock.now() - begun, 6s);
}

TEST_F(PullRightsTest, ALostQuestionIsAskedAgainButNotForEver) {
  const TimePoint begun = loop_.clock.now();
  ask();
  EXPECT_EQ(got_->error().cause, Cause::Unreachable);
  EXPECT_EQ(asked_, 4);
  EXPECT_EQ(loop_.clock.now() - begun, kPullRightWait);
}

TEST_F(PullRightsTest, WhatNobodyAskedForIsNotKept) {
  rights_.on_reply(link::PullReply{.spec = {"group", 3}, .secret = "t"});
  session_ = false;
  ask();
  EXPECT_FALSE(*got_);
}

}  // namespace
}  // namespace mesclun::agent
