// Written by `gitcoord setup opencode`, which also rewrites and removes it: change nothing here.
// OpenCode 1 calls server(), OpenCode 2 calls setup(). Where gitcoord is in trouble, no tool is stopped.
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

const PROJECT = fileURLToPath(new URL("../..", import.meta.url))
const EDIT = ["COMMAND"]
const TOOLS = new Set(["edit", "write", "patch", "apply_patch", "multiedit"])
const TIMEOUT_MS = 10000

function hook(occasion, payload) {
  return new Promise((resolve) => {
    const words = [...EDIT]
    words[words.indexOf("hook") + 1] = occasion
    const child = spawn(words[0], words.slice(1), { stdio: ["pipe", "pipe", "ignore"], cwd: payload.cwd })
    const timer = setTimeout(() => child.kill(), TIMEOUT_MS)
    let out = ""
    child.stdout.on("data", (data) => (out += data))
    child.on("error", () => resolve({}))
    child.on("close", () => {
      clearTimeout(timer)
      try {
        resolve(JSON.parse(out))
      } catch {
        resolve({})
      }
    })
    child.stdin.on("error", () => {})
    child.stdin.end(JSON.stringify(payload))
  })
}

async function server({ client, directory }) {
  const warnings = new Map()
  return {
    event: async ({ event }) => {
      if (event.type !== "session.created" || event.properties?.info?.parentID) return
      const answer = await hook("session-start", { cwd: directory })
      const id = event.properties?.info?.id
      if (!answer.context || !id) return
      const body = { noReply: true, parts: [{ type: "text", text: answer.context }] }
      await client.session.prompt({ path: { id }, body }).catch(() => {})
    },
    "tool.execute.before": async (input, output) => {
      if (!TOOLS.has(input.tool)) return
      const answer = await hook("edit", { cwd: directory, tool_name: input.tool, tool_input: output.args })
      if (answer.deny) throw new Error(answer.deny)
      if (answer.warn) warnings.set(input.callID, answer.warn)
    },
    "tool.execute.after": async (input, output) => {
      const warning = warnings.get(input.callID)
      warnings.delete(input.callID)
      if (warning && typeof output.output === "string") output.output += "\n\n" + warning
    },
  }
}

async function setup(ctx) {
  await ctx.tool.hook("execute.before", async (event) => {
    if (!TOOLS.has(event.tool)) return
    const payload = { cwd: PROJECT, tool_name: event.tool, tool_input: event.input }
    const answer = await hook("edit", payload)
    if (answer.deny) throw new Error(answer.deny)
  })
}

export default { id: "gitcoord", server, setup }
