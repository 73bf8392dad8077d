#!/usr/bin/env node
// CommonJS and old syntax: an old Node must get as far as the sentence below.
const version = process.versions.node.split('.').map(Number)
if (version[0] < 22 || (version[0] === 22 && version[1] < 18)) {
  console.error(
    'Lockstep needs Node 22.18 or newer, and this is Node ' + process.versions.node + '. Install a newer Node and run it again.',
  )
  process.exit(1)
}
void import('../cli/main.js')
