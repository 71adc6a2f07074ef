#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "store/sqlite_connection.h"

namespace mesclun::store {

namespace {

using Handler = asio::any_completion_handler<void(Result<>)>;

struct Call {
  Body body;
  Handler handler;
};

// Brings the answer to the loop of the caller.
void answer(Handler handler, Result<> result) {
  const auto executor = asio::get_associated_executor(handler);
  asio::dispatch(executor, [handler = std::move(handler), result = std::move(result)]() mutable {
    std::move(handler)(std::move(result));
  });
}

// A connection with a thread of its own that takes calls in order, many at once.
class Worker {
 public:
  using Serve = std::function<std::vector<Result<>>(std::span<const Body>)>;

  Worker(Serve serve, size_t waiting_max, size_t group_max)
      : serve_(std::move(serve)),
        waiting_max_(waiting_max),
        group_max_(group_max),
        thread_([this] { run(); }) {}
  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  Task<Result<>> call(Body body) {
    return asio::async_initiate<const asio::use_awaitable_t<>, void(Result<>)>(
        [this](Handler handler, Body moved) { enqueue({std::move(moved), std::move(handler)}); },
        asio::use_awaitable, std::move(body));
  }

 private:
  void enqueue(Call call) {
    {
      const std::lock_guard lock(mutex_);
      if (calls_.size() < waiting_max_) {
        calls_.push_back(std::move(call));
        changed_.notify_one();
        return;
      }
    }
    answer(std::move(call.handler),
           Error{ErrorCode::ResourceExhausted, "database: too many calls are waiting"});
  }

  // What was enqueued before the end is still done: its owner waits for the outcome.
  void run() {
    while (true) {
      std::vector<Body> bodies;
      std::vector<Handler> handlers;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || !calls_.empty(); });
        if (calls_.empty()) return;
        while (!calls_.empty() && bodies.size() < group_max_) {
          bodies.push_back(std::move(calls_.front().body));
          handlers.push_back(std::move(calls_.front().handler));
          calls_.pop_front();
        }
      }
      std::vector<Result<>> results = serve_(bodies);
      for (size_t i = 0; i < handlers.size(); ++i) {
        answer(std::move(handlers[i]), std::move(results[i]));
      }
    }
  }

  // Constant after construction; serve_ is called on the thread only.
  const Serve serve_;
  const size_t waiting_max_;
  const size_t group_max_;

  // By mutex_: the callers' loops and the thread.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Call> calls_;
  bool stopping_ = false;

  std::thread thread_;  // last: it uses the others
};

std::vector<Result<>> read_each(SqliteConnection& connection, std::span<const Body> bodies) {
  std::vector<Result<>> results;
  for (const Body& body : bodies) results.push_back(connection.run_read(body));
  return results;
}

class ThreadedDatabase final : public Database {
 public:
  ThreadedDatabase(const SqliteSettings& settings, std::unique_ptr<SqliteConnection> writer,
                   std::unique_ptr<SqliteConnection> reader)
      : writer_connection_(std::move(writer)),
        reader_connection_(std::move(reader)),
        writer_(
            [this](std::span<const Body> bodies) { return writer_connection_->run_group(bodies); },
            settings.waiting_max, settings.group_max),
        reader_(
            [this](std::span<const Body> bodies) { return read_each(*reader_connection_, bodies); },
            settings.waiting_max, settings.group_max) {}

  Task<Result<>> write(Body body) override { return writer_.call(std::move(body)); }
  Task<Result<>> read(Body body) override { return reader_.call(std::move(body)); }

 private:
  // Each touched by the thread of its worker only.
  std::unique_ptr<SqliteConnection> writer_connection_;
  std::unique_ptr<SqliteConnection> reader_connection_;
  Worker writer_;
  Worker reader_;
};

class InlineDatabase final : public Database {
 public:
  explicit InlineDatabase(std::unique_ptr<SqliteConnection> connection)
      : connection_(std::move(connection)) {}

  Task<Result<>> write(Body body) override {
    co_return connection_->run_group(std::span(&body, 1)).front();
  }
  Task<Result<>> read(Body body) override { co_return connection_->run_read(body); }

 private:
  std::unique_ptr<SqliteConnection> connection_;
};

}  // namespace

Result<std::unique_ptr<Database>> open_sqlite(SqliteSettings settings,
                                              std::span<const Migration> migrations) {
  TRY(auto writer, SqliteConnection::open(settings, SqliteConnection::Role::Writer));
  TRY_DO(writer->migrate(migrations));
  if (settings.path.empty()) return std::make_unique<InlineDatabase>(std::move(writer));
  TRY(auto reader, SqliteConnection::open(settings, SqliteConnection::Role::Reader));
  return std::make_unique<ThreadedDatabase>(settings, std::move(writer), std::move(reader));
}

}  // namespace mesclun::store
