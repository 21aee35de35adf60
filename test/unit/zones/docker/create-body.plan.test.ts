import { describe, expect, it } from 'vitest';
import type { HomeId, InstanceId } from '../../../../Kernel/contract/ids.ts';
import type { ContainerSpec } from '../../../../Kernel/contract/ports.ts';
import { planCreateBody } from '../../../../zones/docker/create-body.plan.ts';

const spec: ContainerSpec = {
  home: '0123456789ab' as HomeId,
  zone: 'sandbox',
  instance: 'i-0123456789ab' as InstanceId,
  specDigest: 'sha256:1',
  uid: 210_007,
  sizeClass: '64MiB',
  image: 'kerneld-zone:0',
  runtime: 'runc',
  directory: '/run/kerneld/instances/i-0123456789ab',
  seccompProfile: '{"defaultAction":"SCMP_ACT_ERRNO"}',
  memoryBytes: 67_108_864,
  cpus: 0.5,
  pids: 64,
  nofile: 1024,
  tmpBytes: 8_388_608,
  moduleTmpBytes: 4_194_304,
  command: ['/usr/bin/node', '--permission', '/agent/agent.mjs'],
  environment: { KERNELD_ORPHAN_TIMEOUT_MS: '600000' },
};

describe('planCreateBody', () => {
  it('asks for every line of the isolation of an instance', () => {
    expect(planCreateBody(spec)).toMatchInlineSnapshot(`
      {
        "AttachStderr": false,
        "AttachStdin": false,
        "AttachStdout": false,
        "Cmd": [
          "--permission",
          "/agent/agent.mjs",
        ],
        "Entrypoint": [
          "/usr/bin/node",
        ],
        "Env": [
          "KERNELD_ORPHAN_TIMEOUT_MS=600000",
        ],
        "Healthcheck": {
          "Test": [
            "NONE",
          ],
        },
        "HostConfig": {
          "AutoRemove": false,
          "Binds": [
            "/run/kerneld/instances/i-0123456789ab:/run/kerneld:ro",
          ],
          "CapDrop": [
            "ALL",
          ],
          "CgroupnsMode": "private",
          "Init": false,
          "IpcMode": "none",
          "LogConfig": {
            "Config": {
              "max-file": "1",
              "max-size": "64k",
            },
            "Type": "json-file",
          },
          "Memory": 67108864,
          "MemorySwap": 67108864,
          "NanoCpus": 500000000,
          "NetworkMode": "none",
          "PidsLimit": 64,
          "Privileged": false,
          "PublishAllPorts": false,
          "ReadonlyRootfs": true,
          "RestartPolicy": {
            "MaximumRetryCount": 0,
            "Name": "no",
          },
          "Runtime": "runc",
          "SecurityOpt": [
            "no-new-privileges",
            "seccomp={"defaultAction":"SCMP_ACT_ERRNO"}",
          ],
          "Tmpfs": {
            "/module": "rw,noexec,nosuid,nodev,size=4194304,nr_inodes=1024,mode=0700,uid=210007,gid=210007",
            "/tmp": "rw,noexec,nosuid,nodev,size=8388608,nr_inodes=2048,mode=1777",
          },
          "Ulimits": [
            {
              "Hard": 1024,
              "Name": "nofile",
              "Soft": 1024,
            },
            {
              "Hard": 0,
              "Name": "core",
              "Soft": 0,
            },
            {
              "Hard": 0,
              "Name": "msgqueue",
              "Soft": 0,
            },
            {
              "Hard": 65536,
              "Name": "memlock",
              "Soft": 65536,
            },
          ],
        },
        "Hostname": "instance",
        "Image": "kerneld-zone:0",
        "Labels": {
          "kerneld.class": "64MiB",
          "kerneld.home": "0123456789ab",
          "kerneld.instance": "i-0123456789ab",
          "kerneld.spec": "sha256:1",
          "kerneld.uid": "210007",
          "kerneld.zone": "sandbox",
        },
        "NetworkDisabled": true,
        "OpenStdin": false,
        "Tty": false,
        "User": "210007:210007",
        "WorkingDir": "/",
        "name": "kerneld-210007",
      }
    `);
  });

  it('leaves the runtime to the engine when none is named', () => {
    expect(planCreateBody({ ...spec, runtime: '' }).HostConfig).not.toHaveProperty('Runtime');
  });
});
