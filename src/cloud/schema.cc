#include "cloud/schema.h"

namespace mesclun::cloud {

namespace {

// Records are documents beside the columns that are searched or unique. Times are unix nanoseconds.
constexpr store::Migration kCloud[] = {{1, R"sql(
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE gateway (name TEXT PRIMARY KEY, endpoint TEXT NOT NULL);
CREATE TABLE organization (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, document TEXT NOT NULL);
CREATE TABLE project (id TEXT PRIMARY KEY, organization_id TEXT NOT NULL REFERENCES organization (id),
                      name TEXT NOT NULL, document TEXT NOT NULL, UNIQUE (organization_id, name));
CREATE TABLE api_key (id TEXT PRIMARY KEY, key_sha256 TEXT NOT NULL UNIQUE, document TEXT NOT NULL);
CREATE TABLE gpu_class (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE workload_key (kid TEXT PRIMARY KEY, created BIGINT NOT NULL, private_pem TEXT NOT NULL);
CREATE TABLE container_group (id TEXT PRIMARY KEY, project_id TEXT NOT NULL, name TEXT NOT NULL,
                              document TEXT NOT NULL, UNIQUE (project_id, name));
CREATE TABLE allocation (id TEXT PRIMARY KEY, group_id TEXT NOT NULL, node_id TEXT NOT NULL,
                         document TEXT NOT NULL);
CREATE TABLE node (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE exclusion (group_id TEXT NOT NULL, node_id TEXT NOT NULL, until BIGINT NOT NULL,
                        by_failure BIGINT NOT NULL, reason TEXT NOT NULL,
                        PRIMARY KEY (group_id, node_id));
CREATE TABLE event (sequence BIGINT PRIMARY KEY, group_id TEXT NOT NULL, document TEXT NOT NULL);
CREATE INDEX event_by_group ON event (group_id, sequence)
)sql"},
                                       {2, R"sql(
CREATE TABLE group_version (group_id TEXT NOT NULL, version BIGINT NOT NULL, document TEXT NOT NULL,
                            PRIMARY KEY (group_id, version))
)sql"},
                                       {3, R"sql(
CREATE TABLE registry_login (group_id TEXT NOT NULL, registry TEXT NOT NULL, sequence BIGINT NOT NULL,
                             document TEXT NOT NULL, PRIMARY KEY (group_id, registry))
)sql"}};

constexpr store::Migration kLogs[] = {{1, R"sql(
CREATE TABLE log_line (sequence INTEGER PRIMARY KEY, group_id TEXT NOT NULL, instance_id TEXT NOT NULL,
                       machine_id TEXT NOT NULL, version BIGINT NOT NULL, time BIGINT NOT NULL,
                       receive_time BIGINT NOT NULL, stream TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX log_line_by_group ON log_line (group_id, sequence)
)sql"},
                                      {2, R"sql(
ALTER TABLE log_line ADD COLUMN organization_id TEXT NOT NULL DEFAULT '';
CREATE INDEX log_line_by_instance ON log_line (group_id, instance_id, sequence);
CREATE INDEX log_line_by_organization ON log_line (organization_id, sequence);
CREATE TABLE log_size (organization_id TEXT PRIMARY KEY, lines BIGINT NOT NULL);
INSERT INTO log_size (organization_id, lines) SELECT '', COUNT(*) FROM log_line
)sql"},
                                      // Times become unique in each organization: of each line the
                                      // latest time up to it, moved on by its number.
                                      {3, R"sql(
ALTER TABLE log_line ADD COLUMN resource_type TEXT NOT NULL DEFAULT 'container';
UPDATE log_line SET time = spread.time FROM (
  SELECT sequence, number * 100 + MAX(time / 100 * 100 - number * 100)
                   OVER (PARTITION BY organization_id ORDER BY number) AS time
  FROM (SELECT sequence, organization_id, time,
               ROW_NUMBER() OVER (PARTITION BY organization_id ORDER BY time, sequence) AS number
        FROM log_line) AS numbered) AS spread
WHERE spread.sequence = log_line.sequence;
CREATE UNIQUE INDEX log_line_by_time ON log_line (organization_id, time);
CREATE TABLE log_group (group_id TEXT PRIMARY KEY, project_name TEXT NOT NULL, group_name TEXT NOT NULL);
CREATE TABLE log_node (machine_id TEXT PRIMARY KEY, sequence BIGINT NOT NULL, time BIGINT NOT NULL);
CREATE TABLE log_event (id INTEGER PRIMARY KEY, sequence BIGINT NOT NULL)
)sql"}};

}  // namespace

std::span<const store::Migration> cloud_migrations() {
  return kCloud;
}
std::span<const store::Migration> log_migrations() {
  return kLogs;
}

}  // namespace mesclun::cloud
