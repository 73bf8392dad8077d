#!/usr/bin/env node
// CommonJS and old syntax: an old Node must get as far as the sentence below.
const version = process.versions.node.split('.').map(Number)
if (version[0] < 22 || (version[0] === 22 && version[1] < 18)) {
  console.error(
    'Lockstep needs Node 22.18 or newer, and this is Node ' +
      process.versions.node +
      '. Install a newer Node, or run "npm install node@24" in your project: "npx lockstep" then runs with that one.',
  )
  process.exit(1)
}
// a clone has the sources, a package what is built from them
const main = require('fs').existsSync(__dirname + '/../cli/main.js') ? '../cli/main.js' : '../cli/main.ts'
void import(main)
