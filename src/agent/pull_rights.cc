#include "agent/pull_rights.h"

namespace mesclun::agent {

namespace {

// A question that a broken session lost is asked again.
constexpr Duration kAskAgain = 10s;
// While there is no session.
constexpr Duration kLookAgain = 1s;
// An image for everybody needs no cloud: it is not kept waiting for long.
constexpr Duration kSessionWait = 5s;

Result<runtime::RegistryAccess> read(link::PullReply reply) {
  if (!reply.refusal_code.empty()) {
    ErrorCode code = error_code_named(reply.refusal_code).value_or(ErrorCode::Unavailable);
    // What it means here: the cloud is busy, or has just taken the group away.
    const bool is_final = code == ErrorCode::PermissionDenied || code == ErrorCode::InvalidArgument;
    if (!is_final) code = ErrorCode::Unavailable;
    return Error{code, std::move(reply.refusal)};
  }
  runtime::RegistryAccess access{.registry = std::move(reply.registry)};
  if (reply.kind == link::PullKind::Token) access.token = std::move(reply.secret);
  if (reply.kind == link::PullKind::Password) {
    access.user = std::move(reply.user);
    access.password = std::move(reply.secret);
  }
  return access;
}

}  // namespace

PullRights::PullRights(const asio::any_io_executor& executor, Clock& clock,
                       std::function<bool(const link::PullRequest&)> ask)
    : clock_(clock), ask_(std::move(ask)), replied_(executor) {}

Task<Result<runtime::RegistryAccess>> PullRights::get(link::SpecName spec) {
  Question& question = questions_[spec];
  ++question.waiting;
  Result<runtime::RegistryAccess> answer = co_await wait(question, spec);
  if (--question.waiting == 0) questions_.erase(spec);
  co_return answer;
}

Task<Result<runtime::RegistryAccess>> PullRights::wait(Question& question,
                                                       const link::SpecName& spec) {
  const uint64_t seen = question.replies;
  const TimePoint give_up = clock_.now() + kPullRightWait;
  const TimePoint no_session = clock_.now() + kSessionWait;
  TimePoint again = clock_.now();
  bool asked = false;
  while (question.replies == seen) {
    const TimePoint now = clock_.now();
    if (now >= give_up || (!asked && now >= no_session)) {
      co_return Error{ErrorCode::Unavailable, "the cloud cannot be reached", Cause::Unreachable};
    }
    if (now >= again) {
      const link::PullRequest request{.spec = spec};
      const bool sent = ask_(request);
      asked = asked || sent;
      again = now + (sent ? kAskAgain : kLookAgain);
      if (question.replies != seen) break;
    }
    CO_TRY_DO(co_await replied_.wait_until(clock_, std::min(again, give_up)));
  }
  co_return question.answer;
}

void PullRights::on_reply(link::PullReply reply) {
  const auto found = questions_.find(reply.spec);
  if (found == questions_.end()) return;  // nobody waits for it any more
  ++found->second.replies;
  found->second.answer = read(std::move(reply));
  replied_.notify_all();
}

}  // namespace mesclun::agent
