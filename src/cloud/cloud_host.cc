#include "cloud/cloud_host.h"

#include "base/file_limit.h"
#include "base/log.h"
#include "cloud/schema.h"

namespace mesclun::cloud {

Task<Result<std::unique_ptr<CloudHost>>> CloudHost::start(asio::any_io_executor executor,
                                                          CloudHostSettings settings) {
  // One eighth for the API and one for nodes: the rest is for a gateway in this process, and files.
  size_t& connections_max = settings.cloud.http.connections_max;
  connections_max = std::min(connections_max, raise_file_limit() / 8);
  // Ports first: a second `up` by mistake should hear of the port, not touch a folder.
  CO_TRY(Listener api, Listener::bind(executor, settings.api));
  CO_TRY(Listener nodes, Listener::bind(executor, settings.nodes));
  CO_TRY(FolderLock lock, FolderLock::take(settings.data, "cloud"));
  std::unique_ptr<CloudHost> host(new CloudHost(std::move(lock)));
  host->folder_ = settings.data;
  host->api_ = api.endpoint();
  host->nodes_ = nodes.endpoint();
  CO_TRY(host->secrets_, load_or_make_secrets(settings.data, host->random_));

  store::SqliteSettings main{.path = settings.data + "/cloud.db"};
  CO_TRY(host->database_, store::open_sqlite(main, cloud_migrations()));
  store::SqliteSettings logs{.path = settings.data + "/logs.db"};
  logs.durable = false;
  CO_TRY(host->log_database_, store::open_sqlite(logs, log_migrations()));

  settings.cloud.nodes.join_token = host->secrets_.join_token;
  settings.cloud.nodes.tunnel_secret = host->secrets_.tunnel_secret;
  settings.cloud.gateways.tunnel_secret = host->secrets_.tunnel_secret;
  settings.cloud.gateways.gateway_token = host->secrets_.gateway_token;
  settings.cloud.keep_secret = [folder = settings.data](std::string_view file,
                                                        const std::string& secret) {
    return keep_secret(fmt::format("{}/{}", folder, file), secret);
  };
  host->cloud_ = std::make_unique<Cloud>(executor, host->clock_, host->random_, *host->database_,
                                         *host->log_database_, settings.cloud);
  CO_TRY_DO(co_await host->cloud_->start());
  const Result<> ready = co_await host->ensure_operator();
  if (!ready) {
    co_await host->cloud_->stop();
    co_return ready.error();
  }
  host->cloud_->serve_api(std::move(api));
  host->cloud_->serve_nodes(std::move(nodes));
  co_return host;
}

Task<Result<>> CloudHost::ensure_operator() {
  Accounts& accounts = cloud_->accounts();
  if (accounts.find_key(secrets_.operator_key) != nullptr) co_return Result<>();
  std::vector<std::string> no_organizations;
  CO_TRY(const auto made, co_await accounts.create_key("operator", std::move(no_organizations),
                                                       true, secrets_.operator_key));
  co_return Result<>();
}

Task<Result<CloudHost::FirstUser>> CloudHost::first_user(std::string organization,
                                                         std::string project) {
  Accounts& accounts = cloud_->accounts();
  FirstUser user{.organization = organization, .project = project};
  if (accounts.find_organization(organization) == nullptr) {
    CO_TRY(const auto made, co_await accounts.create_organization(organization, ""));
  }
  const std::string organization_id = accounts.find_organization(organization)->id;
  if (accounts.find_project(organization_id, project) == nullptr) {
    CO_TRY(const auto made, co_await accounts.create_project(organization_id, project));
  }
  // Kept in a file, because the store only has the hash of a key.
  const std::string path = folder_ + "/user.key";
  const Result<std::string> kept = read_first_line(path);
  if (kept && accounts.find_key(*kept) != nullptr) {
    CO_TRY_DO(make_file_private(path));
    user.api_key = *kept;
    co_return user;
  }
  const bool refused =
      !kept && kept.code() != ErrorCode::NotFound && kept.code() != ErrorCode::InvalidArgument;
  if (refused) co_return kept.error();
  std::vector<std::string> organizations(1, organization_id);
  CO_TRY(const auto made,
         co_await accounts.create_key("local-user", std::move(organizations), false));
  CO_TRY_DO(keep_secret(path, made.secret));
  user.api_key = made.secret;
  co_return user;
}

}  // namespace mesclun::cloud
