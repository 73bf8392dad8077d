import { execFileSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { bundleDependencies } from './bundle-dependencies.ts'

// Builds the package and packs it: lockstep-VERSION.tgz in the repository's root. `npm run package`.
const root = dirname(import.meta.dirname)
const out = join(root, 'dist')

execFileSync(process.execPath, [join(root, 'build/build.ts'), out], { stdio: 'inherit' })
bundleDependencies(out, root)
const file = execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', root], {
  cwd: out,
  encoding: 'utf8',
}).trim()
console.log(`Wrote ${join(root, file)}. Install it in a project: npm install ${join(root, file)}`)
