// Runs during `npm version`, after package.json has the new version. Copies it to src/version.ts for the `user-agent` of requests.
import { readFileSync, writeFileSync } from 'node:fs'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
const file = new URL('../src/version.ts', import.meta.url)
writeFileSync(file, readFileSync(file, 'utf8').replace(/(?<=VERSION = ')[^']*(?=')/, version))
