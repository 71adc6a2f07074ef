// What people ask of the fleet: container groups and single instances.
//
// Promise: each checks first and changes nothing on an error.
// Errors:  NotFound for a group that is deleted or an instance that is gone; AlreadyExists
//          (name_conflict) and PermissionDenied (quota_exceeded) where said.
#pragma once

#include "cloud/fleet.h"

namespace mesclun::cloud {

// Who an organization's project is, as the accounts know it.
struct ProjectIdentity {
  std::string organization_id;
  std::string organization_name;
  std::string project_id;
  std::string project_name;
};

// The id of the new group. AlreadyExists, PermissionDenied.
Result<std::string> create_group(Fleet& fleet, const ProjectIdentity& project, api::GroupSpec spec,
                                 int32_t replicas_quota, Moment now);
// `what` says for people what a new version changes; empty: what differs. PermissionDenied.
Result<> patch_group(Fleet& fleet, const std::string& group_id, const api::GroupChange& change,
                     int32_t replicas_quota, Moment now, std::string what = "");
Result<> start_group(Fleet& fleet, const std::string& group_id, Moment now);
Result<> stop_group(Fleet& fleet, const std::string& group_id, Moment now);
Result<> delete_group(Fleet& fleet, const std::string& group_id, Moment now);

// How the group's image is pulled from now on; what failed before says nothing about it.
Result<> set_registry_login(Fleet& fleet, RegistryLogin login);

// `instance` is an instance id or a machine id.
Result<> reallocate(Fleet& fleet, const std::string& group_id, const std::string& instance,
                    Moment now);
Result<> run_again(Fleet& fleet, const std::string& group_id, const std::string& instance,
                   link::RunAction action);
Result<> set_deletion_cost(Fleet& fleet, const std::string& group_id, const std::string& instance,
                           int32_t cost);

}  // namespace mesclun::cloud
