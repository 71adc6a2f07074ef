// The official JavaScript SDK, unmodified but for the base address, with response validation on: every operation of
// the first release. Run by test_js_sdk.py with a JSON object of parameters as its argument; prints what went well.
'use strict';

const assert = require('node:assert/strict');
const { SaladCloudSdk } = require('@saladtechnologies-oss/salad-cloud-sdk');

const { apiKey, baseUrl, organization, project, spec } = JSON.parse(process.argv[2]);
const sdk = new SaladCloudSdk({ apiKey, baseUrl, timeoutMs: 60000, validation: { responseValidation: true } });
const groups = sdk.containerGroups;
const name = spec.name;

async function waitFor(what, look, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, `${what}: not within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

async function problemOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail('the call should have failed');
}

async function serving(count) {
  return waitFor(`${count} ready`, async () => {
    const { instances } = (await groups.listContainerGroupInstances(organization, project, name)).data;
    const ready = instances.filter((one) => one.state === 'running' && one.ready);
    return ready.length === count && ready;
  });
}

async function actOn(action) {
  const [before] = await serving(1);
  await groups[`${action}ContainerGroupInstance`](organization, project, name, before.id);
  const after = await waitFor(action, async () => {
    const { instances } = (await groups.listContainerGroupInstances(organization, project, name)).data;
    return instances.find((one) => one.id !== before.id && one.state === 'running' && one.ready);
  });
  assert.equal(after.machineId === before.machineId, action !== 'reallocate', action);
}

const steps = {
  async create() {
    const { data } = await groups.createContainerGroup(organization, project, {
      name,
      displayName: 'From JavaScript',
      autostartPolicy: false,
      restartPolicy: 'always',
      replicas: 1,
      container: {
        image: spec.container.image,
        command: spec.container.command,
        environmentVariables: spec.container.environment_variables,
        resources: { cpu: 1, memory: 1024, gpuClasses: [] },
      },
      networking: { protocol: 'http', port: spec.networking.port, auth: false },
      readinessProbe: {
        http: { path: '/ready', port: spec.networking.port, scheme: 'http', headers: [{ name: 'X-Probe', value: '1' }] },
        initialDelaySeconds: 0,
        periodSeconds: 1,
        timeoutSeconds: 5,
        successThreshold: 1,
        failureThreshold: 1,
      },
      scalingActions: [{ schedule: '0 6 * * *', replicas: 2 }],
      scheduledScalingEnabled: false,
    });
    assert.equal(data.name, name);
    assert.ok(data.networking.dns);
  },
  async list() {
    const { data } = await groups.listContainerGroups(organization, project);
    assert.ok(data.items.some((group) => group.name === name));
  },
  async taken_name() {
    const error = await problemOf(groups.createContainerGroup(organization, project, {
      name,
      autostartPolicy: false,
      restartPolicy: 'always',
      replicas: 1,
      container: { image: 'x', resources: { cpu: 1, memory: 1024 } },
    }));
    // A media type with a charset would lose these.
    assert.equal(error.constructor.name, 'ProblemDetails');
    assert.equal(error.status, 400);
    assert.equal(error.type, 'name_conflict');
  },
  async missing_group() {
    const error = await problemOf(groups.getContainerGroup(organization, project, `${name}-missing`));
    assert.equal(error.status, 404);
    assert.equal(error.type, 'not_found');
  },
  async start() {
    await groups.startContainerGroup(organization, project, name);
    await serving(1);
    const { data } = await groups.getContainerGroup(organization, project, name);
    assert.equal(data.currentState.status, 'running');
    assert.equal(data.currentState.instanceStatusCounts.runningCount, 1);
  },
  async instance() {
    const [one] = await serving(1);
    const { data } = await groups.getContainerGroupInstance(organization, project, name, one.id);
    assert.equal(data.id, one.id);
    const patched = await groups.updateContainerGroupInstance(organization, project, name, one.id, { deletionCost: 5 });
    assert.equal(patched.data.deletionCost, 5);
  },
  restart: () => actOn('restart'),
  recreate: () => actOn('recreate'),
  reallocate: () => actOn('reallocate'),
  async patch() {
    const { data } = await groups.updateContainerGroup(organization, project, name, {
      displayName: 'Changed',
      container: { environmentVariables: { MORE: '1' } },
    });
    assert.equal(data.displayName, 'Changed');
    assert.equal(data.version, 2);
    await waitFor('version 2', async () => (await serving(1))[0].version === 2);
  },
  async system_logs() {
    const { data } = await sdk.systemLogs.getSystemLogs(organization, project, name);
    assert.ok(data.items.some((entry) => entry.eventName === 'Container Group Started'));
  },
  async availability() {
    const { data } = await sdk.organizations.getCpuAvailability(organization, { cpu: 1, memory: 1024 });
    assert.ok(data.availableCpuBatch >= 0);
    const gpuClasses = ['ed563892-aacd-40f5-80b7-90c9be6c759b'];
    const gpus = (await sdk.organizations.getGpuAvailability(organization, { gpuClasses })).data;
    assert.equal(gpus.availableGpuHigh, 0);
  },

  async log_entries() {
    const query = `resource.type=deployment_controller and resource.labels.container_group_name = "${name}"`;
    const found = await waitFor('log entries', async () => {
      const now = new Date();
      const { data } = await sdk.logs.queryLogEntries(organization, {
        startTime: new Date(now - 3600_000).toISOString(), endTime: now.toISOString(), query, pageSize: 10, sortOrder: 'asc',
      });
      return data.items.length > 0 && data;
    });
    assert.equal(found.organizationName, organization);
    assert.equal(found.items[0].textLog, 'Container Group Started');
  },
  async quotas() {
    const { data } = await sdk.quotas.getQuotas(organization);
    assert.ok(data.containerGroupsQuotas.containerReplicasUsed >= 1);
  },
  async gpu_classes() {
    const { data } = await sdk.organizationData.listGpuClasses(organization);
    assert.ok(data.items.some((gpu) => gpu.name === 'RTX 4090 (24 GB)'));
  },
  async stop() {
    await groups.stopContainerGroup(organization, project, name);
    const { data } = await groups.getContainerGroup(organization, project, name);
    assert.equal(data.currentState.status, 'stopped');
  },
  async delete() {
    await groups.deleteContainerGroup(organization, project, name);
    await waitFor('deleted', async () => {
      const { data } = await groups.listContainerGroups(organization, project);
      return !data.items.some((group) => group.name === name);
    });
  },
};

(async () => {
  for (const [step, run] of Object.entries(steps)) {
    try {
      await run();
    } catch (error) {
      console.error(`step ${step} failed:`, error, error.issues ?? '');
      process.exit(1);
    }
    console.log(`ok ${step}`);
  }
})();
