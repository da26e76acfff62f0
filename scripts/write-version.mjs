// Runs within `npm version`, after package.json has the new version: requests name it (`user-agent`).
import { readFileSync, writeFileSync } from 'node:fs'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
const file = new URL('../src/version.ts', import.meta.url)
writeFileSync(file, readFileSync(file, 'utf8').replace(/(?<=VERSION = ')[^']*(?=')/, version))
