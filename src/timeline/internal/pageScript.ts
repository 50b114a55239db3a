/**
 * What a page does: the keyboard's way through the chart, details, zoom. Fixed text: the page's policy allows this very
 * script and no other, and it makes no markup out of what it reads.
 */
export const script = `"use strict"
const chart = document.querySelector(".chart")
const canvas = document.querySelector(".canvas")
const panel = document.querySelector(".panel")
const zoom = document.querySelector(".zoom")
const rows = Array.from(document.querySelectorAll("[role=row]"), (row) => Array.from(row.querySelectorAll("[tabindex]")))

const textOf = (cell) => cell.getAttribute("title") ?? cell.querySelector("title")?.textContent ?? ""

const show = (cell) => {
  panel.replaceChildren(
    ...textOf(cell).split("\\n").map((line, i) => {
      const shown = document.createElement(i === 0 ? "strong" : "span")
      shown.textContent = line
      return shown
    })
  )
  const lane = cell.closest(".lane")
  for (const arrow of document.querySelectorAll(".related")) arrow.classList.remove("related")
  const arrows = lane === null ? [] : lane.parentElement.querySelectorAll(".arrow")
  const related = Array.from(arrows).filter(({ dataset }) => dataset.from === lane.dataset.index || dataset.to === lane.dataset.index)
  for (const arrow of related) arrow.classList.add("related")
  canvas.classList.toggle("has-related", related.length > 0)
}

const enter = (cell) => {
  for (const other of document.querySelectorAll("[role=row] [tabindex='0']")) other.setAttribute("tabindex", "-1")
  cell.setAttribute("tabindex", "0")
  show(cell)
}

const middle = (cell) => {
  const box = (cell.querySelector(".touch,.mark") ?? cell).getBoundingClientRect()
  return box.left + box.width / 2
}

const nearest = (row, cell) => {
  if (rows.some((cells) => cells[0] === cell)) return row[0]
  const distance = (other) => Math.abs(middle(other) - middle(cell))
  return row.slice(1).reduce((best, other) => (distance(other) < distance(best) ? other : best), row[1] ?? row[0])
}

const target = (event, cell) => {
  const y = rows.findIndex((row) => row.includes(cell))
  if (y < 0) return undefined
  const x = rows[y].indexOf(cell)
  const toRow = (n) => nearest(rows[Math.max(0, Math.min(rows.length - 1, n))], cell)
  switch (event.key) {
    case "ArrowRight": return rows[y][x + 1]
    case "ArrowLeft": return rows[y][x - 1]
    case "ArrowDown": return toRow(y + 1)
    case "ArrowUp": return toRow(y - 1)
    case "PageDown": return toRow(y + 10)
    case "PageUp": return toRow(y - 10)
    case "Home": return event.ctrlKey ? toRow(0) : rows[y][0]
    case "End": return event.ctrlKey ? toRow(rows.length - 1) : rows[y].at(-1)
  }
}

let level = 0
const zoomTo = (next) => {
  const left = chart.scrollLeft / 2 ** level
  level = Math.max(0, Math.min(Number(zoom.dataset.levels) - 1, next))
  canvas.style.setProperty("--zoom", 2 ** level)
  canvas.dataset.level = level
  zoom.querySelector("output").textContent = 100 * 2 ** level + " %"
  chart.scrollLeft = left * 2 ** level
}
const zooms = { "+": () => zoomTo(level + 1), "-": () => zoomTo(level - 1), "0": () => zoomTo(0) }

chart.addEventListener("focusin", ({ target }) => {
  const cell = target.closest("[tabindex]")
  if (cell !== null && cell !== chart) enter(cell)
})
chart.addEventListener("pointerover", ({ target }) => {
  const cell = target.closest("[role=row] [tabindex]") ?? target.closest(".lane")?.querySelector("[tabindex]")
  if (cell) show(cell)
})
chart.addEventListener("pointerleave", () => {
  const cell = document.activeElement?.closest("[role=row] [tabindex]")
  if (cell) show(cell)
})
chart.addEventListener("keydown", (event) => {
  if (event.altKey || event.metaKey) return
  if (event.key in zooms && !event.ctrlKey) {
    event.preventDefault()
    return zooms[event.key]()
  }
  const next = target(event, document.activeElement)
  if (next === undefined) return
  event.preventDefault()
  next.focus()
})
chart.addEventListener("wheel", (event) => {
  if (!event.ctrlKey) return
  event.preventDefault()
  zoomTo(level - Math.sign(event.deltaY))
}, { passive: false })
zoom.addEventListener("click", ({ target }) => zooms[target.closest("button")?.value]?.())
zoom.hidden = false
`
