/**
 * Everything that can become of a call that did not succeed. Each error has one fault owner, says what happened in
 * its `message` (for logs and developers; what the model reads is `Report`'s business), and can be stored and read back.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Something about one place of an input or output: a path of keys and positions, and what is wrong there.
 *
 * @since 0.1.0
 * @category models
 */
export const Issue = Schema.Struct({
  path: Schema.Array(Schema.Union(Schema.String, Schema.Number)),
  message: Schema.String
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Issue extends Schema.Schema.Type<typeof Issue> {}

const list = (issues: ReadonlyArray<Issue>) =>
  issues.map((issue) => `${issue.path.length === 0 ? "(root)" : issue.path.join(".")}: ${issue.message}`).join("; ")

/**
 * No tool of that name in the toolbox. `nearest` are the names that look most like it, best first. Owner: model.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnknownTool extends Schema.TaggedError<UnknownTool>("salvo/UnknownTool")("UnknownTool", {
  name: Schema.String,
  nearest: Schema.Array(Schema.String)
}) {
  override get message() {
    return `There is no tool "${this.name}"`
  }
}

/**
 * The input is text that is not JSON; `truncated` when it merely ends too early. Owner: model.
 *
 * @since 0.1.0
 * @category errors
 */
export class MalformedInput extends Schema.TaggedError<MalformedInput>("salvo/MalformedInput")("MalformedInput", {
  reason: Schema.String,
  truncated: Schema.Boolean
}) {
  override get message() {
    return `The input is not valid JSON: ${this.reason}`
  }
}

/**
 * The input does not fit the tool's input schema. Owner: model.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidInput extends Schema.TaggedError<InvalidInput>("salvo/InvalidInput")("InvalidInput", {
  issues: Schema.Array(Issue)
}) {
  override get message() {
    return `The input does not fit the tool's schema: ${list(this.issues)}`
  }
}

/**
 * The call points at something that is not there: a dependency that names no call, or more than one. Owner: model.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnresolvedReference extends Schema.TaggedError<UnresolvedReference>("salvo/UnresolvedReference")(
  "UnresolvedReference",
  { reference: Schema.String, reason: Schema.String }
) {
  override get message() {
    return `Cannot resolve "${this.reference}": ${this.reason}`
  }
}

/**
 * The call waits for itself through `cycle` (call ids in order; the last one waits for the first). Owner: model.
 *
 * @since 0.1.0
 * @category errors
 */
export class DependencyCycle extends Schema.TaggedError<DependencyCycle>("salvo/DependencyCycle")("DependencyCycle", {
  cycle: Schema.Array(Schema.String)
}) {
  override get message() {
    return `Circular dependency: ${[...this.cycle, this.cycle[0]].join(" -> ")}`
  }
}

/**
 * The handler crashed: it threw, a Promise of its was rejected, or it died. `name` and `code` are safe to show
 * (class and system error code); `detail` is for the log, where `correlationId` finds it. Owner: tool.
 *
 * @since 0.1.0
 * @category errors
 */
export class ToolDefect extends Schema.TaggedError<ToolDefect>("salvo/ToolDefect")("ToolDefect", {
  correlationId: Schema.String,
  name: Schema.String,
  code: Schema.UndefinedOr(Schema.String),
  detail: Schema.String
}) {
  override get message() {
    return `The handler crashed (${this.correlationId}): ${this.detail}`
  }
}

/**
 * The handler finished, but its output does not fit the output schema or cannot be written as JSON. Owner: tool.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidOutput extends Schema.TaggedError<InvalidOutput>("salvo/InvalidOutput")("InvalidOutput", {
  correlationId: Schema.String,
  issues: Schema.Array(Issue)
}) {
  override get message() {
    return `The handler's output is unusable (${this.correlationId}): ${list(this.issues)}`
  }
}

/**
 * A deadline passed while the handler was running: of one attempt, of the call with all its attempts, of silence
 * (`idle`), or of the whole batch. `after` is how long was waited. Owner: tool.
 *
 * @since 0.1.0
 * @category errors
 */
export class Timeout extends Schema.TaggedError<Timeout>("salvo/Timeout")("Timeout", {
  kind: Schema.Literal("attempt", "total", "idle", "batch"),
  after: Schema.Duration
}) {
  override get message() {
    return `No answer in time (${this.kind} deadline)`
  }
}

/**
 * The dependency's circuit breaker lets nothing through: it is open, busy with a probe (`HalfOpen`), or `Isolated` by
 * hand. Nothing was sent. `retryAfter` is when the next probe may go out, `lastFailure` what the dependency failed with
 * last (for the log, not for the model). Owner: runner.
 *
 * @since 0.1.0
 * @category errors
 */
export class CircuitOpen extends Schema.TaggedError<CircuitOpen>("salvo/CircuitOpen")("CircuitOpen", {
  breaker: Schema.String,
  mode: Schema.Literal("Open", "HalfOpen", "Isolated"),
  retryAfter: Schema.UndefinedOr(Schema.Duration),
  lastFailure: Schema.UndefinedOr(Schema.String)
}) {
  override get message() {
    return `Circuit "${this.breaker}" lets nothing through (${this.mode})`
  }
}

/**
 * The tool was busy with `capacity` other executions until this call's time was up: it never started. Owner: runner.
 *
 * @since 0.1.0
 * @category errors
 */
export class BulkheadFull extends Schema.TaggedError<BulkheadFull>("salvo/BulkheadFull")("BulkheadFull", {
  capacity: Schema.Number
}) {
  override get message() {
    return `All ${this.capacity} slots stayed taken`
  }
}

/**
 * The rate limit leaves no room now. Owner: runner.
 *
 * @since 0.1.0
 * @category errors
 */
export class RateLimited extends Schema.TaggedError<RateLimited>("salvo/RateLimited")("RateLimited", {
  retryAfter: Schema.Duration
}) {
  override get message() {
    return "Rate limit reached"
  }
}

/**
 * A budget shared by several calls is spent. Owner: runner.
 *
 * @since 0.1.0
 * @category errors
 */
export class BudgetExhausted extends Schema.TaggedError<BudgetExhausted>("salvo/BudgetExhausted")("BudgetExhausted", {
  budget: Schema.String
}) {
  override get message() {
    return `The budget "${this.budget}" is spent`
  }
}

/**
 * Not run, because `dependency` (a call id) did not succeed; `root` is where the trouble began. Owner: dependency.
 *
 * @since 0.1.0
 * @category errors
 */
export class DependencyFailed extends Schema.TaggedError<DependencyFailed>("salvo/DependencyFailed")(
  "DependencyFailed",
  { dependency: Schema.String, root: Schema.String }
) {
  override get message() {
    return `Not run: ${this.dependency} failed`
  }
}

/**
 * The batch ended before this call began: it certainly had no effect. Owner: run.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotStarted extends Schema.TaggedError<NotStarted>("salvo/NotStarted")("NotStarted", {
  reason: Schema.Literal("interrupted", "deadline", "journal")
}) {
  override get message() {
    switch (this.reason) {
      case "interrupted":
        return "Not started: the batch was interrupted"
      case "deadline":
        return "Not started: the batch ran out of time"
      case "journal":
        return "Not started: the journal cannot be written, without which a write might run twice"
    }
  }
}

/**
 * Whether the call took effect is not known: the batch was interrupted while the handler was running, or, for a `write`
 * that was not executed now, the journal that could say whether it was before cannot be read. Owner: run.
 *
 * @since 0.1.0
 * @category errors
 */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>("salvo/OutcomeUnknown")("OutcomeUnknown", {
  reason: Schema.optionalWith(Schema.Literal("interrupted", "journal"), { default: () => "interrupted" })
}) {
  override get message() {
    return this.reason === "interrupted"
      ? "Interrupted while running: the outcome is not known"
      : "Not executed now, and the journal cannot be read: whether it was executed before is not known"
  }
}

/**
 * The tool's own typed failure, as its handler failed with it. Owner: tool, unless the tool's `classify` says it was
 * the model's. A plain class of the generic family: `failure` is described by the tool's failure schema.
 *
 * @since 0.1.0
 * @category errors
 */
export interface ToolFailure<out Failure = unknown> {
  readonly _tag: "ToolFailure"
  readonly failure: Failure
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const toolFailure = <Failure>(failure: Failure): ToolFailure<Failure> => ({ _tag: "ToolFailure", failure })

/**
 * Every error but the tool's own typed failure.
 *
 * @since 0.1.0
 * @category models
 */
export const CallError = Schema.Union(
  UnknownTool,
  MalformedInput,
  InvalidInput,
  UnresolvedReference,
  DependencyCycle,
  ToolDefect,
  InvalidOutput,
  Timeout,
  CircuitOpen,
  BulkheadFull,
  RateLimited,
  BudgetExhausted,
  DependencyFailed,
  NotStarted,
  OutcomeUnknown
)

/**
 * @since 0.1.0
 * @category models
 */
export type CallError = typeof CallError.Type

/**
 * What went wrong with a call whose tool fails with `Failure`.
 *
 * @since 0.1.0
 * @category models
 */
export type ToolError<Failure = unknown> = CallError | ToolFailure<Failure>

/**
 * The schema of all errors of a tool with this failure schema.
 *
 * @since 0.1.0
 * @category schemas
 */
export const schema = <A, I>(
  failure: Schema.Schema<A, I>
): Schema.Schema<ToolError<A>, typeof CallError.Encoded | { readonly _tag: "ToolFailure"; readonly failure: I }> =>
  Schema.Union(CallError, Schema.Struct({ _tag: Schema.Literal("ToolFailure"), failure }))
