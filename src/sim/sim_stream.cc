#include "sim/sim_stream.h"

#include <cstring>
#include <deque>

#include "base/notify.h"

namespace mesclun::sim {

namespace {

// On its way or unread; then the writer waits.
constexpr size_t kWindowBytes = 64 * 1024;
// A write leaves in pieces of up to so many bytes, about 16 packets.
constexpr size_t kPieceBytesMax = 24 * 1024;

Error closed() {
  return Error::unavailable("connection closed");
}

// One direction.
struct Way {
  explicit Way(const asio::any_io_executor& executor) : changed(executor) {}
  struct Piece {
    TimePoint arrival;
    std::string bytes;  // none: the orderly end
  };
  std::deque<Piece> pieces;
  size_t bytes = 0;  // of all pieces
  TimePoint last_arrival{};
  bool ended = false;   // nothing more is written
  bool broken = false;  // by a reset, or because the reader is gone
  Notify changed;

  void add(std::string piece, TimePoint arrival) {
    last_arrival = std::max(last_arrival, arrival);
    bytes += piece.size();
    pieces.push_back({last_arrival, std::move(piece)});
    changed.notify_all();
  }
  void break_off() {
    broken = true;
    changed.notify_all();
  }
};

class SimStream final : public Conn {
 public:
  SimStream(std::shared_ptr<Way> in, std::shared_ptr<Way> out, Clock& clock, Random& random,
            link::Fate fate)
      : in_(std::move(in)),
        out_(std::move(out)),
        clock_(clock),
        random_(random),
        fate_(std::move(fate)) {}
  ~SimStream() override { SimStream::close(); }

  Task<Result<size_t>> read_some(asio::mutable_buffer buffer) override {
    const std::shared_ptr<Way> way = in_;
    while (way->pieces.empty() || way->pieces.front().arrival > clock_.now()) {
      if (closed_ || way->broken) co_return closed();
      if (clock_.now() >= deadline_) co_return Error::deadline("connection deadline");
      const TimePoint next = way->pieces.empty() ? deadline_ : way->pieces.front().arrival;
      CO_TRY_DO(co_await way->changed.wait_until(clock_, std::min(deadline_, next)));
    }
    std::string& bytes = way->pieces.front().bytes;
    if (bytes.empty()) co_return size_t{0};  // the end stays
    const size_t n = 1 + random_.below(std::min(buffer.size(), bytes.size()));
    std::memcpy(buffer.data(), bytes.data(), n);
    bytes.erase(0, n);
    way->bytes -= n;
    if (bytes.empty()) way->pieces.pop_front();
    way->changed.notify_all();
    co_return n;
  }

  Task<Result<>> write(std::span<const asio::const_buffer> buffers) override {
    const std::shared_ptr<Way> way = out_;
    for (const asio::const_buffer& buffer : buffers) {
      std::string_view rest(static_cast<const char*>(buffer.data()), buffer.size());
      while (!rest.empty()) {
        if (closed_ || way->broken || way->ended) co_return closed();
        if (clock_.now() >= deadline_) co_return Error::deadline("connection deadline");
        const size_t room = kWindowBytes - std::min(kWindowBytes, way->bytes);
        if (room == 0) {
          CO_TRY_DO(co_await way->changed.wait_until(clock_, deadline_));
          continue;
        }
        const std::optional<Duration> delay = fate_();
        if (!delay) {
          break_both();
          co_return closed();
        }
        const size_t n = 1 + random_.below(std::min({rest.size(), room, kPieceBytesMax}));
        way->add(std::string(rest.substr(0, n)), clock_.now() + *delay);
        rest.remove_prefix(n);
      }
    }
    co_return Result<>();
  }

  void set_deadline(TimePoint when) override {
    deadline_ = when;
    in_->changed.notify_all();
    out_->changed.notify_all();
  }
  void shutdown_write() override {
    if (out_->ended || out_->broken) return;
    out_->ended = true;
    if (const std::optional<Duration> delay = fate_()) {
      out_->add({}, clock_.now() + *delay);
    } else {
      break_both();
    }
  }
  // The peer still reads what was written before.
  void close() override {
    if (closed_) return;
    shutdown_write();
    closed_ = true;
    in_->break_off();
    out_->changed.notify_all();
  }
  void abort() override {
    break_both();
    close();
  }
  std::string peer_address() const override { return "memory"; }

 private:
  void break_both() {
    in_->break_off();
    out_->break_off();
  }

  const std::shared_ptr<Way> in_;
  const std::shared_ptr<Way> out_;
  Clock& clock_;
  Random& random_;
  const link::Fate fate_;
  TimePoint deadline_ = TimePoint::max();
  bool closed_ = false;
};

}  // namespace

std::pair<ConnPtr, ConnPtr> sim_stream_pair(const asio::any_io_executor& executor, Clock& clock,
                                            Random& random, link::Fate fate) {
  auto ab = std::make_shared<Way>(executor);
  auto ba = std::make_shared<Way>(executor);
  return {std::make_unique<SimStream>(ba, ab, clock, random, fate),
          std::make_unique<SimStream>(ab, ba, clock, random, fate)};
}

}  // namespace mesclun::sim
