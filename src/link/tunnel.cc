#include "link/tunnel.h"

#include "base/log.h"
#include "base/race.h"
#include "link/tunnel_core.h"

namespace mesclun::link {

namespace {

Error open_error(ResetCode code) {
  switch (code) {
    case ResetCode::Refused:
      return {ErrorCode::Unavailable, "nobody listens on the port of the instance", Cause::Refused};
    case ResetCode::Timeout:
      return Error::deadline("the instance took no connection in time");
    default:
      return {ErrorCode::Unavailable, "the instance cannot be reached", Cause::Unreachable};
  }
}

ResetCode reset_code(const Error& error) {
  if (error.code == ErrorCode::DeadlineExceeded) return ResetCode::Timeout;
  return error.cause == Cause::Refused ? ResetCode::Refused : ResetCode::Unreachable;
}

}  // namespace

Tunnel::Tunnel(std::shared_ptr<TunnelCore> core) : core_(std::move(core)) {}
Tunnel::~Tunnel() {
  close();
}

std::unique_ptr<Tunnel> Tunnel::opening(const asio::any_io_executor& executor, ConnPtr conn,
                                        Clock& clock, TunnelLimits limits) {
  return std::unique_ptr<Tunnel>(new Tunnel(
      std::make_shared<TunnelCore>(executor, std::move(conn), clock, Connect(), limits)));
}

std::unique_ptr<Tunnel> Tunnel::accepting(const asio::any_io_executor& executor, ConnPtr conn,
                                          Clock& clock, Connect connect, TunnelLimits limits) {
  return std::unique_ptr<Tunnel>(new Tunnel(
      std::make_shared<TunnelCore>(executor, std::move(conn), clock, std::move(connect), limits)));
}

Task<Result<>> Tunnel::run() {
  return core_->run();
}
void Tunnel::close() {
  core_->close(Error::unavailable("the tunnel was closed"));
}
Task<Result<TunnelStreamPtr>> Tunnel::open(TunnelTarget target, Duration limit) {
  return core_->open(std::move(target), limit);
}
bool Tunnel::up() const {
  return core_->up();
}
bool Tunnel::suspect() const {
  return core_->suspect();
}
size_t Tunnel::streams() const {
  return core_->streams();
}
size_t Tunnel::buffered_bytes() const {
  return core_->buffered_bytes();
}

Task<Result<TunnelStreamPtr>> TunnelCore::open(TunnelTarget target, Duration limit) {
  const std::shared_ptr<TunnelCore> self = shared_from_this();
  const Error broken{ErrorCode::Unavailable, "the tunnel broke", Cause::Unreachable};
  if (co_await cancel_requested()) co_return Error::cancelled();
  if (!up_) co_return broken;
  if (streams_.size() >= limits_.streams_max) {
    co_return Error{ErrorCode::ResourceExhausted, "too many streams in this tunnel"};
  }
  if (last_id_ == UINT32_MAX) {
    self->close(Error::unavailable("the tunnel has used all stream numbers"));
    co_return broken;
  }
  const auto state = std::make_shared<StreamState>(executor_, ++last_id_);
  state->deadline = clock_.now() + limit;
  streams_.emplace(state->id, state);
  append_open(state->id, target, urgent_);
  wake_pump();
  // Whatever ends the wait, the destructor tells the peer.
  TunnelStreamPtr stream = make_tunnel_stream(self, state);
  while (!state->opened) {
    if (state->reset) co_return open_error(*state->reset);
    if (state->broken) co_return broken;
    if (state->expired) co_return open_error(ResetCode::Timeout);
    CO_TRY_DO(co_await state->readable.wait());
  }
  stream->set_deadline(TimePoint::max());
  co_return stream;
}

Task<Result<>> TunnelCore::serve(std::shared_ptr<TunnelCore> self, StatePtr state,
                                 TunnelTarget target) {
  const std::string instance = target.instance_id;
  Result<ConnPtr> app = co_await within(clock_, limits_.open_timeout, connect_(std::move(target)));
  if (state->over() || state->closed) co_return Result<>();
  if (!app) {
    log_debug("tunnel", "cannot connect to instance",
              {{"instance", instance}, {"error", app.error().message}});
    self->send_reset(state, reset_code(app.error()));
    co_return Result<>();
  }
  state->opened = true;
  append_frame(FrameType::Opened, state->id, {}, urgent_);
  wake_pump();
  TunnelStreamPtr stream = make_tunnel_stream(self, state);
  co_return co_await splice(std::move(stream), std::move(state), std::move(*app));
}

}  // namespace mesclun::link
