#include "cloud/pull_grants.h"

#include "cloud/fleet_update.h"
#include "cloud/fleet_views.h"
#include "cloud/registry_logins.h"

namespace mesclun::cloud {

namespace {

link::PullReply refusal(const link::SpecName& spec, const Error& error) {
  return {
      .spec = spec, .refusal_code = std::string(to_string(error.code)), .refusal = error.message};
}

link::PullReply granted(const link::SpecName& spec, const std::string& registry,
                        registry::PullAccess access) {
  using Kind = registry::PullAccess::Kind;
  link::PullReply reply{.spec = spec, .registry = registry};
  reply.kind = access.kind == Kind::Nothing ? link::PullKind::Nothing
               : access.kind == Kind::Token ? link::PullKind::Token
                                            : link::PullKind::Password;
  reply.user = std::move(access.user);
  reply.secret = std::move(access.secret);
  return reply;
}

}  // namespace

PullGrants::PullGrants(const asio::any_io_executor& executor, Clock& clock,
                       store::Database& database, const Fleet& fleet,
                       registry::PullAccessSettings settings)
    : database_(database),
      fleet_(fleet),
      desk_(executor, clock, std::move(settings)),
      scope_(executor, "pull grants") {}

Task<void> PullGrants::stop() {
  co_await scope_.stop();
  co_await desk_.stop();
}

void PullGrants::ask(std::string node_id, link::SpecName spec, Reply reply) {
  Result<Question> question = check(node_id, spec);
  if (!question) {
    reply(refusal(spec, question.error()));
    return;
  }
  ++asking_[node_id];
  scope_.spawn(answer(*std::move(question), std::move(spec), std::move(reply)));
}

Result<PullGrants::Question> PullGrants::check(const std::string& node_id,
                                               const link::SpecName& spec) const {
  const Group* group = fleet_.groups.find(spec.group_id);
  const api::GroupSpec* wanted = group != nullptr && is_placed_on(fleet_, spec.group_id, node_id)
                                     ? spec_of_version(*group, spec.version)
                                     : nullptr;
  if (wanted == nullptr) return Error::not_found("the group does not run on this node");
  const auto asking = asking_.find(node_id);
  if (asking != asking_.end() && asking->second >= kAsking) {
    return Error{ErrorCode::ResourceExhausted, "this node asks for too many images at once"};
  }
  Question question{
      .node_id = node_id, .group_id = group->id, .organization_id = group->organization_id};
  TRY(question.image, registry::parse_image_name(wanted->container.image));
  return question;
}

Task<Result<>> PullGrants::answer(Question question, link::SpecName spec, Reply reply) {
  const std::string node_id = question.node_id;
  const std::string registry = question.image.registry;
  Result<registry::PullAccess> access = co_await find(std::move(question));
  if (--asking_[node_id] == 0) asking_.erase(node_id);
  if (!access && access.code() == ErrorCode::Cancelled) co_return access.error();
  reply(access ? granted(spec, registry, *std::move(access)) : refusal(spec, access.error()));
  co_return Result<>();
}

Task<Result<registry::PullAccess>> PullGrants::find(Question question) {
  using Login = std::optional<api::RegistryAuthentication>;
  const auto login = std::make_shared<Login>();
  store::Body body = [login, group_id = question.group_id,
                      registry = question.image.registry](store::Transaction& tx) -> Result<> {
    TRY(*login, load_login(tx, group_id, registry));
    return {};
  };
  CO_TRY_DO(co_await database_.read(std::move(body)));
  if (!*login) co_return registry::PullAccess{};
  co_return co_await desk_.access(std::move(question.organization_id), std::move(question.image),
                                  **std::move(login));
}

}  // namespace mesclun::cloud
