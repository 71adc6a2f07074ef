#include "link/tunnel.h"

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

Task<Result<TunnelStreamPtr>> open_stream(std::shared_ptr<TunnelCore> core, TunnelTarget target,
                                          Duration limit) {
  if (co_await cancel_requested()) co_return Error::cancelled();
  CO_TRY(const StatePtr state, core->begin_open(target, limit));
  // Whatever ends the wait, the destructor tells the peer.
  TunnelStreamPtr stream = make_tunnel_stream(std::move(core), state);
  while (!state->opened) {
    if (state->reset) co_return open_error(*state->reset);
    if (state->broken) co_return tunnel_broke();
    if (state->expired) co_return open_error(ResetCode::Timeout);
    CO_TRY_DO(co_await state->readable.wait());
  }
  stream->set_deadline(TimePoint::max());
  co_return stream;
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
  return open_stream(core_, std::move(target), limit);
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

}  // namespace mesclun::link
