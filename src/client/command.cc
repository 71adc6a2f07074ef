#include "client/command.h"

#include <fmt/format.h>

#include <csignal>

#include "base/real_clock.h"
#include "base/service.h"

namespace mesclun::client {

namespace {

Result<ApiSettings> api_settings(const CommonOptions& options, Needs needs,
                                 const Context& context) {
  ApiSettings settings;
  settings.request_timeout = options.request_timeout;
  settings.rate_limit_wait = options.rate_limit_wait;
  TRY(const std::string address, require(context, context.api, "--api", "API address"));
  Result<ApiAddress> parsed = parse_api_address(address);
  if (!parsed) {
    return Error::invalid(fmt::format("{} (from {})", parsed.error().message, context.api.source));
  }
  settings.address = *std::move(parsed);
  const bool as_operator = needs == Needs::Operator || needs == Needs::OperatorInOrganization;
  if (as_operator) {
    TRY(settings.operator_key,
        require(context, context.operator_key, "--operator-key", "operator key"));
  } else {
    TRY(settings.api_key, require(context, context.api_key, "--api-key", "API key"));
  }
  if (needs != Needs::Operator) {
    TRY(settings.organization,
        require(context, context.organization, "--organization", "organization"));
  }
  if (needs == Needs::Project) {
    TRY(settings.project, require(context, context.project, "--project", "project"));
  }
  return settings;
}

void print_error(const Console& console, const Error& error, const Context& context, KeyKind key) {
  console.note("mesclun: " + explain(error, context, key));
}

std::string explain_key(const Context& context, KeyKind key) {
  const bool user = key == KeyKind::User;
  const ContextValue& value = user ? context.api_key : context.operator_key;
  return fmt::format("{} {}, from {}", user ? "API key" : "operator key", shortened_key(value.text),
                     value.source);
}

}  // namespace

Error usage_error(std::string message) {
  return {ErrorCode::InvalidArgument, std::move(message), Cause::Usage};
}

std::string explain(const Error& error, const Context& context, KeyKind key) {
  std::string hint;
  if (error.cause == Cause::Unreachable) {
    hint = fmt::format(
        "Is `mesclun up` running at {} (from {})? Start it, or name another address with --api "
        "HOST:PORT.",
        context.api.text, context.api.source);
  } else if (error.code == ErrorCode::Unauthenticated) {
    hint = fmt::format("The call carried the {}. Give a current key with {}.",
                       explain_key(context, key),
                       key == KeyKind::User ? "--api-key" : "--operator-key");
  } else if (error.cause == Cause::QuotaExceeded) {
    hint = "An operator can raise the quota: mesclun org quota " + context.organization.text +
           " --replicas N";
  } else if (error.code == ErrorCode::PermissionDenied) {
    hint = fmt::format("The call carried the {}.", explain_key(context, key));
    if (key == KeyKind::User) {
      hint += fmt::format(" It must belong to a member of organization '{}' (from {}).",
                          context.organization.text, context.organization.source);
    }
  } else if (error.cause == Cause::NameConflict) {
    hint = "Names are never used twice, not even after a deletion: choose another one.";
  } else if (error.code == ErrorCode::ResourceExhausted) {
    hint = "Try again later, or let --rate-limit-wait be longer.";
  }
  return hint.empty() ? error.message : error.message + "\n" + hint;
}

int run_verb(const CommonOptions& options, Needs needs, const Console& console,
             const Environment& environment, const Verb& verb) {
  return run_verb(options, needs, console, environment, verb, {});
}

int run_verb(const CommonOptions& options, Needs needs, const Console& console,
             const Environment& environment, const Verb& verb,
             const std::function<bool(int number)>& take_signal) {
  const Result<Context> context = resolve_context(options.context, environment);
  if (!context) {
    console.note("mesclun: " + context.error().message);
    return 1;
  }
  Result<ApiSettings> settings = api_settings(options, needs, *context);
  if (!settings) {
    print_error(console, settings.error(), *context, KeyKind::User);
    return 1;
  }
  asio::io_context io(1);
  RealClock clock;
  ApiClient api(clock, *std::move(settings), [&](const std::string& text) { console.note(text); });
  Session session{clock, console, api, *context, options.format};
  int signalled = 0;
  const std::function<bool(int)> on_signal = [&](int number) {
    if (take_signal && take_signal(number)) return false;
    return is_first_signal(number, signalled);
  };
  const Result<> result =
      take_signal
          ? run_with_signals(io, verb(session), {SIGINT, SIGTERM, SIGHUP, SIGWINCH}, on_signal)
          : run_with_signals(io, verb(session), {SIGINT, SIGTERM}, on_signal);
  if (signalled != 0) return 128 + signalled;
  if (result) return 0;
  print_error(console, result.error(), *context, api.last_key());
  return result.error().cause == Cause::Usage ? 2 : 1;
}

}  // namespace mesclun::client
