import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type BatchEvents, ToolError } from "../../src/index.ts"
import { Timeline } from "../../src/timeline/index.ts"
import * as Browser from "./browser.ts"
import * as Events from "./events.ts"

const page = (events: Iterable<BatchEvents.BatchEvent>, view: Browser.View = {}, options: Timeline.HtmlOptions = {}) =>
  Browser.open("run.html", Timeline.toHtml(Timeline.fromEvents(events), options), view)

const image = (events: Iterable<BatchEvents.BatchEvent>, view: Browser.View = {}, options: Timeline.SvgOptions = {}) =>
  Browser.open("run.svg", Timeline.toSvg(Timeline.fromEvents(events), options), view)

const evaluate = <A>({ page }: Browser.Opened, f: () => A) => Effect.promise(() => page.evaluate(f))
const press = ({ page }: Browser.Opened, ...keys: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    for (const key of keys) await page.keyboard.press(key)
  })

const panel = (opened: Browser.Opened) => evaluate(opened, () => document.querySelector(".panel")?.textContent ?? "")
const focused = (opened: Browser.Opened) =>
  evaluate(opened, () => document.activeElement?.getAttribute("role") ?? "none")

/** From the top of the page into the chart: past the buttons. */
const intoChart = Effect.fnUntraced(function* (opened: Browser.Opened) {
  for (let i = 0; i < 8; i++) {
    yield* press(opened, "Tab")
    if ((yield* focused(opened)) === "rowheader") return
  }
  assert.fail("Tab does not lead into the chart")
})

