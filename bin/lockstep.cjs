#!/usr/bin/env node
// CommonJS and old syntax: an old Node must get as far as the sentence below.
const [major, minor] = process.versions.node.split('.').map(Number)
// with an earlier SQLite, processes that share the embedded online store can lose writes
if (!(major >= 26 || (major === 24 && minor >= 15) || (major === 22 && minor >= 23))) {
  console.error(
    'Lockstep needs Node 22.23, 24.15 or 26, or newer, and this is Node ' +
      process.versions.node +
      '. Install a newer Node, or run "npm install node@24" in your project: "npx lockstep" then runs with that one.',
  )
  process.exit(1)
}
// a clone has the sources, a package what is built from them
const main = require('fs').existsSync(__dirname + '/../cli/main.js') ? '../cli/main.js' : '../cli/main.ts'
void import(main)
