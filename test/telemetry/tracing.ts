/** A tracer that keeps all spans. */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"

export class Recorded implements Tracer.Span {
  readonly _tag = "Span"
  readonly traceId = "trace"
  readonly sampled = true
  readonly attributes = new Map<string, unknown>()
  readonly links: Array<Tracer.SpanLink>
  status: Tracer.SpanStatus
  /** How often it was ended. */
  ends = 0

  constructor(
    readonly spanId: string,
    readonly name: string,
    readonly parent: Option.Option<Tracer.AnySpan>,
    readonly context: Context.Context<never>,
    links: ReadonlyArray<Tracer.SpanLink>,
    startTime: bigint,
    readonly kind: Tracer.SpanKind
  ) {
    this.links = [...links]
    this.status = { _tag: "Started", startTime }
  }

  end(endTime: bigint, exit: Exit.Exit<unknown, unknown>) {
    this.ends++
    this.status = { _tag: "Ended", startTime: this.status.startTime, endTime, exit }
  }

  attribute(key: string, value: unknown) {
    this.attributes.set(key, value)
  }

  addLinks(links: ReadonlyArray<Tracer.SpanLink>) {
    for (const link of links) this.links.push(link)
  }

  event() {}

  get said() {
    return Object.fromEntries(this.attributes)
  }

  get parentName(): string | undefined {
    return Option.match(this.parent, {
      onNone: () => undefined,
      onSome: (parent) => (parent instanceof Recorded ? parent.name : parent.spanId)
    })
  }

  /** From when to when, in milliseconds. */
  get time(): readonly [from: number, to: number | undefined] {
    const millis = (nanos: bigint) => Duration.toMillis(Duration.nanos(nanos))
    const { startTime } = this.status
    return [millis(startTime), this.status._tag === "Ended" ? millis(this.status.endTime) : undefined]
  }

  /** How it ended, all that an exporter could read in it. */
  get exit(): string | undefined {
    if (this.status._tag === "Started") return undefined
    const { exit } = this.status
    return exit._tag === "Success"
      ? (JSON.stringify(exit.value) ?? "done")
      : Cause.pretty(exit.cause, { renderErrorCause: true })
  }
}

export const tracing = () => {
  const spans: Array<Recorded> = []
  const tracer = Tracer.make({
    span: (name, parent, context, links, startTime, kind) => {
      const span = new Recorded(`${spans.length}`, name, parent, context, links, startTime, kind)
      spans.push(span)
      return span
    },
    context: (f) => f()
  })
  return {
    spans,
    layer: Layer.setTracer(tracer),
    names: () => spans.map(({ name }) => name),
    /** The one span of that name. */
    only: (name: string): Recorded => {
      const [found, ...others] = spans.filter((span) => span.name === name)
      if (found === undefined || others.length > 0) throw new Error(`${others.length + (found ? 1 : 0)} spans ${name}`)
      return found
    },
    all: (name: string) => spans.filter((span) => span.name === name),
    /** The span of a call. */
    of: (id: string) => spans.find((span) => span.attributes.get("gen_ai.tool.call.id") === id),
    /** Who is whose child. */
    tree: () => spans.map((span) => `${span.parentName ?? ""} > ${span.name}`)
  }
}