const luminance = (colour: string): number => {
  const [r = 0, g = 0, b = 0] = (colour.match(/[\d.]+/g) ?? []).map((part) => {
    const value = Number(part) / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

const contrast = (a: string, b: string): number => {
  const [dark = 0, light = 0] = [luminance(a), luminance(b)].toSorted((a, b) => a - b)
  return (light + 0.05) / (dark + 0.05)
}

Browser.describeChromium("in Chromium", () => {
  layer(Browser.layer, { excludeTestServices: true, timeout: "60 seconds" })((it) => {
    describe("the page", { timeout: 60_000 }, () => {
      it.scoped("renders without a complaint or a request, whatever happened", () =>
        Effect.gen(function* () {
          for (const events of [[], Events.many(5), Events.everything()]) {
            const opened = yield* page(events)
            const lanes = yield* evaluate(opened, () => document.querySelectorAll(".lane").length)
            assert.strictEqual(lanes, Timeline.fromEvents(events).batches.flatMap(({ lanes }) => lanes).length)
            assert.deepStrictEqual(opened.complaints, [])
          }
        })
      )

      it.scoped("is reached by Tab, and walked by arrow keys, each stop with its details", () =>
        Effect.gen(function* () {
          const opened = yield* page(Events.everything())
          yield* intoChart(opened)
          assert.match(yield* panel(opened), /^#1 look_up_order: succeeded/)
          yield* press(opened, "ArrowDown")
          assert.match(yield* panel(opened), /^#2 track_parcel: succeeded/)
          yield* press(opened, "ArrowRight")
          assert.strictEqual(yield* focused(opened), "gridcell")
          assert.match(yield* panel(opened), /attempt 1: failed.*CarrierDown: the carrier gave no answer/)
          yield* press(opened, "ArrowRight")
          assert.match(yield* panel(opened), /backs off for 130 ms/)
          // The note stands within the bar, and comes after it.
          yield* press(opened, "ArrowRight", "ArrowRight")
          assert.match(yield* panel(opened), /attempt 2: asking Leipzig/)
          yield* press(opened, "Home", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown")
          assert.match(yield* panel(opened), /^#6 refund_order: failed, in doubt/)
          yield* press(opened, "Control+End")
          assert.match(yield* panel(opened), /^#2 write_summary: unfinished/)
          yield* press(opened, "Control+Home")
          assert.match(yield* panel(opened), /circuit breakers/)
          yield* press(opened, "ArrowRight")
          assert.match(yield* panel(opened), /Circuit payments open.*consecutive/)
          // Out again in one step: the chart is one stop.
          yield* press(opened, "Shift+Tab")
          assert.notStrictEqual(yield* focused(opened), "gridcell")
          assert.deepStrictEqual(opened.complaints, [])
        })
      )

      it.scoped("shows what is focused, and keeps it in sight", () =>
        Effect.gen(function* () {
          const opened = yield* page(Events.many(500))
          yield* intoChart(opened)
          yield* press(opened, "Control+End", "ArrowRight", "+", "+", "+", "ArrowRight")
          assert.match(yield* panel(opened), /^#500 /)
          const seen = yield* evaluate(opened, () => {
            const cell = document.activeElement?.querySelector(".touch")
            const chart = document.querySelector(".chart")
            if (cell === null || cell === undefined || chart === null) return undefined
            const [box, frame] = [cell.getBoundingClientRect(), chart.getBoundingClientRect()]
            return {
              ring: getComputedStyle(cell).strokeWidth,
              isInside:
                box.top >= frame.top && box.bottom <= frame.bottom && box.right > frame.left && box.left < frame.right
            }
          })
          assert.deepStrictEqual(seen, { ring: "2.5px", isInside: true })
        })
      )

      it.scoped("shows details of what the pointer is on", () =>
        Effect.gen(function* () {
          const opened = yield* page(Events.everything())
          yield* Effect.promise(() => opened.page.hover(".lane:nth-of-type(3) .bar", { force: true }))
          assert.match(yield* panel(opened), /^#3 exchange_rate, attempt 1: timed out/)
          yield* Effect.promise(() => opened.page.hover(".lane:nth-of-type(6) .label"))
          assert.match(yield* panel(opened), /^#6 refund_order.*It may have taken effect all the same/)
        })
      )

      it.scoped("gives every stop a name and a role for those who do not see it", () =>
        Effect.gen(function* () {
          const opened = yield* page(Events.everything())
          const nodes = yield* Effect.promise(async () => {
            const session = await opened.page.context().newCDPSession(opened.page)
            return (await session.send("Accessibility.getFullAXTree")).nodes
          })
          const named = (role: string) =>
            nodes
              .filter((node) => node.role?.value === role && !node.ignored)
              .map((node) => String(node.name?.value ?? ""))
          assert.lengthOf(named("grid"), 1)
          assert.lengthOf(named("row"), 15 + 1)
          assert.isTrue(named("rowheader").some((name) => /2\s*track_parcel\s*succeeded\s*331 ms/.test(name)))
          const cells = named("gridcell")
          assert.isAtLeast(cells.length, 20)
          assert.isTrue(cells.every((name) => name !== ""))
          assert.isTrue(cells.some((name) => name.startsWith("#2 track_parcel, attempt 1: failed")))
        })
      )

      it.scoped("fits 500 calls: names, one line each, in a column that stays, under an axis that stays", () =>
        Effect.gen(function* () {
          const opened = yield* page(Events.many(500))
          yield* intoChart(opened)
          yield* press(opened, "+", "+", "+")
          const measured = yield* evaluate(opened, () => {
            const chart = document.querySelector(".chart")
            if (chart === null) return undefined
            chart.scrollTo(4000, 3000)
            const frame = chart.getBoundingClientRect()
            const names = Array.from(document.querySelectorAll(".name"))
            const axis = document.querySelector(".axis")?.getBoundingClientRect()
            return {
              lanes: names.length,
              font: Math.min(...names.map((name) => Number.parseFloat(getComputedStyle(name).fontSize))),
              overlapping: names.filter((name, i) => {
                const next = names[i + 1]
                return next !== undefined && name.getBoundingClientRect().bottom > next.getBoundingClientRect().bottom
              }).length,
              namesStay: names.every((name) => name.getBoundingClientRect().left >= frame.left),
              axisStays: axis !== undefined && Math.abs(axis.top - frame.top) < 1
            }
          })
          assert.deepStrictEqual(measured, { lanes: 500, font: 10.5, overlapping: 0, namesStay: true, axisStays: true })
          assert.deepStrictEqual(opened.complaints, [])
        })
      )

      it.scoped("zooms: the same moment stays at the edge, with ticks as close as before", () =>
        Effect.gen(function* () {
          const opened = yield* page(Events.many(60))
          const look = () =>
            evaluate(opened, () => ({
              width: document.querySelector(".lane .plot")?.getBoundingClientRect().width ?? 0,
              ticks: Array.from(document.querySelectorAll(".axis .ticks")).filter(
                (group) => getComputedStyle(group).display !== "none"
              ).length,
              level: document.querySelector("output")?.textContent
            }))
          const before = yield* look()
          yield* Effect.promise(() => opened.page.click("button[value='+']"))
          const after = yield* look()
          assert.strictEqual(after.level, "200 %")
          assert.isAbove(after.width, before.width * 1.9)
          assert.deepStrictEqual([before.ticks, after.ticks], [1, 1])
          yield* Effect.promise(() => opened.page.click("button[value='0']"))
          assert.deepStrictEqual(yield* look(), before)
        })
      )

      it.scoped("lets the grid and the circuits be seen behind the lanes", () =>
        Effect.gen(function* () {
          const { page: shown } = yield* page(Events.everything())
          const lane = () => Effect.promise(() => shown.locator(".lane:nth-of-type(11)").screenshot())
          const before = yield* lane()
          yield* Effect.promise(() => shown.evaluate(() => document.querySelector(".under .circuit")?.remove()))
          assert.isFalse(before.equals(yield* lane()))
        })
      )

      it.scoped("runs nothing that comes from outside, in whatever text it hides", () =>
        Effect.gen(function* () {
          const hostile = [
            `</script><script>alert(1)</script>`,
            `</title></svg><img src=x onerror=alert(2)>`,
            `" onfocus="alert(3)" onmouseover='alert(4)' x="`,
            `</style><svg onload=alert(5)>`,
            `javascript:alert(6)//]]>--!>{{constructor.constructor('alert(7)')()}}`
          ]
          const events = hostile.flatMap((text, i) => {
            const it = Events.of(i, { ...Events.call(text), id: text, input: text }, text)
            const error = ToolError.toolFailure({ _tag: text, message: text })
            return [
              it.at(0, Events.submitted),
              it.at(1, Events.started(1)),
              it.at(50, Events.progress(1, text)),
              it.at(90, Events.failed(1, error)),
              it.at(91, Events.finished(Events.failure(it.call, error))),
              Events.circuit(30, "Open", { breaker: text, lastFailure: text })
            ]
          })
          const opened = yield* page(events, {}, { title: hostile.join(" "), details: true })
          yield* intoChart(opened)
          for (let i = 0; i < 20; i++) yield* press(opened, "ArrowRight", "ArrowRight", "ArrowDown")
          yield* Effect.promise(() => opened.page.hover(".lane .bar", { force: true }))
          const found = yield* evaluate(opened, () => ({
            scripts: document.scripts.length,
            images: document.images.length,
            handlers: Array.from(document.querySelectorAll("*")).filter((element) =>
              element.getAttributeNames().some((name) => name.startsWith("on"))
            ).length,
            title: document.title
          }))
          assert.deepStrictEqual({ ...found, title: "" }, { scripts: 1, images: 0, handlers: 0, title: "" })
          assert.include(found.title, "</script><script>alert(1)</script>")
          assert.deepStrictEqual(opened.complaints, [])
          // Were there a script all the same, the policy would stop it.
          const stopped = yield* evaluate(opened, () => {
            const script = document.createElement("script")
            script.textContent = "window.wasRun = true"
            document.body.append(script)
            return !("wasRun" in window)
          })
          assert.isTrue(stopped)
        })
      )
    })

    describe("the image", { timeout: 60_000 }, () => {
      it.scoped("is well-formed XML without anything that runs or loads, at 5 calls and at 500", () =>
        Effect.gen(function* () {
          for (const events of [[], Events.everything(), Events.many(5), Events.many(500)]) {
            const opened = yield* image(events, {}, { details: true })
            const found = yield* evaluate(opened, () => ({
              root: document.documentElement.localName,
              errors: document.querySelectorAll("parsererror").length,
              scripts: document.querySelectorAll("script,foreignObject,image").length,
              links: Array.from(document.querySelectorAll("[href]")).filter(
                (element) => !(element.getAttribute("href") ?? "").startsWith("#")
              ).length,
              missing: Array.from(document.querySelectorAll("use")).filter(
                (use) => document.querySelector(use.getAttribute("href") ?? "nothing") === null
              ).length
            }))
            assert.deepStrictEqual(found, { root: "svg", errors: 0, scripts: 0, links: 0, missing: 0 })
            assert.deepStrictEqual(opened.complaints, [])
          }
        })
      )

      it.scoped("keeps all texts inside its card and apart from each other", () =>
        Effect.gen(function* () {
          for (const events of [Events.everything(), Events.many(500)]) {
            const opened = yield* image(events)
            const found = yield* evaluate(opened, () => {
              const card = document.querySelector(".paper")?.getBoundingClientRect()
              const plot = document.querySelector(".grid")?.getBoundingClientRect().left ?? 0
              const texts = Array.from(document.querySelectorAll("text"), (text) => text.getBoundingClientRect())
              const rows = new Map<number, Array<DOMRect>>()
              for (const box of texts) {
                const row = Math.round(box.bottom / 2)
                rows.set(row, [...(rows.get(row) ?? []), box])
              }
              const overlaps = [...rows.values()].flatMap((row) => {
                const sorted = row.toSorted((a, b) => a.left - b.left)
                return sorted.filter((box, i) => i > 0 && box.left < (sorted[i - 1]?.right ?? 0) - 1)
              })
              return {
                outside: texts.filter((box) => card === undefined || box.left < card.left || box.right > card.right)
                  .length,
                overlaps: overlaps.length,
                inPlot: Array.from(document.querySelectorAll(".name")).filter(
                  (name) => name.getBoundingClientRect().right > plot
                ).length,
                smallest: Math.min(...texts.map((box) => box.height))
              }
            })
            assert.deepInclude(found, { outside: 0, overlaps: 0, inPlot: 0 })
            assert.isAtLeast(found.smallest, 9)
          }
        })
      )

      it.scoped("can be read in light and in dark", () =>
        Effect.gen(function* () {
          for (const scheme of ["light", "dark"] as const) {
            const opened = yield* image(Events.everything(), { scheme })
            const { ground, inks } = yield* evaluate(opened, () => {
              const style = (element: Element) => getComputedStyle(element)
              const card = document.querySelector(".paper")
              return {
                ground: card === null ? "" : style(card).fill,
                inks: Array.from(document.querySelectorAll("text"), (text) => style(text).fill).concat(
                  Array.from(document.querySelectorAll(".glyph"), (glyph) => style(glyph).stroke)
                )
              }
            })
            assert.strictEqual(luminance(ground) > 0.5, scheme === "light")
            for (const ink of new Set(inks)) {
              // Text inside of bars is in the ground's colour.
              if (ink !== ground) assert.isAtLeast(contrast(ink, ground), 4.5, `${ink} on ${ground} in ${scheme}`)
            }
          }
        })
      )

      it.scoped("brings its own ground along into the <img> of a page of any colour", () =>
        Effect.gen(function* () {
          const svg = Timeline.toSvg(Timeline.fromEvents(Events.everything()))
          const source = `data:image/svg+xml;base64,${Buffer.from(svg).toString("base64")}`
          for (const scheme of ["light", "dark"] as const) {
            const { page } = yield* Browser.open("readme.html", "<!doctype html><body>", { scheme })
            const { ground, inks } = yield* Effect.promise(() =>
              page.evaluate(async (source) => {
                const image = new Image()
                image.src = source
                await image.decode()
                const canvas = Object.assign(document.createElement("canvas"), { width: 960, height: 120 })
                const context = canvas.getContext("2d")
                context?.drawImage(image, 0, 0)
                const data = context?.getImageData(0, 0, 960, 120).data ?? []
                const at = (x: number, y: number) => Array.from(data.slice(4 * (y * 960 + x), 4 * (y * 960 + x) + 4))
                const heading = Array.from({ length: 200 * 20 }, (_, i) => at(20 + (i % 200), 14 + Math.floor(i / 200)))
                return { ground: at(480, 10), inks: heading.map((pixel) => pixel.join()) }
              }, source)
            )
            assert.strictEqual(ground[3], 255)
            assert.strictEqual(luminance(ground.join()) > 0.5, scheme === "light")
            const best = Math.max(...[...new Set(inks)].map((ink) => contrast(ink, ground.join())))
            assert.isAtLeast(best, 12)
          }
        })
      )

      it.scoped("tells outcomes apart without colour: no two have the same sign", () =>
        Effect.gen(function* () {
          const opened = yield* image(Events.everything())
          const signs = yield* evaluate(opened, () =>
            Array.from(document.querySelectorAll(".ending"), (ending) => [
              ending.getAttribute("class") ?? "",
              document.querySelector(ending.querySelector("use")?.getAttribute("href") ?? "")?.innerHTML ?? ""
            ])
          )
          const bySign = new Map(signs.map(([outcome = "", sign = ""]) => [sign, outcome]))
          const outcomes = new Set(signs.map(([outcome]) => outcome))
          assert.strictEqual(outcomes.size, 12)
          assert.strictEqual(bySign.size, outcomes.size)
        })
      )
    })
  })
})
