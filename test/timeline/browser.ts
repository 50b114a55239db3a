/**
 * A real Chromium, Debian's: `CHROMIUM` names another. Where there is none the tests that need one are skipped; where
 * `CI` is set that is an error.
 */
import { describe } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { existsSync } from "node:fs"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Browser as Driven, chromium, type Page } from "playwright-core"

const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium"
const isThere = existsSync(executablePath)

if (!isThere) {
  if (process.env["CI"] !== undefined) throw new Error(`There is no ${executablePath}, and CI needs one`)
  console.warn(`\n!!! No ${executablePath}: the tests in a real browser are SKIPPED !!!\n`)
}

export const describeChromium = describe.skipIf(!isThere)

const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync"
]

export class Browser extends Context.Tag("test/Browser")<Browser, Driven>() {}

export const layer: Layer.Layer<Browser> = Layer.scoped(
  Browser,
  Effect.acquireRelease(
    Effect.promise(() => chromium.launch({ executablePath, args: flags })),
    (browser) => Effect.promise(() => browser.close())
  )
)

export interface Opened {
  readonly page: Page
  /** What went wrong: errors, warnings, requests for anything but the file itself, dialogs. */
  readonly complaints: Array<string>
}

export interface View {
  readonly scheme?: "light" | "dark" | undefined
  readonly width?: number | undefined
  readonly height?: number | undefined
}

/** Opens a text as a file of that name, as its reader would. */
export const open = Effect.fnUntraced(function* (name: string, text: string, view: View = {}) {
  const browser = yield* Browser
  const folder = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "salvo-timeline-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  const url = `file://${join(folder, name)}`
  yield* Effect.promise(() => writeFile(join(folder, name), text))
  const page = yield* Effect.acquireRelease(
    Effect.promise(() =>
      browser.newPage({
        colorScheme: view.scheme ?? "light",
        viewport: { width: view.width ?? 1280, height: view.height ?? 860 }
      })
    ),
    (page) => Effect.promise(() => page.close())
  )
  const complaints: Array<string> = []
  page.on("console", (message) => complaints.push(`${message.type()}: ${message.text()}`))
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`))
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on("request", (request) => {
    if (request.url() !== url) complaints.push(`request: ${request.url()}`)
  })
  yield* Effect.promise(() => page.goto(url))
  return { page, complaints } satisfies Opened
})
